"""How far the simulator goes: what is beyond ends in hours of rendering, or in memory that no machine has."""

MOST_ELECTRONS = 1e9
"""Electrons per frame; the time that a pixel takes grows with the root of its counts."""
MOST_PIXELS = 1 << 26
"""Pixels of a frame: 8192 x 8192."""
MOST_POSITIONS = 1 << 24
"""Scan positions: 4096 x 4096."""
MOST_LOOPED = 1 << 16
"""Frames that are rendered once and repeated."""
MOST_PX = 65536.0
"""Length on the detector [px]."""
LONGEST_WAIT = 86400.0
"""For a receiver [s]."""
LOWEST_RATE = 1e-3
"""Frames per second: a frame in a quarter of an hour."""
BLOCK_BYTES = 128 << 20
"""Frames that are rendered at a time, and so the largest message, unless one frame is larger [bytes]."""
MOST_SCANS = 1_000_000
"""That follow each other."""
