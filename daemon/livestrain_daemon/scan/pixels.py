"""Which pixels of a scan no analysis may use, and from which counts on one says nothing."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.errors import StorageError
from livestrain_daemon.scan.live import LiveScan
from livestrain_daemon.scanfolder.marked import load_unusable
from livestrain_daemon.unusable import unusable_runs
from livestrain_wire.messages import Run


class PixelLimits(NamedTuple):
    """What holds for a scan's pixels while no plan says otherwise."""

    unusable: tuple[Run, ...]
    """As runs over the flat frame."""
    saturation: float | None
    """Stored counts from which on a pixel says nothing [counts]; None: none saturates."""


def pixel_limits(scan: LiveScan, usable: NDArray[np.bool_] | None, saturation: float | None) -> PixelLimits:
    """
    What the configuration and the detector say together.

    Parameters
    ----------
    scan
        Whose detector; what of it holds is told there.
    usable : (rows, columns)
        True where the configuration lets a pixel be used; None: everywhere.
    saturation
        Of the configuration, which wins [counts].
    """
    told = []
    marked = _marked(scan)
    if marked is not None:
        told.append(f"{int(marked.sum())} pixels are left out that the detector marks")
        usable = ~marked if usable is None else usable & ~marked
    if saturation is None and scan.opened.start.saturation is not None:
        saturation = scan.opened.start.saturation
        told.append(f"pixels are saturated from {saturation:g} counts on, as the detector says")
    if told:
        scan.notebook.tell("detector_pixels", "; ".join(told))
    return PixelLimits(() if usable is None else unusable_runs(usable), saturation)


def _marked(scan: LiveScan) -> NDArray[np.bool_] | None:
    try:
        return load_unusable(scan.folder, scan.opened.start.frame_shape)
    except StorageError as error:
        scan.notebook.tell("detector_pixels_not_used", str(error), "warning")
        return None
