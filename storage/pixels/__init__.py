"""Pixels in the files of others: frames in order, read one at a time."""
