"""A real daemon on free ports, and scans for it."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from helpers.waiting import wait_until
from livestrain_client.live import Live
from livestrain_client.requests import Control
from livestrain_client.rig.processes import DaemonProcess, Ports, free_ports
from livestrain_simulator.lattice import Lattice
from livestrain_simulator.order import acquisition
from livestrain_simulator.patterns import Camera, Renderer
from livestrain_simulator.sender import FrameSender
from livestrain_simulator.specimen import gradient
from livestrain_wire.messages import Order, ScanStart, StatusReply

SHARED_DATA = Path(__file__).parents[3] / "shared" / "data"
"""Real recordings, which are not part of the project."""


class Rig:
    """
    A daemon process and how to reach it.

    Parameters
    ----------
    folder
        For its spool and its log.
    settings
        Configuration as ``section__key``.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.spool = folder / "spool"
        self.ports: Ports = free_ports()
        self._folder = folder
        self._settings = {"workers__spares": "0", "intake__silence_seconds": "20", **settings}
        self._starts = 0
        self.daemon = self.start()

    def start(self) -> DaemonProcess:
        """Starts the daemon; again on the same ports and spool after `kill`."""
        self._starts += 1
        log = self._folder / f"daemon-{self._starts}.log"
        self.daemon = DaemonProcess(self.spool, self.ports, log, self._settings)
        self.daemon.__enter__()
        try:
            self.daemon.wait_until_ready(60)
        except BaseException:
            # nobody else could end it
            self.daemon.stop()
            raise
        return self.daemon

    def kill(self) -> None:
        """Ends the daemon without warning; its children die with it."""
        children = self.children()
        assert self.daemon.process is not None
        self.daemon.process.kill()
        self.daemon.process.wait(10)
        psutil.wait_procs(children, timeout=10)
        assert not [child for child in children if child.is_running()]

    @property
    def main(self) -> psutil.Process:
        """The daemon's main process."""
        assert self.daemon.process is not None
        return psutil.Process(self.daemon.process.pid)

    def children(self) -> list[psutil.Process]:
        """Intake and workers."""
        found: list[psutil.Process] = self.main.children(recursive=True)
        return found

    def workers(self) -> list[psutil.Process]:
        """The worker processes."""
        return [child for child in self.children() if "livestrain_daemon.worker" in child.cmdline()]

    def live(self) -> Live:
        """A subscriber."""
        return Live(self.ports.maps_endpoint, self.ports.control_endpoint)

    def control(self) -> Control:
        """For requests."""
        return Control(self.ports.control_endpoint)

    def status(self) -> StatusReply:
        """What the daemon says of itself."""
        with self.control() as control:
            return control.status()

    def wait_until_final(self, scan_id: str, seconds: float = 60.0) -> StatusReply:
        """The status once nothing about the scan will change any more."""

        def final() -> StatusReply | None:
            status = self.status()
            over = status.ended is not None and status.ended.scan_id == scan_id
            return status if over else None

        return wait_until(final, seconds, f"the end of {scan_id}")  # type: ignore[return-value]


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[Rig]:
    """A daemon for the length of a ``with`` block; its end must be clean."""
    folder.mkdir(parents=True, exist_ok=True)
    rig = Rig(folder, settings)
    try:
        yield rig
    finally:
        code = rig.daemon.stop()
    assert code == 0, rig.daemon.log.read_text()[-2000:]


class RenderedScan:
    """
    A small scan with a strain gradient, rendered once and sent as often as wanted.

    Parameters
    ----------
    shape
        Scan positions (rows, columns).
    """

    def __init__(self, shape: tuple[int, int] = (32, 32), dtype: Any = "uint16", seed: int = 1) -> None:
        self.specimen = gradient(shape, Lattice("square", 22.0), largest=0.01)
        self.camera = Camera((128, 128), 6.0, dose=1e5, dtype=dtype, seed=seed)
        renderer = Renderer(self.specimen, self.camera)
        self.positions = acquisition(shape, "raster", 0)
        self.frames: NDArray[Any] = np.concatenate(list(renderer.blocks(self.positions)))
        self.shape = shape

    def start(self, scan_id: str, order: Order = "raster") -> ScanStart:
        """The message that begins it."""
        return ScanStart(
            scan_id=scan_id,
            scan_shape=self.shape,
            frame_shape=(128, 128),
            dtype=self.camera.dtype,
            order=order,
            step_nm=1.0,
        )

    def send(self, rig: Rig, scan_id: str, first: int = 0, stop: int | None = None, end: bool = True) -> None:
        """Sends its frames first .. stop - 1 with start, and its end if wanted."""
        with FrameSender(rig.ports.frames_endpoint) as sender:
            sender.start(self.start(scan_id))
            self.send_frames(sender, first, stop)
            if end:
                sender.end("complete", len(self.frames))
            sender.flush()

    def send_frames(self, sender: FrameSender, first: int, stop: int | None = None) -> None:
        """Frames in messages of 32."""
        stop = len(self.frames) if stop is None else stop
        for begin in range(first, stop, 32):
            sender.frames(begin, self.frames[begin : min(stop, begin + 32)])


def follow(live: Live, scan_id: str, seconds: float = 60.0) -> None:
    """Keeps a subscriber's maps up to date until this scan is final."""

    def final() -> bool:
        live.poll(0.02)
        return live.scan is not None and live.scan.start.scan_id == scan_id and live.final

    wait_until(final, seconds, f"the end of {scan_id}")


def maps_of(live: Live) -> dict[str, bytes]:
    """The bits of every map that a subscriber holds."""
    return {name: state.values.tobytes() for name, state in live.maps.items()}


def suspend(process: psutil.Process) -> None:
    """Stops a process as a debugger or a full disk would."""
    os.kill(process.pid, signal.SIGSTOP)
