"""One run of a benchmark: a daemon and a detector as processes of their own, and a subscriber here."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import psutil
from numpy.typing import NDArray

from livestrain_client.errors import Unavailable
from livestrain_client.live import Live
from livestrain_client.rig.load import Load, cpu_seconds, settled_parts
from livestrain_client.rig.processes import DaemonProcess, complain_if_failed, end, free_ports, simulator
from livestrain_client.updates import MapChanged

COLUMNS = 256
"""Scan columns of a benchmark; the rows follow from the number of frames."""
SILENCE_SECONDS = 120.0
POLL_SECONDS = 0.005
"""Values are noticed so soon after they have come [s]."""
LOAD_SECONDS = 0.2
GEOMETRY = {128: ("22", "6"), 256: ("46", "13")}
"""Spacing and radius of 21 disks, by the side of the frame [px]."""

HELD_BACK = {
    "spool__when_full": "wait",
    "spool__ring_mib": "128",
    "intake__queue_mib": "32",
    "workers__order": "sequential",
}
"""The detector is held back when the analysis lags: what is measured is what can be sustained without a loss."""


@dataclass(frozen=True)
class Setting:
    """What is streamed, and how."""

    side: int
    frames: int
    rate: str
    workers: int
    storage: Literal["disk", "ring"]
    frames_per_message: int
    encoding: str = "raw"
    spares: int = 0
    kill_worker: bool = False
    """End the first worker by SIGKILL when half of the values have come."""


@dataclass(frozen=True)
class Measured:
    """The outcome of one run."""

    shape: int
    frames: int
    frames_per_second: float
    """Frames over the time from the first to the last of them sent, analysed and received."""
    lost: int
    """Frames that did not become a value in the subscriber's hands."""
    latency_p50_ms: float
    latency_p99_ms: float
    """From the moment before a frame is sent to its strain in the subscriber's hands [ms]."""
    longest_gap_ms: float
    """Longest time without a new value, between the first and the last [ms]."""
    rss_max_mib: float
    """Largest sum of the memory of the daemon's processes [MiB]."""
    worker_us_per_frame: dict[str, float]
    """Wall time in the worker by part of the work [us]."""
    cpu_us_per_frame: dict[str, float]
    """Processor time by process [us]."""


def measure(setting: Setting, folder: Path) -> Measured:
    """
    One run through the whole path.

    Parameters
    ----------
    setting
        What is streamed.
    folder
        For the spool and what the processes say.

    Raises
    ------
    Unavailable
        If a process ends or nothing comes any more.
    """
    ports = free_ports()
    settings = {
        "workers__count": str(setting.workers),
        "workers__spares": str(setting.spares),
        "spool__record": "true" if setting.storage == "disk" else "false",
        **HELD_BACK,
    }
    with DaemonProcess(folder / "spool", ports, folder / "daemon.log", settings) as daemon:
        daemon.wait_until_ready()
        if daemon.process is None:
            raise Unavailable("the daemon is gone")
        load = Load(psutil.Process(daemon.process.pid))
        own_before = cpu_seconds(psutil.Process())
        with Live(ports.maps_endpoint, ports.control_endpoint) as live:
            log, times = folder / "simulator.log", folder / "sent.npy"
            detector = simulator(ports, log, [*_detector_options(setting), "--times", str(times)])
            try:
                disturb = load.kill_worker if setting.kill_worker else None
                arrived = _follow(live, load, lambda: complain_if_failed(detector, log), disturb)
                code = end(detector, 10.0)
            finally:
                detector.kill()
                detector.wait()
            if code:
                complain_if_failed(detector, log)
        sent: NDArray[np.int64] = np.load(times)
        cpu = {**load.cpu(), "subscriber": cpu_seconds(psutil.Process()) - own_before}
        parts = settled_parts(daemon.metrics)
    return _summary(setting, sent, arrived, load.rss_max, parts, cpu)


def _detector_options(setting: Setting) -> list[str]:
    rows = -(-setting.frames // COLUMNS)
    spacing, radius = GEOMETRY.get(setting.side, (str(setting.side * 22 // 128), str(setting.side * 6 // 128)))
    return [
        *("--scan", f"{rows}x{COLUMNS}", "--shape", str(setting.side), "--spacing", spacing, "--radius", radius),
        *("--specimen", "gradient", "--loop", "256", "--rate", setting.rate, "--encoding", setting.encoding),
        *("--frames-per-message", str(setting.frames_per_message), "--scan-id", "bench"),
    ]


def _follow(live: Live, load: Load, check: Callable[[], None], disturb: Callable[[], None] | None) -> NDArray[np.int64]:
    """Monotonic time at which the strain of each position was first here, (positions,); 0 where it never came [ns]."""
    arrived: NDArray[np.int64] | None = None
    news = next_look = time.monotonic()
    while not live.final:
        for update in live.poll(POLL_SECONDS):
            news = time.monotonic()
            if isinstance(update, MapChanged) and update.name == "e_xx":
                now = time.monotonic_ns()
                if arrived is None:
                    arrived = np.zeros(live.maps["e_xx"].known.size, np.int64)
                for first, count in update.runs:
                    # a map that was made void by a new reference changes, too, without a value being here
                    here = live.maps["e_xx"].known.ravel()[first : first + count]
                    fresh = here & (arrived[first : first + count] == 0)
                    arrived[first : first + count][fresh] = now
        if time.monotonic() >= next_look:
            next_look = time.monotonic() + LOAD_SECONDS
            load.sample()
            check()
            if disturb is not None and arrived is not None and np.count_nonzero(arrived) > arrived.size // 2:
                disturb()
                disturb = None
        if time.monotonic() - news > SILENCE_SECONDS:
            raise Unavailable("nothing has come for two minutes")
    if arrived is None:
        raise Unavailable("the scan ended without a lattice: there is no strain to wait for")
    return arrived


def _summary(
    setting: Setting,
    sent: NDArray[np.int64],
    arrived: NDArray[np.int64],
    rss_max: int,
    parts: dict[str, float],
    cpu: dict[str, float],
) -> Measured:
    came = arrived > 0
    latencies = (arrived[came] - sent[came]) / 1e6
    seconds = (arrived[came].max() - sent.min()) / 1e9
    count = len(sent)
    return Measured(
        shape=setting.side,
        frames=count,
        frames_per_second=round(float(came.sum() / seconds), 1),
        lost=int((~came).sum()),
        latency_p50_ms=round(float(np.percentile(latencies, 50)), 2),
        latency_p99_ms=round(float(np.percentile(latencies, 99)), 2),
        longest_gap_ms=round(float(np.diff(np.unique(arrived[came])).max(initial=0)) / 1e6, 2),
        rss_max_mib=round(rss_max / 2**20, 1),
        worker_us_per_frame={name: round(1e6 * value / count, 2) for name, value in parts.items()},
        cpu_us_per_frame={name: round(1e6 * value / count, 2) for name, value in cpu.items()},
    )
