"""Which scan frames go on with that came without the start of theirs, because a restart has missed it."""

from typing import Literal, TypeAlias

from livestrain_wire.messages import ScanStart

Beginning: TypeAlias = Literal["seen", "missed", "nameless"]
"""
Whether the start of a series has been seen.

Missed: only frames tell of it, and they name it as the start would have. Nameless: neither do they name it, but they
have its numbers.
"""


def goes_on(scan: ScanStart, found: ScanStart, beginning: Beginning) -> bool:
    """
    Whether frames are the rest of a scan, as far as its start and theirs can tell.

    Parameters
    ----------
    scan
        How the scan began.
    found
        What the frames tell.
    beginning
        What they do not tell.
    """
    if beginning == "seen" or _geometry(scan) != _geometry(found) or _disagree(scan, found):
        return False
    if beginning == "missed":
        return scan.scan_id == found.scan_id
    return _origin(scan.scan_id) == _origin(found.scan_id)


def _geometry(start: ScanStart) -> tuple[object, ...]:
    return start.scan_shape, start.frame_shape, start.dtype, start.order, start.flyback_frames


def _disagree(scan: ScanStart, found: ScanStart) -> bool:
    """Whether the detector has told one thing of the one and another of the other."""
    told = scan.metadata
    return any(told.get(name, value) != value for name, value in found.metadata.items())


def _origin(scan_id: str) -> tuple[str, str]:
    """The detector, and which scan of a series of many it is; what is between them is the name of the series."""
    return scan_id.partition("-")[0], scan_id.partition(".")[2]
