"""The images and the plan that the configuration names, read once at the start."""

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.analyses import FrameKind, stage_outputs
from livestrain_daemon.config import AnalysisConfig
from livestrain_daemon.errors import ConfigError, PlanError
from livestrain_daemon.plan import CalibrationPlan, Plan, read_plan, stages_for
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
    _try_out("analysis.detectors", _any_plan(config))
    if plan is not None:
        _try_out("analysis.plan", plan)
    return GivenImages(
        vacuum_probe=None if probe is None else probe.astype(np.float32),
        usable_pixels=None if usable is None else usable.astype(np.bool_),
        plan=plan,
    )


def _any_plan(config: AnalysisConfig) -> Plan:
    """A plan with every usual analysis and these detectors."""
    calibration = CalibrationPlan(
        centre=(32.0, 32.0), radius_px=4.0, edge_px=1.0, g1=(0.0, 16.0), g2=(16.0, 0.0), hk=((0, 0), (0, 1), (1, 0))
    )
    return Plan.model_construct(
        calibration=calibration, detectors=config.detectors, unusable=(), stages=stages_for(calibration)
    )


def _try_out(key: str, plan: Plan) -> None:
    """Refuses a plan that no scan could be analysed under."""
    try:
        stage_outputs(plan, FrameKind((64, 64), np.dtype(np.uint16)))
    except PlanError as error:
        raise ConfigError(f"{key}: {error}") from error


def _read_image(key: str, path: Path | None) -> NDArray[np.generic] | None:
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            image = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise ConfigError(f"analysis.{key}: expected a .npy file at {path}, found {error}") from error
    if isinstance(image, np.lib.npyio.NpzFile):
        image.close()
    if not isinstance(image, np.ndarray) or image.ndim != 2 or image.dtype.kind not in "buif":
        raise ConfigError(f"analysis.{key}: expected an image (rows, columns) in {path}")
    return image
