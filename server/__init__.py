"""The review as a page in the browser: a small server on this machine alone."""
