"""What the tests of verbs share."""

VERBS = ("watch", "status", "arm", "stop", "calibrate", "reference")
SHAPE = (8, 10)
"""Of the scan in progress."""
