"""Frames of emulated detectors become the maps that the same frames become by the native protocol."""

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from helpers.dectris import emulated, rest_of
from helpers.rig import RenderedScan, follow, maps_of, running
from helpers.waiting import wait_until
from livestrain_client.live import Live
from livestrain_daemon.unusable import unusable_runs
from livestrain_simulator.emulators.asi import AsiEmulator, AsiSettings, Form, ServalServer
from livestrain_simulator.emulators.merlin import MerlinEmulator, PixelKind, from_array

SHAPE = (16, 16)
QUIET = {"workers__spares": "0"}


@pytest.fixture(scope="module")
def small() -> RenderedScan:
    return RenderedScan(SHAPE)


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory, small: RenderedScan) -> tuple[Path, dict[str, bytes]]:
    """The plan and the maps of the same frames sent by the native protocol."""
    folder = tmp_path_factory.mktemp("native")
    with running(folder, **QUIET) as rig, rig.live() as live:
        small.send(rig, "scan")
        follow(live, "scan")
        assert live.plan is not None
        plan = folder / "plan.json"
        plan.write_text(json.dumps(live.plan.plan))
        return plan, maps_of(live)


@contextmanager
def followed(folder: Path, plan: Path, **settings: str) -> Iterator[Live]:
    with running(folder, analysis__plan=str(plan), **QUIET, **settings) as rig, rig.live() as live:
        yield live


def stored(folder: Path, scan_id: str) -> NDArray[Any]:
    with h5py.File(folder / "spool" / scan_id / "frames.h5") as file:
        return np.asarray(file["frames"][...])


def next_scan(live: Live, beginning: str, seen: Collection[str] = ()) -> str:
    """The id of the scan that is begun next."""

    def found() -> str:
        live.poll(0.02)
        scan_id = live.scan.start.scan_id if live.scan else ""
        return scan_id if scan_id.startswith(beginning) and scan_id not in seen else ""

    return wait_until(found, 30, f"the scan {beginning}")


@pytest.mark.parametrize("form", ["legacy", "cbor"])
def test_dectris_scans_one_after_the_other_give_the_bits_of_the_native_one(
    tmp_path: Path, small: RenderedScan, native: tuple[Path, dict[str, bytes]], form: Literal["legacy", "cbor"]
) -> None:
    plan, expected = native
    with emulated(small.frames, config={"compression": "bslz4"}) as server:
        rest_of(server).configure("stream", {"format": form})
        table = {
            "host": "127.0.0.1",
            "stream": "v1" if form == "legacy" else "v2",
            "stream_port": server.emulator.outlet.port(form),
            "rest_port": server.port,
        }
        with followed(tmp_path, plan, intake__dectris=json.dumps(table)) as live:
            for series in (1, 2):
                rest_of(server).arm()
                scan_id = next_scan(live, f"dectris-{series}")
                follow(live, scan_id)
                assert maps_of(live) == expected
                assert np.array_equal(stored(tmp_path, scan_id).reshape(small.frames.shape), small.frames)


def test_a_merlin_scan_gives_the_bits_of_the_native_one(
    tmp_path: Path, small: RenderedScan, native: tuple[Path, dict[str, bytes]]
) -> None:
    plan, expected = native
    with MerlinEmulator(from_array(small.frames), PixelKind("U16", 12, "1x1")) as emulator:
        table = {"host": "127.0.0.1", "data_port": emulator.data_port}
        with followed(tmp_path, plan, intake__merlin=json.dumps(table)) as live:
            wait_until(lambda: emulator.listeners == 1, what="a listener")
            emulator.ask(f"SET,NUMFRAMESTOACQUIRE,{len(small.frames)}")
            emulator.ask("CMD,STARTACQUISITION")
            scan_id = next_scan(live, "merlin-")
            follow(live, scan_id)
            assert maps_of(live) == expected
            assert np.array_equal(stored(tmp_path, scan_id).reshape(small.frames.shape), small.frames)


def test_pixels_that_a_dectris_marks_are_left_out_as_if_the_configuration_said_so(
    tmp_path: Path, small: RenderedScan
) -> None:
    mask = np.zeros((128, 128), np.uint32)
    mask[[10, 64, 64, 90], [20, 66, 67, 5]] = 2
    usable = tmp_path / "usable.npy"
    np.save(usable, mask == 0)
    frames = np.where(mask == 0, small.frames, np.uint16(0xFFFF))
    with emulated(frames, mask=mask) as server:
        table = {
            "host": "127.0.0.1",
            "stream_port": server.emulator.outlet.port("cbor"),
            "rest_port": server.port,
        }
        with running(tmp_path / "detector", intake__dectris=json.dumps(table), **QUIET) as rig, rig.live() as live:
            rest_of(server).arm()
            scan_id = next_scan(live, "dectris-")
            follow(live, scan_id)
            assert live.plan is not None
            found, plan = maps_of(live), live.plan.plan
    assert tuple(map(tuple, plan["unusable"])) == unusable_runs(mask == 0)
    saturation = plan["corrections"]["saturation"]
    told = {"analysis__usable_pixels": str(usable), "analysis__saturation": str(saturation)}
    with running(tmp_path / "native", **told, **QUIET) as rig, rig.live() as live:
        masked = copy(small)
        masked.frames = frames
        masked.send(rig, "scan")
        follow(live, "scan")
        assert live.plan is not None
        assert live.plan.plan == plan
        assert maps_of(live) == found


@pytest.mark.parametrize("form", ["pgm", "tpx3"])
def test_asi_scans_one_after_the_other_give_the_bits_of_the_native_one(
    tmp_path: Path, small: RenderedScan, native: tuple[Path, dict[str, bytes]], form: Form
) -> None:
    plan, expected = native
    emulator = AsiEmulator(from_array(small.frames), AsiSettings(form=form, scan_shape=SHAPE))
    with ServalServer(emulator) as serval:
        table = {
            "host": "127.0.0.1",
            "form": "tpx3" if form == "tpx3" else "frames",
            "data_port": emulator.data_port,
            "rest_port": serval.port,
        }
        with followed(tmp_path, plan, intake__asi=json.dumps(table)) as live:
            wait_until(lambda: emulator.listeners == 1, what="a listener")
            seen: set[str] = set()
            for _ in range(2):
                wait_until(emulator.start, what="the start of a measurement")
                scan_id = next_scan(live, "asi-", seen)
                seen.add(scan_id)
                follow(live, scan_id)
                assert maps_of(live) == expected
                assert np.array_equal(stored(tmp_path, scan_id).reshape(small.frames.shape), small.frames)
