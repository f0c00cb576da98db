"""Every kind of file can be replayed, in our own protocol and as a detector."""

from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from helpers.intake_process import IntakeProcess
from livestrain_simulator.delivery import Delivery, EmulatedDetector
from livestrain_simulator.errors import NotReplayable
from livestrain_simulator.replay import replay
from livestrain_simulator.send import Sending
from recordings.kinds import every_kind, made
from simulator.emulators.test_played import STORED, free_port, table_of
from simulator.receiving import receiving


@every_kind
def test_frames_arrive_with_the_same_bits_in_the_right_scan(kind: str, tmp_path: Path) -> None:
    path, truth = made(kind, tmp_path)
    stack = truth.ndim == 3
    shape = (1, len(truth)) if stack else truth.shape[:2]
    with receiving() as receiver:
        delivery = Delivery(receiver.endpoint, scan_id="again", sending=Sending(frames_per_message=7))
        if stack:
            with pytest.raises(NotReplayable, match="give --scan-shape ROWSxCOLUMNS"):
                replay(path, delivery)
        replay(path, delivery, scan_shape=shape if stack else None)
        start, frames, end = receiver.whole_scan()
    assert (start.scan_shape, start.frame_shape, end.reason) == (shape, truth.shape[-2:], "complete")
    np.testing.assert_array_equal(frames.reshape(truth.shape), truth)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("dm4", "dectris-v1"),
        ("dectris-master", "dectris-v2"),
        ("mib", "merlin"),
        ("mrc", "asi"),
        ("hdf5-virtual", "asi-tpx3"),
    ],
)
def test_a_file_is_played_by_another_detector(kind: str, name: str, tmp_path: Path) -> None:
    path, truth = made(kind, tmp_path)
    shape = (len(truth), 1) if truth.ndim == 3 else truth.shape[:2]
    stream, control = free_port(), free_port()
    detector = EmulatedDetector(name, stream_port=stream, control_port=control)  # type: ignore[arg-type]
    player = Thread(target=replay, args=(path, Delivery(detector=detector)), kwargs={"scan_shape": shape})
    player.start()
    with IntakeProcess(tmp_path, intake={**table_of(name, stream, control), "scan": {"shape": shape}}) as intake:
        closed = intake.closed()
        ledger, stored = intake.on_disk(closed.scan_id)
    player.join(60)
    assert closed.reason == "complete"
    assert ledger.tolist() == [STORED] * len(ledger)
    np.testing.assert_array_equal(stored, truth.reshape(-1, *truth.shape[-2:]))
