"""A detector that announces other frames than the scan has positions: said at once, filled as far as it goes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.dectris import emulated, noise
from helpers.intake_process import IntakeProcess
from livestrain_daemon.messages import FaultSeen, ScanOpened, Stored

STORED, MISSING = 1, 2


@pytest.mark.parametrize(
    ("scan", "counts", "shapes"),
    [
        # given: what does not come is missing, and the next scan is whole
        ({"shape": [3, 3]}, (7, 9), ((3, 3), (3, 3))),
        # a square by count, and what makes no square
        ({}, (7, 9), ((4, 2), (3, 3))),
    ],
    ids=["given", "by count"],
)
def test_a_count_that_does_not_fit_is_said_before_the_first_frame_and_fills_what_it_can(
    tmp_path: Path, scan: dict[str, Any], counts: tuple[int, int], shapes: tuple[tuple[int, int], ...]
) -> None:
    frames = noise(max(counts), 6, 8)
    with emulated(frames, stream={"format": "cbor"}) as server:
        port = server.emulator.outlet.port("cbor")
        table = {"host": "127.0.0.1", "stream": "v2", "stream_port": port, "rest_port": server.port}
        with IntakeProcess(tmp_path, intake={"dectris": table, "scan": scan}) as intake:
            for count, shape in zip(counts, shapes, strict=True):
                server.emulator.set_value(server.emulator.detector, "nimages", count)
                server.emulator.arm()
                closed = intake.closed()
                positions = shape[0] * shape[1]
                assert (closed.stored, closed.missing) == (count, positions - count)
                states, stored = intake.on_disk(closed.scan_id)
                assert states.tolist() == [STORED] * count + [MISSING] * (positions - count)
                assert np.array_equal(stored[:count], frames[:count])
            assert [one.start.scan_shape for one in intake.of(ScanOpened)] == list(shapes)
            told = [one for one in intake.messages if isinstance(one, FaultSeen) and one.kind == "wrong_count"]
            (said,) = told
            assert "7" in said.text
            assert intake.messages.index(said) < intake.messages.index(intake.of(Stored)[0])
