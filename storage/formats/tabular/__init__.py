"""Tables of points: which column is what, and the lineages that columns tell."""
