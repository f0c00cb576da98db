from enum import IntEnum


class Reason(IntEnum):
    """Why a position has a lattice, or has none."""

    FITTED = 0
    NO_SIGNAL = 1
    """No disk was found."""
    TOO_FEW_DISKS = 2
    """One disk or two."""
    COLLINEAR = 3
    """All disks lie on one line."""
    LOST = 4
    """The disks do not lie on one lattice, or all at one place."""
