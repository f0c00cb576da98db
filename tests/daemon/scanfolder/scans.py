"""Small scans, and second processes that look at them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from livestrain_daemon.scanfolder import FrameLayout, Ring, create_frames, provenance
from livestrain_wire.messages import ScanStart

Pixels = npt.NDArray[Any]


def scan_start(shape: tuple[int, int] = (4, 5), frame: tuple[int, int] = (6, 7), **fields: Any) -> ScanStart:
    return ScanStart.model_validate(
        {"scan_id": "s", "scan_shape": shape, "frame_shape": frame, "dtype": "uint16", **fields}
    )


def new_scan(folder: Path, start: ScanStart | None = None, ring: Ring | None = None) -> FrameLayout:
    folder.mkdir(exist_ok=True)
    return create_frames(folder, start or scan_start(), provenance(), ring)


def pixels(layout: FrameLayout, seed: int = 0) -> Pixels:
    """Different frames for every position."""
    shape = (layout.positions, *layout.frame_shape)
    return np.random.default_rng(seed).integers(0, 250, shape).astype(layout.dtype)


def run_child(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@contextmanager
def child(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A process to talk to in lines; it ends when its input does."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            _pipe(process.stdin).close()
            process.wait(timeout=30)


def ask(process: subprocess.Popen[str], question: str = "") -> Any:
    """One line to a child, one line of JSON back."""
    stream = _pipe(process.stdin)
    stream.write(question + "\n")
    stream.flush()
    return json.loads(_pipe(process.stdout).readline())


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream
