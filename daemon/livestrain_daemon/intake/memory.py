"""Memory for messages: kept once it has been used, because pages that are new to the process cost much time."""

import ctypes

LARGEST_BYTES = 32 << 20
"""Larger blocks go back to the system at once."""
KEPT_BYTES = 64 << 20
"""So much may lie unused at the end of the heap."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> None:
    """
    Let the C library keep memory that is freed, where it can be told so.

    Messages of some MB are made and thrown away all the time. By itself the library gives them back to the system, and
    asks for them again, page by page.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGEST_BYTES)
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
