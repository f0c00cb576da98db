"""How far the simulator goes: what is beyond ends in hours of rendering, or in memory that no machine has."""

MOST_ELECTRONS = 1e9
"""Electrons per frame; the time that a pixel takes grows with the root of its counts."""
MOST_LOOPED = 1 << 16
"""Frames that are rendered once and repeated."""
MOST_PX = 65536.0
"""Length on the detector [px]."""
LONGEST_WAIT = 86400.0
"""For a receiver [s]."""
BLOCK_BYTES = 128 << 20
"""Frames that are rendered at a time, and so the largest message, unless one frame is larger [bytes]."""
MOST_SCANS = 1_000_000
"""That follow each other."""
