"""The receiver of LiberTEM takes what the emulator sends; skipped where libertem-qd-mpx is not installed."""

from pathlib import Path

import numpy as np
import pytest

from helpers.merlin import LAYOUTS, acquire, frames_of, kind_name
from livestrain_simulator.emulators.merlin import MerlinEmulator, PixelKind, from_array

ONE_BIT_TO_TWELVE = [("U01", 1), ("U08", 6), ("U16", 12), ("R64", 1), ("R64", 6), ("R64", 12)]
KINDS = [PixelKind(code, depth, layout) for layout in ("1x1", "2x2", "2x2G") for code, depth in ONE_BIT_TO_TWELVE]
KINDS += [PixelKind(code, 24, layout) for layout in ("1x1", "2x2", "2x2G") for code in ("U32", "U64")]
"""All that theirs knows: no raw frames of 24 bit, no row of chips."""


@pytest.mark.parametrize("kind", KINDS, ids=kind_name)
def test_libertem_receives_every_frame_to_the_last_bit(kind: PixelKind, tmp_path: Path) -> None:
    theirs = pytest.importorskip("libertem_qd_mpx", reason="libertem-qd-mpx is not installed")
    frames = frames_of(kind, 10)
    with MerlinEmulator(from_array(frames), kind) as emulator:
        handle = str(tmp_path / "shared")
        connection = theirs.QdConnection(
            data_host="127.0.0.1",
            data_port=emulator.data_port,
            frame_stack_size=4,
            shm_handle_path=handle,
            num_slots=8,
            bytes_per_frame=frames[0].size * 8,
        )
        client = theirs.CamClient(handle_path=handle)
        received = np.zeros((10, *LAYOUTS[kind.layout]), np.float64)
        try:
            connection.start_passive()
            acquire(emulator, NUMFRAMESTOACQUIRE=10, TRIGGERSTART=5, NUMFRAMESPERTRIGGER=10)
            # theirs is armed by the first frame
            emulator.ask("CMD,SOFTTRIGGER")
            assert connection.wait_for_arm(10) is not None
            done = 0
            while (stack := connection.get_next_stack(8)) is not None:
                client.decode_range_into_buffer(stack, received[done : done + len(stack)], 0, len(stack))
                done += len(stack)
                client.done(stack)
            assert done == 10
        finally:
            client.close()
            connection.close()
    np.testing.assert_array_equal(received, frames)
