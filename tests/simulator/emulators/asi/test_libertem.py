"""The receiver of LiberTEM takes what the emulator sends; skipped where libertem-asi-tpx3 is not installed."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers.asi import LARGEST, emulated, fed, sparse
from helpers.waiting import wait_until
from livestrain_daemon.intake.detectors.asi.scans import ScanReading
from livestrain_daemon.intake.detectors.patience import Patience

REASON = "libertem-asi-tpx3 is not installed"
SHAPE = (4, 10)


def received(theirs: Any, client: Any, stacks: Any) -> NDArray[Any]:
    """(frames, pixels) of one scan, each row from its own part of the sparse arrays."""
    rows = []
    while (stack := stacks(7)) is not None:
        for layout, *arrays in client.get_chunks(handle=stack):
            types = layout.get_indptr_dtype(), layout.get_indices_dtype(), layout.get_value_dtype()
            pointers, indices, values = (
                np.frombuffer(array, kind).copy() for array, kind in zip(arrays, types, strict=True)
            )
            for first, last in pairwise(pointers):
                row = np.zeros(24 * 32, np.uint64)
                row[indices[first:last]] = values[first:last]
                rows.append(row)
        arrays = []
        client.done(stack)
    return np.array(rows)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
@pytest.mark.parametrize("chunk_frames", [1, 16])
def test_libertem_receives_every_frame_of_every_scan_to_the_last_bit(
    dtype: str, chunk_frames: int, tmp_path: Path
) -> None:
    theirs = pytest.importorskip("libertem_asi_tpx3", reason=REASON)
    frames = sparse(SHAPE[0] * SHAPE[1], dtype=dtype)
    chosen: dict[str, Any] = {"form": "tpx3", "scan_shape": SHAPE, "scans": 2, "chunk_frames": chunk_frames}
    with emulated(frames, **chosen) as server:
        handle = str(tmp_path / "shared")
        connection = theirs.ASITpx3Connection(
            uri=f"127.0.0.1:{server.emulator.data_port}",
            chunks_per_stack=4,
            handle_path=handle,
            num_slots=50,
            bytes_per_chunk=1 << 18,
            huge=False,
        )
        client = None
        try:
            connection.start_passive()
            wait_until(lambda: server.emulator.listeners, what="a data connection")
            server.emulator.start()
            for _ in range(2):
                header = connection.wait_for_arm(20)
                assert header.get_nav_shape() == SHAPE
                assert header.get_sig_shape() == (24, 32)
                client = client or theirs.CamClient(handle_path=handle)
                found = received(theirs, client, connection.get_next_stack)
                np.testing.assert_array_equal(found, frames.reshape(len(frames), -1))
        finally:
            if client:
                client.close()
            connection.close()


def test_the_data_of_libertems_own_simulation_are_read_to_the_last_bit() -> None:
    theirs = pytest.importorskip("libertem_asi_tpx3", reason=REASON)
    frames = np.minimum(sparse(6, 512, 512), 3)
    flat = frames.reshape(6, -1)
    rows, indices = np.nonzero(flat)
    pointers = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=6))])
    data = theirs.make_sim_data((2, 3), pointers.astype("u4"), indices.astype("u4"), flat[rows, indices].astype("u4"))
    reading = ScanReading(Patience(), LARGEST)
    heard = fed(reading, bytes(data), at_once=1000, quiet=True)
    # theirs always says 516 x 516 or 512 x 512; the numbers of pixels are what counts
    (start,) = heard.starts
    assert start.scan_shape == (2, 3)
    found = heard.frames()
    assert sorted(found) == list(range(6))
    for number, frame in found.items():
        np.testing.assert_array_equal(frame.reshape(-1)[: 512 * 512], flat[number])
    assert not heard.troubles
