"""The images and the plan that the configuration names, read once at the start."""

import math
import zipfile
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from livestrain_core.errors import NoProbe
from livestrain_daemon.analyses import FrameKind, stage_outputs
from livestrain_daemon.config import AnalysisConfig
from livestrain_daemon.errors import ConfigError, PlanError, StorageError
from livestrain_daemon.plan import CalibrationPlan, Plan, read_plan, recorded_plan, stages_for
from livestrain_daemon.scan.surroundings import GivenImages
from livestrain_daemon.scanfolder.detector_images import DetectorImage
from livestrain_daemon.scanfolder.journal import read_journal
from livestrain_wire.forms import LOOKED_AT_BYTES, NPY, form_of

MOST_IMAGES, MOST_BYTES = 256, 1 << 28
"""Of a vacuum scan so many images are averaged, at most, of so many bytes as float64."""


def read_given(config: AnalysisConfig) -> GivenImages:
    """
    What the configuration's ``analysis`` section points at.

    Raises
    ------
    ConfigError
        If a file is missing or holds something else; names the key and the file.
    """
    probe = _read_vacuum(config)
    usable = _read_image("usable_pixels", config.usable_pixels)
    dark, gain = _read_correction("dark", config.dark), _read_correction("gain", config.gain)
    try:
        plan = _plan(config.plan) if config.plan else None
    except PlanError as error:
        raise ConfigError(f"analysis.plan: {error}") from error
    _try_out("analysis.detectors", _any_plan(config))
    if plan is not None:
        _try_out("analysis.plan", plan)
    return GivenImages(
        vacuum_probe=None if probe is None else probe.astype(np.float32),
        usable_pixels=None if usable is None else usable.astype(np.bool_),
        dark=dark,
        gain=gain,
        plan=plan,
    )


def _read_vacuum(config: AnalysisConfig) -> NDArray[np.generic] | None:
    """An image of the probe, or the mean of a scan of them, each moved onto the same place."""
    images = _read("vacuum_probe", config.vacuum_probe, (2, 3, 4), "one image (rows, columns) or one scan of them")
    if images is None or images.size == 0 or (images.ndim == 2 and config.template != "image"):
        return images
    from livestrain_core.vacuum import average_vacuum, measure_pattern  # noqa: PLC0415 - numba takes its time to import

    probe = images if images.ndim == 2 else average_vacuum(images.reshape(-1, *images.shape[-2:]))
    if config.template == "image":
        try:
            measure_pattern(probe)
        except NoProbe as error:
            raise ConfigError(
                f"analysis.vacuum_probe: no template can be made of {config.vacuum_probe}: {error}"
            ) from error
    return probe


def _plan(path: Path) -> Plan:
    """A recorded plan, from a file or the folder of the scan that had it."""
    if not path.is_dir():
        return read_plan(path)
    try:
        plan = recorded_plan(read_journal(path))
    except StorageError as error:
        raise PlanError(str(error)) from error
    if plan is None:
        raise PlanError(f"expected a plan in the journal of {path}, found none")
    return plan


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


def _read_correction(key: Literal["dark", "gain"], path: Path | None) -> DetectorImage | None:
    """An image that frames are corrected with; NaN where it says nothing of a pixel."""
    image = _read_image(key, path)
    if image is None:
        return None
    with np.errstate(over="ignore"):
        pixels = image.astype(np.float32)
    found = ""
    if not np.isfinite(pixels).any():
        found = "no finite pixel"
    elif np.isinf(pixels).any():
        found = f"{int(np.isinf(pixels).sum())} pixels that are infinite or too large"
    elif key == "gain" and (pixels < 0).any():
        found = f"{int((pixels < 0).sum())} pixels below 0"
    elif key == "gain" and not (pixels > 0).any():
        found = "no pixel above 0"
    if found:
        raise ConfigError(
            f"analysis.{key}: expected finite {'factors' if key == 'gain' else 'counts'} in {path}, found {found}"
        )
    return DetectorImage.of(pixels)


def _read_image(key: str, path: Path | None) -> NDArray[np.generic] | None:
    return _read(key, path, (2,), "one image (rows, columns)")


def _read(key: str, path: Path | None, ndims: tuple[int, ...], what: str) -> NDArray[np.generic] | None:
    if path is None:
        return None
    try:
        image = _from_file(path, ndims)
    except FileNotFoundError as error:
        raise ConfigError(f"analysis.{key}: there is no file {path.absolute()}") from error
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise ConfigError(f"analysis.{key}: expected a .npy or HDF5 file at {path}, found {error}") from error
    if image is None or image.ndim not in ndims or image.dtype.kind not in "buif":
        raise ConfigError(f"analysis.{key}: expected {what} in {path}")
    return image


def _from_file(path: Path, ndims: tuple[int, ...]) -> NDArray[np.generic] | None:
    """What a file holds, by its form and not by its name."""
    with path.open("rb") as file:
        beginning = file.read(LOOKED_AT_BYTES)
    if beginning.startswith(NPY):
        return _from_npy(path)
    # HDF5 may have a block of something else before it
    if h5py.is_hdf5(path):
        return _from_hdf5(path, ndims)
    raise ValueError(form_of(beginning))


def _from_npy(path: Path) -> NDArray[np.generic]:
    # a scan is not read as a whole
    return _spread(np.load(path, mmap_mode="r", allow_pickle=False))


def _from_hdf5(path: Path, ndims: tuple[int, ...]) -> NDArray[np.generic] | None:
    """The only image of a file, or else its only scan; None where there are none or several."""
    found: list[h5py.Dataset] = []
    with h5py.File(path) as file:
        file.visititems(lambda _, item: found.append(item) if getattr(item, "ndim", 0) in ndims else None)
        best = [item for item in found if item.ndim == min(one.ndim for one in found)]
        return _spread(best[0]) if len(best) == 1 else None


def _spread(stored: NDArray[np.generic] | h5py.Dataset) -> NDArray[np.generic]:
    """An array; of a scan some images, spread evenly over it, that fit into memory."""
    if stored.ndim < 3 or 0 in stored.shape:
        return np.array(stored)
    scan, frame = stored.shape[:-2], stored.shape[-2:]
    most = max(min(MOST_IMAGES, MOST_BYTES // (math.prod(frame) * 8)), 1)
    count = math.prod(scan)
    places = range(count) if count <= most else [i * count // most for i in range(most)]
    return np.stack([np.asarray(stored[np.unravel_index(i, scan)]) for i in places])
