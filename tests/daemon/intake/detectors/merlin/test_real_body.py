import numpy as np
import pytest

from helpers.rig import SHARED_DATA
from livestrain_daemon.intake.detectors.events import SeriesFrames
from livestrain_daemon.intake.detectors.merlin.acquisition import Acquisitions
from livestrain_daemon.intake.detectors.patience import Patience

REAL = SHARED_DATA / "merlin" / "instamatic"


@pytest.mark.skipif(not REAL.exists(), reason=f"the data set {REAL} is not on this machine")
def test_the_real_body_of_a_frame_is_the_expected_array_upside_down() -> None:
    body = (REAL / "merlin_raw_dataframe.bin").read_bytes()
    expected = np.load(REAL / "merlin_expected_data.npy")
    assert body[:1] == b","
    acquisitions = Acquisitions(Patience())
    acquisitions.take(memoryview(body)[1:], 0.0)
    acquisitions.tick(5.0)
    (frames,) = [event for event in acquisitions.events() if isinstance(event, SeriesFrames)]
    frame = np.frombuffer(frames.payload, "<u2").reshape(512, 512)
    np.testing.assert_array_equal(frame[::-1], expected)
