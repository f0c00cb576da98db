"""Memory for messages: kept once it has been used, because pages that are new to the process cost much time."""

import ctypes
import gc

LARGEST_BYTES = 32 << 20
"""Larger blocks go back to the system at once."""
KEPT_BYTES = 64 << 20
"""So much may lie unused at the end of the heap."""
NEW_OBJECTS = 100_000
"""After so many more of them Python looks for some that only refer to each other; by itself after 700, which some
hundred frames take."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> None:
    """
    Let the C library keep memory that is freed, where it can be told so, and Python look for such memory seldom.

    Messages of some MB are made and thrown away all the time. By itself the library gives them back to the system, and
    asks for them again, page by page. Likewise Python looks at all that waits to be stored, again and again.
    """
    gc.set_threshold(NEW_OBJECTS)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGEST_BYTES)
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
