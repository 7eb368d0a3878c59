"""Scorers: what an association model says of each candidate edge."""
