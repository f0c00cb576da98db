"""The images and the plan that the configuration names, read once at the start."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.config import AnalysisConfig
from livestrain_daemon.errors import ConfigError, PlanError
from livestrain_daemon.plan import read_plan
from livestrain_daemon.scan.surroundings import GivenImages


def read_given(config: AnalysisConfig) -> GivenImages:
    """
    What the configuration's ``analysis`` section points at.

    Raises
    ------
    ConfigError
        If a file is missing or holds something else; names the key and the file.
    """
    probe = _read_image("vacuum_probe", config.vacuum_probe)
    usable = _read_image("usable_pixels", config.usable_pixels)
    try:
        plan = read_plan(config.plan) if config.plan else None
    except PlanError as error:
        raise ConfigError(f"analysis.plan: {error}") from error
    return GivenImages(
        vacuum_probe=None if probe is None else probe.astype(np.float32),
        usable_pixels=None if usable is None else usable.astype(np.bool_),
        plan=plan,
    )


def _read_image(key: str, path: Path | None) -> NDArray[np.generic] | None:
    if path is None:
        return None
    try:
        image = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ConfigError(f"analysis.{key}: expected a .npy file at {path}, found {error}") from error
    if not isinstance(image, np.ndarray) or image.ndim != 2 or image.dtype.kind not in "buif":
        raise ConfigError(f"analysis.{key}: expected an image (rows, columns) in {path}")
    return image
