"""A small file of every kind that is read, and what it holds."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from numpy.typing import NDArray

from helpers.gatan import Calibration, Form, write_dm
from helpers.merlin import frames_of
from helpers.tia import write_emi, write_ser
from livestrain_simulator.emulators.merlin.file import write_mib
from livestrain_simulator.emulators.merlin.pixels import PixelKind
from recordings.test_blockfile import FRAMES as SQUARE
from recordings.test_blockfile import write_blo
from recordings.test_dectris import FRAMES as COUNTED
from recordings.test_dectris import write_master
from recordings.test_empad import FRAMES as FLOATS
from recordings.test_empad import write_empad
from recordings.test_formats import write_mrc, write_velox
from recordings.whole import CUBE
from recordings.written import write

Made = tuple[Path, NDArray[Any]]
"""A file, and its frames: with four axes where it tells the scan, else with three."""
STACK = CUBE.reshape(30, 16, 24)
LENGTHS = [Calibration(2.0, "nm")] * 2
FREQUENCIES = [Calibration(0.05, "1/nm")] * 2


def _hdf5(folder: Path) -> Made:
    with h5py.File(folder / "scan.h5", "w") as file:
        file.create_dataset("deep/frames", data=CUBE, chunks=(2, 5, 16, 24), **hdf5plugin.Bitshuffle())
    return folder / "scan.h5", CUBE


def _virtual(folder: Path) -> Made:
    layout = h5py.VirtualLayout(CUBE.shape, CUBE.dtype)
    for row, frames in enumerate(CUBE):
        with h5py.File(folder / f"row_{row}.h5", "w") as file:
            file.create_dataset("data", data=frames, chunks=(1, 16, 24), **hdf5plugin.Bitshuffle())
        layout[row] = h5py.VirtualSource(f"row_{row}.h5", "data", frames.shape)
    with h5py.File(folder / "scan.nxs", "w") as file:
        file.create_virtual_dataset("entry/data/data", layout)
    return folder / "scan.nxs", CUBE


def _linked(folder: Path) -> Made:
    _hdf5(folder)
    with h5py.File(folder / "links.h5", "w") as file:
        file["measured/frames"] = h5py.ExternalLink("scan.h5", "/deep/frames")
    return folder / "links.h5", CUBE


def _npy(folder: Path) -> Made:
    np.save(folder / "scan.npy", CUBE)
    return folder / "scan.npy", CUBE


def _npy_stack(folder: Path) -> Made:
    np.save(folder / "stack.npy", STACK)
    return folder / "stack.npy", STACK


def _mib(folder: Path) -> Made:
    kind = PixelKind("U16", 12, "1x1")
    frames = frames_of(kind, 6).astype(np.uint16)
    write_mib(folder / "scan.mib", frames, kind, (2, 3))
    return folder / "scan.mib", frames.reshape(2, 3, *frames.shape[1:])


def _mib_alone(folder: Path) -> Made:
    path, frames = _mib(folder)
    path.with_suffix(".hdr").unlink()
    return path, frames.reshape(6, *frames.shape[2:])


def _mrc(folder: Path) -> Made:
    write_mrc(folder / "stack.mrc", STACK)
    return folder / "stack.mrc", STACK


def _velox(folder: Path) -> Made:
    write_velox(folder / "stack.emd", STACK)
    return folder / "stack.emd", STACK


def _dm4(form: Form, data: NDArray[Any], axes: list[Calibration]) -> Callable[[Path], Made]:
    def written(folder: Path) -> Made:
        truth = data if axes[0] in LENGTHS else CUBE
        return write_dm(folder / f"scan.dm{form.version}", data, axes, form=form), truth

    return written


def _by_rosettasciio(suffix: str, data: NDArray[Any]) -> Callable[[Path], Made]:
    return lambda folder: (write(folder / f"scan{suffix}", data), data)


NATIVE: dict[str, Callable[[Path], Made]] = {
    "hdf5": _hdf5,
    "hdf5-virtual": _virtual,
    "hdf5-linked": _linked,
    "dectris-master": lambda folder: (write_master(folder), COUNTED),
    "npy": _npy,
    "npy-stack": _npy_stack,
    "mib": _mib,
    "mib-without-hdr": _mib_alone,
    "blo": lambda folder: (write_blo(folder / "scan.blo"), SQUARE),
    "empad": lambda folder: (write_empad(folder, FLOATS), FLOATS),
}
"""Read by our own readers."""
THROUGH: dict[str, Callable[[Path], Made]] = {
    "hspy": _by_rosettasciio(".hspy", CUBE),
    "zspy": _by_rosettasciio(".zspy", CUBE),
    "emd": _by_rosettasciio(".emd", CUBE),
    "velox-emd": _velox,
    "dm4": _dm4(Form(4), CUBE, LENGTHS + FREQUENCIES),
    "dm4-frames-first": _dm4(Form(4), np.ascontiguousarray(CUBE.transpose(2, 3, 0, 1)), FREQUENCIES + LENGTHS),
    "dm4-stack": _dm4(Form(4), STACK, LENGTHS[:1] + FREQUENCIES),
    "dm3-stack": _dm4(Form(3), STACK, LENGTHS[:1] + FREQUENCIES),
    "ser": lambda folder: (write_ser(folder / "stack.ser", STACK), STACK),
    "emi": lambda folder: (write_emi(folder / "stack.emi", STACK), STACK),
    "mrc": _mrc,
}
"""Read, or written by the test, through rosettasciio."""
STACKS = (
    "dectris-master", "npy-stack", "mib-without-hdr", "velox-emd", "dm4-stack", "dm3-stack", "ser", "emi", "mrc",
)  # fmt: skip
"""Those that do not tell the shape of the scan."""


def made(kind: str, folder: Path) -> Made:
    """A file of a kind; the test is skipped where rosettasciio is needed and not installed."""
    if kind in THROUGH and importlib.util.find_spec("rsciio") is None:
        pytest.skip("rosettasciio (the extra formats) is not installed")
    return (NATIVE | THROUGH)[kind](folder)


every_kind = pytest.mark.parametrize("kind", [*NATIVE, *THROUGH])
