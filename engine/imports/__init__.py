"""Trackings that others made: read, matched to the detections that their cells are, and kept as solutions."""
