"""Messages of a CheeTah TPX3."""

import json
import struct
from collections.abc import Mapping, Sequence

import numpy as np

from livestrain_simulator.emulators.asi.forms import Frame, Kind
from livestrain_simulator.emulators.faults import Action

VERSION = 7
CSR = 0
CODES = {"uint8": 2, "uint16": 3, "uint32": 4}
POINTERS = np.dtype("<u4")
INDICES = np.dtype("<u4")
TOO_LONG = (1 << 32) - 1

_ACQUISITION = struct.Struct("<BBBHHBHHBI15x")
_SCAN = struct.Struct("<BIQ19x")
_CHUNK = struct.Struct("<BBIIII14x")
_END = struct.Struct("<BI27x")


def acquisition_start(sequence: int, scan_shape: tuple[int, int], frame_shape: tuple[int, int]) -> bytes:
    """Scans of this form follow."""
    pointers, indices = CODES[POINTERS.name], CODES[INDICES.name]
    return _ACQUISITION.pack(0, VERSION, CSR, *scan_shape, pointers, *frame_shape, indices, sequence)


def scan_start(sequence: int, metadata: Mapping[str, object]) -> bytes:
    """A scan begins."""
    text = json.dumps(dict(metadata)).encode() if metadata else b""
    return _SCAN.pack(1, sequence, len(text)) + text


def scan_end(sequence: int) -> bytes:
    """A scan has ended."""
    return _END.pack(3, sequence)


def acquisition_end(sequence: int) -> bytes:
    """Nothing more comes."""
    return _END.pack(4, sequence)


def chunk(kind: Kind, frames: Sequence[Frame], actions: Sequence[Action] = ()) -> bytes:
    """
    Frames as a sparse matrix, one row for each.

    Parameters
    ----------
    kind
        How they are sent.
    frames
        (rows, columns) each.
    actions
        What happens to them.
    """
    flat = np.stack(frames).reshape(len(frames), -1)
    rows, indices = np.nonzero(flat)
    values = flat[rows, indices].astype(kind.dtype.newbyteorder("<"))
    pointers = np.zeros(len(frames) + 1, POINTERS)
    np.cumsum(np.bincount(rows, minlength=len(frames)), out=pointers[1:])
    indices = indices.astype(INDICES)
    if "corrupt" in actions:
        # more frames than it has, in places where there are none
        pointers = pointers[::-1] + POINTERS.type(1)
    indices_offset = pointers.nbytes
    values_offset = indices_offset + indices.nbytes
    length = TOO_LONG if "bad_length" in actions else len(indices)
    header = _CHUNK.pack(2, CODES[kind.dtype.name], len(frames), length, indices_offset, values_offset)
    body = pointers.tobytes() + indices.tobytes() + values.tobytes()
    return header + (body[: len(body) // 2] if "truncate" in actions else body)
