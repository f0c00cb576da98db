"""The images and the plan that the configuration names, read once at the start."""

import zipfile
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.analyses import FrameKind, stage_outputs
from livestrain_daemon.config import AnalysisConfig
from livestrain_daemon.errors import ConfigError, PlanError
from livestrain_daemon.plan import CalibrationPlan, Plan, read_plan, stages_for
from livestrain_daemon.scan.surroundings import GivenImages

HDF5 = (".h5", ".hdf5", ".emd", ".nxs")


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
    dark, gain = _read_image("dark", config.dark), _read_image("gain", config.gain)
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
        dark=None if dark is None else dark.astype(np.float32),
        gain=None if gain is None else gain.astype(np.float32),
        plan=plan,
    )


def _any_plan(config: AnalysisConfig) -> Plan:
    """A plan with every usual analysis and these detectors."""
    calibration = CalibrationPlan(
        centre=(32.0, 32.0), radius_px=4.0, edge_px=1.0, g1=(0.0, 16.0), g2=(16.0, 0.0), hk=((0, 0), (0, 1), (1, 0))
    )
    return Plan.model_construct(
        calibration=calibration,
        detectors=config.detectors,
        unusable=(),
        detect=config.detect,
        stages=stages_for(calibration, "both"),
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
        image = _from_hdf5(path) if path.suffix in HDF5 else _from_npy(path)
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise ConfigError(f"analysis.{key}: expected a .npy or HDF5 file at {path}, found {error}") from error
    if image is None or image.ndim != 2 or image.dtype.kind not in "buif":
        raise ConfigError(f"analysis.{key}: expected one image (rows, columns) in {path}")
    return image


def _from_npy(path: Path) -> NDArray[np.generic] | None:
    with path.open("rb") as file:
        image = np.load(file, allow_pickle=False)
    if isinstance(image, np.lib.npyio.NpzFile):
        image.close()
    return image if isinstance(image, np.ndarray) else None


def _from_hdf5(path: Path) -> NDArray[np.generic] | None:
    """The only image of a file; None where there are none or several."""
    images: list[h5py.Dataset] = []
    with h5py.File(path) as file:
        file.visititems(lambda _, item: images.append(item) if getattr(item, "ndim", 0) == 2 else None)
        return np.asarray(images[0]) if len(images) == 1 else None
