"""A subscriber goes from scan to scan, or stays with one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers.waiting import wait_until
from helpers.wire_daemon import WireDaemon
from helpers.wire_scan import WireScan
from livestrain_client.cli import exits
from livestrain_client.cli.command import run
from livestrain_client.live import Live
from livestrain_client.updates import ScanBegan, ScanForgotten, Update
from livestrain_wire.messages import Published, ScanStarted, StatusRequest

SCANS = 20


def maps(number: int) -> dict[str, NDArray[np.generic]]:
    """Every scan has another shape and other values."""
    shape = (3 + number % 4, 5 + number % 3)
    return {"total": np.random.default_rng(number).normal(size=shape).astype(np.float32)}


def measure(daemon: WireDaemon, number: int) -> WireScan:
    scan = daemon.begin(maps(number), f"scan-{number}")
    daemon.acknowledge((0, scan.known.size))
    daemon.end()
    return scan


def ids(updates: list[Update]) -> list[str]:
    return [update.scan.start.scan_id for update in updates if isinstance(update, ScanBegan)]


def poll_until(live: Live, condition: Callable[[], bool], what: str) -> list[Update]:
    seen: list[Update] = []

    def met() -> bool:
        seen.extend(live.poll(0.01))
        return condition()

    wait_until(met, 20, what)
    return seen


def shows(live: Live, scan: WireScan) -> Callable[[], bool]:
    """Whether a scan is here to the last bit."""

    def same() -> bool:
        here = live.scan is not None and live.scan.start.scan_id == scan.start.scan_id
        return here and live.final and live.maps["total"].values.tobytes() == scan.truth("total").tobytes()

    return same


def follow_all(daemon: WireDaemon, live: Live, late: list[Live]) -> list[Update]:
    seen: list[Update] = []
    for number in range(SCANS):
        scan = measure(daemon, number)
        if number == SCANS // 2:
            late.append(Live(daemon.maps_endpoint, daemon.control_endpoint).__enter__())
        seen += poll_until(live, shows(live, scan), f"scan {number}")
    return seen


def test_twenty_scans_of_differing_shape_are_seen_in_order_by_who_was_there_and_by_who_came_late(
    daemon: WireDaemon,
) -> None:
    late: list[Live] = []
    with Live(daemon.maps_endpoint, daemon.control_endpoint) as live:
        seen = follow_all(daemon, live, late)
        assert ids(seen) == [f"scan-{number}" for number in range(SCANS)]
        assert live.faults == late[0].faults == {}
    assert daemon.scan is not None
    updates = poll_until(late[0], shows(late[0], daemon.scan), "the last scan for the late one")
    late[0].close()
    assert ids(updates) == [f"scan-{number}" for number in range(SCANS // 2, SCANS)]


def test_scans_back_to_back_are_all_seen_to_begin(daemon: WireDaemon) -> None:
    with Live(daemon.maps_endpoint, daemon.control_endpoint) as live:
        scans = [measure(daemon, number) for number in range(SCANS)]
        seen = poll_until(live, shows(live, scans[-1]), "the last scan")
        assert ids(seen) == [f"scan-{number}" for number in range(SCANS)]


def test_a_start_that_is_lost_is_found_out_by_the_heartbeat(daemon: WireDaemon) -> None:
    def withheld(message: Published) -> bool:
        return isinstance(message, ScanStarted) and message.start.scan_id == "scan-1"

    with Live(daemon.maps_endpoint, daemon.control_endpoint) as live:
        seen = poll_until(live, shows(live, measure(daemon, 0)), "the first scan")
        daemon.withheld = withheld
        seen += poll_until(live, shows(live, measure(daemon, 1)), "the second scan")
        assert ids(seen) == ["scan-0", "scan-1"]


def test_what_is_known_of_scans_before_does_not_pile_up(daemon: WireDaemon) -> None:
    with Live(daemon.maps_endpoint, daemon.control_endpoint) as live:
        for number in range(SCANS):
            poll_until(live, shows(live, measure(daemon, number)), f"scan {number}")
        assert {topic.partition("/")[0] for topic in live._mirror._seen} == {f"scan-{SCANS - 1}"}


def test_a_named_scan_is_stayed_with(daemon: WireDaemon) -> None:
    with Live(daemon.maps_endpoint, daemon.control_endpoint, scan="scan-1") as live:
        measure(daemon, 0)
        live.poll(0.2)
        assert live.scan is None
        named = measure(daemon, 1)
        seen = poll_until(live, shows(live, named), "the named scan")
        measure(daemon, 2)
        seen += live.poll(0.2)
        assert ids(seen) == ["scan-1"]
        assert shows(live, named)()


def test_the_first_scan_is_stayed_with_though_the_next_begins_before_its_end(daemon: WireDaemon) -> None:
    with Live(daemon.maps_endpoint, daemon.control_endpoint, follow=False) as live:
        first = daemon.begin(maps(0), "scan-0")
        daemon.acknowledge((0, 4))
        seen = poll_until(live, lambda: "total" in live.maps and bool(live.maps["total"].known.any()), "values")
        # the next scan comes while the first is still analysed
        daemon.begin(maps(1), "scan-1")
        daemon.acknowledge((0, 4))
        seen += live.poll(0.2)
        daemon.resume(first)
        daemon.acknowledge((4, first.known.size - 4))
        daemon.end()
        seen += poll_until(live, shows(live, first), "the end of the first scan")
        assert ids(seen) == ["scan-0"]


def test_who_leaves_a_scan_stays_with_the_next(daemon: WireDaemon) -> None:
    over = measure(daemon, 0)
    with Live(daemon.maps_endpoint, daemon.control_endpoint, follow=False) as live:
        poll_until(live, shows(live, over), "the scan that is over")
        live.leave()
        following = measure(daemon, 1)
        measure(daemon, 2)
        daemon.resume(following)
        seen = poll_until(live, shows(live, following), "the next scan")
        assert ids(seen) == ["scan-1"]


def test_maps_are_saved_under_the_name_of_their_scan(daemon: WireDaemon, tmp_path: Path) -> None:
    watch = ["watch", "--maps-endpoint", daemon.maps_endpoint, "--control", daemon.control_endpoint, "--until-end"]
    for number in (0, 1):
        measure(daemon, number)
        assert run([*watch, "--save", str(tmp_path / "maps" / "{scan}")]) == exits.OK
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.npz")}
    assert found == {"maps/scan-0/maps.npz", "maps/scan-1/maps.npz"}


def test_a_named_scan_that_is_over_is_shown_to_who_comes_late(daemon: WireDaemon) -> None:
    named = measure(daemon, 3)
    with Live(daemon.maps_endpoint, daemon.control_endpoint, scan="scan-3") as live:
        poll_until(live, shows(live, named), "the named scan")


def test_a_scan_that_the_daemon_has_forgotten_stays_as_far_as_it_came(daemon: WireDaemon) -> None:
    with Live(daemon.maps_endpoint, daemon.control_endpoint, scan="scan-0") as live:
        daemon.begin(maps(0), "scan-0")
        daemon.acknowledge((0, 4))
        poll_until(live, lambda: "total" in live.maps and bool(live.maps["total"].known.ravel()[3]), "four values")
        # the next scan begins; the end of this one is never heard of
        measure(daemon, 1)
        live._mirror.wants_status = True
        seen = poll_until(live, lambda: live.forgotten, "the bad news")
        assert ScanForgotten("scan-0") in seen
        assert not live.wait_until_final(10)
        assert live.maps["total"].known.sum() == 4
        asked = sum(isinstance(request, StatusRequest) for request in daemon.requests)
        live.poll(0.5)
        assert sum(isinstance(request, StatusRequest) for request in daemon.requests) <= asked + 1


def test_a_follower_of_a_scan_that_was_removed_goes_on_with_the_next(daemon: WireDaemon) -> None:
    with Live(daemon.maps_endpoint, daemon.control_endpoint) as live:
        daemon.begin(maps(0), "scan-0")
        daemon.acknowledge((0, 4))
        poll_until(live, lambda: "total" in live.maps and bool(live.maps["total"].known.ravel()[3]), "four values")
        daemon.scan = None
        live._mirror.wants_status = True
        seen = poll_until(live, lambda: live.forgotten, "the bad news")
        assert ScanForgotten("scan-0") in seen
        asked = len(daemon.requests)
        live.poll(0.5)
        assert len(daemon.requests) <= asked + 1
        poll_until(live, shows(live, measure(daemon, 1)), "the next scan")
        assert not live.forgotten


def test_watch_stays_with_a_named_scan_and_says_that_it_waits(
    daemon: WireDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = ["watch", "--maps-endpoint", daemon.maps_endpoint, "--control", daemon.control_endpoint, "--until-end"]
    measure(daemon, 0)
    assert run([*watch, "--scan", "scan-0"]) == exits.OK
    assert "scan scan-0 3 x 5" in capsys.readouterr().out
    assert run([*watch, "--scan", "scan-7", "--timeout", "0.3"]) == exits.NO_DATA
    said = capsys.readouterr()
    assert "no scan scan-7 in memory: waiting for it to begin" in said.err
    assert "scan-0" not in said.out
    assert run([*watch, "--scan", "scan-7", "--next"]) == exits.USAGE
