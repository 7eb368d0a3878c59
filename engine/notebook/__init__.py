"""What notebooks show of a store and of results: static HTML, escaped, small, without a script."""
