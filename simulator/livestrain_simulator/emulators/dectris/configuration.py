"""The configuration of an emulated detector, by the keys of its REST interface."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_simulator.emulators.dectris.series import Setting

INTERNAL = ("ints", "inte")
BY_IMAGE = ("exte", "inte")
"""Trigger modes in which each image has its own trigger."""
MODE: dict[str, Setting] = {"mode": "enabled", "format": "cbor", "header_detail": "all"}
"""Of its stream in the beginning."""

_CHOICES: dict[str, tuple[Setting, ...]] = {
    "trigger_mode": ("exts", "exte", "ints", "inte"),
    "compression": ("none", "lz4", "bslz4"),
    "roi_mode": ("disabled",),
    "mode": ("enabled", "disabled"),
    "format": ("legacy", "cbor"),
    "header_detail": ("all", "basic", "none"),
}


class NotAccepted(ValueError):
    """A command or a value that the detector does not take now."""


def change(values: dict[str, Setting], key: str, value: Setting) -> list[str]:
    """
    Change a value; the keys that changed.

    Raises
    ------
    NotAccepted
        If there is no such key, or the value is none of its values.
    """
    if isinstance(values.get(key), float) and type(value) is int:
        value = float(value)
    if key not in values or type(value) is not type(values[key]):
        raise NotAccepted(f"{key}: no such key, or not a value of it: {value!r:.40}")
    if key in _CHOICES and value not in _CHOICES[key]:
        raise NotAccepted(f"{key}: expected one of {_CHOICES[key]}, found {value!r:.40}")
    if key in ("nimages", "ntrigger") and isinstance(value, int) and value < 1:
        raise NotAccepted(f"{key}: expected 1 or more, found {value}")
    values[key] = value
    return [key]


def images_per_trigger(detector: Mapping[str, Setting]) -> int:
    """As the trigger mode has it."""
    return 1 if detector["trigger_mode"] in BY_IMAGE else int(detector["nimages"])


def defaults(first: NDArray[Any]) -> dict[str, Setting]:
    """Of a detector whose first image (rows, columns) this is."""
    rows, columns = first.shape
    return {
        "bit_depth_image": 8 * first.dtype.itemsize,
        "bit_depth_readout": 8 * first.dtype.itemsize,
        "compression": "bslz4",
        "count_time": 0.0009,
        "countrate_correction_applied": False,
        "countrate_correction_count_cutoff": int(np.iinfo(first.dtype).max) - 1,
        "description": "livestrain emulator",
        "detector_number": "E-00-0000",
        "frame_time": 0.001,
        "incident_energy": 200_000.0,
        "nimages": 1,
        "ntrigger": 1,
        "photon_energy": 200_000.0,
        "pixel_mask_applied": True,
        "roi_bit_depth": 8 * first.dtype.itemsize,
        "roi_mode": "disabled",
        "roi_y_size": rows,
        "trigger_mode": "exts",
        "x_pixels_in_detector": columns,
        "y_pixels_in_detector": rows,
    }
