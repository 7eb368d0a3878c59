"""Trackings in XML: TrackMate and MaMuT files, and the simple lists of tracks of other tools."""
