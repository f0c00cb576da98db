import numpy as np
import pytest

from livestrain_daemon.intake.detectors.alignment import aligned


@pytest.mark.parametrize("offset", range(9))
@pytest.mark.parametrize("dtype", [">u1", ">u2", ">u4", ">u8"])
def test_pixels_at_any_address_stay_the_same(offset: int, dtype: str) -> None:
    received = np.random.default_rng(offset).integers(0, 256, 200, np.uint8)
    sent = received[offset : offset + 160].view(dtype)
    found = aligned(sent)
    assert found.flags.aligned
    assert (found.dtype, found.tobytes()) == (sent.dtype, sent.tobytes())


def test_pixels_that_are_aligned_are_not_copied() -> None:
    sent = np.zeros(8, ">u2")
    assert aligned(sent) is sent
