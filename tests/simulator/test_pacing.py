import pytest

from livestrain_simulator.pacing import Pacer, per_dwell


class Clock:
    """Time that passes only when somebody waits, and then always a little too long."""

    def __init__(self, late_ns: int) -> None:
        self.now_ns = 5_000_000_000
        self.late_ns = late_ns

    def read(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9) + self.late_ns


def test_late_wake_ups_do_not_add_up() -> None:
    clock = Clock(late_ns=300_000)
    pacer = Pacer(1000.0, clock.read, clock.sleep)
    begin = clock.now_ns
    for frame in range(10_001):
        pacer.wait_for(frame)
    assert clock.now_ns - begin == pytest.approx(10e9, abs=400_000)


def test_a_sender_that_fell_behind_catches_up_without_waiting() -> None:
    clock = Clock(late_ns=0)
    pacer = Pacer(1000.0, clock.read, clock.sleep)
    pacer.wait_for(0)
    clock.now_ns += 50_000_000
    behind = clock.now_ns
    for frame in range(1, 51):
        pacer.wait_for(frame)
    assert clock.now_ns == behind
    pacer.wait_for(51)
    assert clock.now_ns == behind + 1_000_000


def test_without_a_rate_nothing_waits() -> None:
    clock = Clock(late_ns=0)
    pacer = Pacer(None, clock.read, clock.sleep)
    for frame in range(100):
        pacer.wait_for(frame)
    assert clock.now_ns == 5_000_000_000


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="above zero"):
        Pacer(rate)


def test_real_time_is_one_frame_per_dwell_time() -> None:
    assert per_dwell(250.0) == 4000.0
    with pytest.raises(ValueError, match="above zero"):
        per_dwell(0.0)
