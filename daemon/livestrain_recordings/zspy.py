"""Frames in ``.zspy`` files of HyperSpy, through zarr."""

import warnings
from contextlib import ExitStack
from importlib import import_module
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_recordings.errors import ExtraMissing, NoFrames, UnusableRecording
from livestrain_recordings.formats import EXTRA, one_line
from livestrain_recordings.hdf5_facts import TEM, TEM_FACTS, plain
from livestrain_recordings.recording import LARGEST_CHUNK_BYTES, Fact, Recording, checked_shape, given_type
from livestrain_recordings.units import Axis, axis_facts

EXPERIMENTS = "Experiments"


def open_zspy(path: Path, dataset: str | None) -> Recording:
    """
    Frames of a signal; errors as `livestrain_recordings.opening.open_recording`.

    Parameters
    ----------
    path
        A folder, or a zip archive of it.
    dataset
        Name of the signal where the file holds several; None takes the largest with the most axes.
    """
    zarr = _zarr(path)
    with ExitStack() as stack:
        try:
            store = str(path) if path.is_dir() else stack.enter_context(_quietly(zarr.ZipStore, str(path), mode="r"))
            name, group, array = _chosen(path, _quietly(zarr.open_group, store, mode="r"), dataset)
            facts = _facts(group, array.ndim)
        except (NoFrames, MemoryError):
            raise
        except Exception as error:
            # a file may ask zarr for anything
            raise OSError(f"{path}: not a readable .zspy file: {one_line(error)}") from error
        shape = checked_shape(path, name, tuple(array.shape))
        given = given_type(path, name, array.dtype)
        if prod(array.chunks) * array.dtype.itemsize > LARGEST_CHUNK_BYTES:
            raise UnusableRecording(
                f"{path}: {name}: expected chunks of at most {LARGEST_CHUNK_BYTES} bytes, found {array.chunks}"
            )

        def read(piece: Any) -> NDArray[Any]:
            try:
                return np.asarray(array[piece])
            except Exception as error:
                raise OSError(one_line(error)) from error

        return Recording(path, name, shape, given, read, array.chunks[:-2], facts, resources=stack.pop_all())


def _zarr(path: Path) -> Any:
    try:
        # what a file holds must never be run
        import_module("numcodecs.registry").codec_registry.pop("pickle", None)
        return import_module("zarr")
    except ModuleNotFoundError as error:
        raise ExtraMissing(f"{path}: a .zspy file needs {EXTRA}") from error


def _quietly(called: Any, *arguments: Any, **options: Any) -> Any:
    """Without zarr's announcements of its own future."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return called(*arguments, **options)


def _chosen(path: Path, root: Any, dataset: str | None) -> tuple[str, Any, Any]:
    named = root[EXPERIMENTS]
    found = [(name, named[name], named[name]["data"]) for name in named.group_keys() if "data" in named[name]]
    fitting = [one for one in found if one[2].ndim in {3, 4} and dataset in {None, one[0]}]
    if not fitting:
        what = f"no signal {dataset!r} of frames" if dataset else "no signal with three or four axes"
        raise NoFrames(f"{path}: {what}, which would be (scan_rows, scan_columns, rows, columns)")
    return max(fitting, key=lambda one: (one[2].ndim, one[2].size))


def _facts(group: Any, ndim: int) -> dict[str, Fact]:
    tem = group[TEM].attrs if TEM in group else {}
    told = {ours: plain(tem.get(name)) for name, ours in TEM_FACTS.items()}
    facts: dict[str, Fact] = {name: value for name, value in told.items() if isinstance(value, (int, float))}
    axes = [group[f"axis-{number}"].attrs if f"axis-{number}" in group else {} for number in range(ndim)]
    scales = [Axis(float(axis.get("scale", 0)), str(axis.get("units", ""))) for axis in axes]
    energy = facts.get("energy_kev")
    return {**axis_facts(scales[:-2], scales[-2:], energy if isinstance(energy, (int, float)) else None), **facts}
