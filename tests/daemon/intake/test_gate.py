from threading import Thread

from helpers.waiting import wait_until
from livestrain_daemon.intake.gate import RingGate
from livestrain_daemon.messages import Released


def _gate(patience_seconds: float = 60) -> RingGate:
    gate = RingGate(patience_seconds)
    gate.opened("scan")
    return gate


def _waiting(gate: RingGate, *runs: tuple[int, int]) -> Thread:
    thread = Thread(target=gate.wait, args=([("scan", list(runs))],))
    thread.start()
    return thread


def _release(gate: RingGate, *runs: tuple[int, int], scan_id: str = "scan") -> None:
    gate.release(Released(scan_id=scan_id, runs=runs))


def test_released_frames_may_go_at_once() -> None:
    gate = _gate()
    _release(gate, (0, 64))
    gate.wait([("scan", [(0, 32), (40, 8)])])


def test_frames_wait_until_all_of_what_they_displace_is_released() -> None:
    gate = _gate()
    waiting = _waiting(gate, (0, 32))
    _release(gate, (0, 16))
    _release(gate, (0, 64), scan_id="another")
    assert waiting.is_alive()
    _release(gate, (16, 16))
    wait_until(lambda: not waiting.is_alive(), what="the frames to go on")
    waiting.join()


def test_where_nothing_is_released_any_more_the_oldest_go() -> None:
    gate = _gate(patience_seconds=0.05)
    gate.wait([("scan", [(0, 32)])])


def test_frames_from_before_a_restart_may_go_at_once_and_those_since_wait() -> None:
    gate = RingGate(patience_seconds=60)
    gate.opened("new")
    gate.wait([("scan", [(0, 32)])])
    gate.opened("scan")
    waiting = _waiting(gate, (0, 32))
    _release(gate, (0, 16))
    assert waiting.is_alive()
    _release(gate, (16, 16))
    waiting.join(10)
    assert not waiting.is_alive()


def test_what_was_released_before_its_scan_was_opened_stays_released() -> None:
    gate = RingGate(patience_seconds=60)
    _release(gate, (0, 32))
    gate.opened("scan")
    gate.wait([("scan", [(0, 32)])])


def test_when_the_intake_stops_nobody_waits() -> None:
    gate = _gate()
    waiting = _waiting(gate, (0, 32))
    gate.stop()
    waiting.join(10)
    assert not waiting.is_alive()
    gate.wait([("scan", [(0, 32)])])
