"""Recorded scans: the frames of a file, read a piece at a time."""
