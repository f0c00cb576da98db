from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.config import Config
from livestrain_daemon.dispatch.queue import JobQueue
from livestrain_daemon.plan import Plan
from livestrain_daemon.publish.publisher import Publisher
from livestrain_daemon.scanfolder.detector_images import DetectorImage


@dataclass(frozen=True)
class GivenImages:
    """What the configuration names, read once at the start."""

    vacuum_probe: NDArray[np.float32] | None = None
    """(rows, columns) [counts]"""
    usable_pixels: NDArray[np.bool_] | None = None
    """(rows, columns)"""
    dark: DetectorImage | None = None
    """(rows, columns) [counts]"""
    gain: DetectorImage | None = None
    """(rows, columns)"""
    plan: Plan | None = None
    """A recorded plan to use instead of a calibration."""


@dataclass(frozen=True)
class Surroundings:
    """What every scan works with and none owns."""

    config: Config
    given: GivenImages
    publisher: Publisher
    jobs: JobQueue
