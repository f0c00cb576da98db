"""Live against a real publisher and router: the arrays end with the daemon's bits."""

import numpy as np
import pytest

from client.following import POSITIONS, SHAPE, assert_ends_the_same, follow_until, joined, maps, same_bits
from helpers.wire_daemon import WireDaemon
from livestrain_client.live import Live
from livestrain_client.updates import (
    EventSeen,
    MapChanged,
    PlanReplaced,
    ProgressChanged,
    ScanBegan,
    ScanFinished,
)


def test_a_scan_from_its_start_to_its_end(daemon: WireDaemon) -> None:
    with joined(daemon) as live:
        assert live.scan is None
        scan = daemon.begin(maps())
        follow_until(live, PlanReplaced)
        for first in range(0, POSITIONS, 8):
            daemon.acknowledge((first, 8))
        daemon.tell("the reference is frozen")
        daemon.end()
        updates = list(live.updates(timeout=0.5))
        kinds = {type(update) for update in updates}
        assert kinds == {MapChanged, ProgressChanged, EventSeen, ScanFinished}
        assert live.wait_until_final(5)
        assert same_bits(live, scan)
        assert live.progress is not None
        assert live.progress.stored == POSITIONS
        assert live.ended is not None
        assert live.faults == {}


def test_joining_in_the_middle_ends_with_the_same_bits(daemon: WireDaemon) -> None:
    scan = daemon.begin(maps())
    daemon.acknowledge((0, 30), (50, 7))
    with joined(daemon) as live:
        assert any(isinstance(update, ScanBegan) for update in live.poll(0))
        daemon.acknowledge((30, 20))
        assert_ends_the_same(live, scan)


def test_joining_after_the_end_is_final_with_the_same_bits(daemon: WireDaemon) -> None:
    scan = daemon.begin(maps())
    daemon.acknowledge((0, 100))
    daemon.end("aborted")
    with joined(daemon) as live:
        assert live.wait_until_final(5)
        assert same_bits(live, scan)
        assert np.isnan(live.maps["e_xx"].values[-1]).all()


def test_a_new_reference_changes_derived_maps_only(daemon: WireDaemon) -> None:
    scan = daemon.begin(maps())
    daemon.acknowledge((0, 100))
    with joined(daemon) as live:
        assert_ends_the_same(live, scan)
        before = live.maps["e_xx"].values.copy()
        daemon.refer_anew()
        assert_ends_the_same(live, scan)
        assert live.maps["e_xx"].reference_revision == 2
        np.testing.assert_allclose(live.maps["e_xx"].values, before - 0.125, rtol=0, atol=1e-6)


def test_a_new_plan_starts_new_maps_and_keeps_the_old(daemon: WireDaemon) -> None:
    scan = daemon.begin(maps())
    daemon.acknowledge((0, 100))
    with joined(daemon) as live:
        assert_ends_the_same(live, scan)
        daemon.replan()
        follow_until(live, PlanReplaced)
        assert not live.maps["e_xx"].known.any()
        daemon.acknowledge((20, 50))
        assert_ends_the_same(live, scan)
        old = live.earlier[1]["e_xx"]
        assert old.known.sum() == 100
        known = old.known
        assert old.values[known].tobytes() == scan.truth("e_xx", revision=1)[known].tobytes()


@pytest.mark.parametrize("follow", [True, False])
def test_the_next_scan_is_followed_unless_told_to_stay(daemon: WireDaemon, follow: bool) -> None:
    first = daemon.begin(maps(), "scan-1")
    daemon.acknowledge((0, POSITIONS))
    daemon.end()
    with joined(daemon, follow) as live:
        assert live.wait_until_final(5)
        second = daemon.begin({"e_xx": np.ones(SHAPE, np.float32)}, "scan-2")
        daemon.acknowledge((0, 30))
        if follow:
            follow_until(live, PlanReplaced)
        live.poll(0.2)
        assert_ends_the_same(live, second if follow else first)
        assert live.scan is not None
        assert live.scan.start.scan_id == ("scan-2" if follow else "scan-1")


def test_only_chosen_maps_are_kept(daemon: WireDaemon) -> None:
    daemon.begin(maps())
    with Live(daemon.maps_endpoint, daemon.control_endpoint, maps=["total"]) as live:
        live.poll(0.05)
        assert list(live.maps) == ["total"]


def test_waiting_for_the_end_gives_up_in_time(daemon: WireDaemon) -> None:
    daemon.begin(maps())
    with joined(daemon) as live:
        assert not live.wait_until_final(0.1)


def test_many_patches_a_second_are_followed(daemon: WireDaemon) -> None:
    shape = (100, 100)
    scan = daemon.begin({"e_xx": np.random.default_rng(3).normal(size=shape).astype(np.float32)})
    with joined(daemon) as live:
        daemon.acknowledge_each(*((first, 5) for first in range(0, 10_000, 5)))
        daemon.end()
        assert live.wait_until_final(20)
        assert live.maps["e_xx"].values.tobytes() == scan.truth("e_xx").tobytes()
