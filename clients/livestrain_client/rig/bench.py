"""Benchmarks of the whole path: detector, intake, worker and a subscriber, each a process of its own."""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import psutil
import typer
from numpy.typing import NDArray
from rich.console import Console

from livestrain_client.errors import Unavailable
from livestrain_client.live import Live
from livestrain_client.rig.asked import check_fixed_rate, check_rate
from livestrain_client.rig.benches import add_installed
from livestrain_client.rig.load import Load, cpu_seconds, settled_parts
from livestrain_client.rig.processes import (
    DaemonProcess,
    complain_if_failed,
    end,
    end_on_sigterm,
    free_ports,
    simulator,
)
from livestrain_client.rig.rates import Form, compare, packed_stream, show
from livestrain_client.updates import MapChanged

app = typer.Typer(
    help="Measure speed, latency and memory on this machine.",
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)
add_installed(app)

COLUMNS = 256
"""Scan columns of a benchmark; the rows follow from the number of frames."""
MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
"""Where a ring belongs, where there is such a place."""
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

Frames = Annotated[int, typer.Option(min=COLUMNS, help="Frames to stream, rounded up to whole rows.")]
Side = Annotated[int, typer.Option("--shape", min=32, max=4096, help="Side of a frame [px].")]
Rate = Annotated[str, typer.Option(callback=check_rate, help="Frames per second, or max.")]
FixedRate = Annotated[str, typer.Option(callback=check_fixed_rate, help="Frames per second.")]
Encoding = Literal["raw", "none", "lz4", "bslz4"]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Workers = Annotated[int, typer.Option(min=1, help="Worker processes.")]
SpoolFolder = Annotated[
    Path | None, typer.Option("--spool", help="Where the scan goes; else a temporary folder, of memory for a ring.")
]
Storage = Annotated[Literal["disk", "ring"], typer.Option(help="Record the frames, or pass them through a ring.")]


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


@app.command()
def stream(
    side: Side = 128,
    frames: Frames = 131072,
    workers: Workers = 1,
    rate: Rate = "max",
    storage: Storage = "ring",
    frames_per_message: Annotated[int, typer.Option(min=1, help="Frames in one message.")] = 32,
    encoding: Annotated[Encoding, typer.Option(help="How payloads are packed; none is raw.")] = "raw",
    form: Annotated[Form | None, typer.Option("--as", help="Measure the intake alone, with this protocol.")] = None,
    dose: Annotated[float, typer.Option(min=0, help="Electrons per frame, with --as.")] = 1e5,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds, with --as.")] = 5,
    spool: SpoolFolder = None,
    as_json: Json = False,
) -> None:
    """
    Frames through the whole path: 21 disks tracked, lattice, strain, two virtual detectors, centre of mass.

    With --as: frames into the intake only, by that protocol and by our own in turns.
    """
    if form is not None:
        with _place(storage, spool) as folder:
            sent = packed_stream(form, encoding, (frames, COLUMNS), side, dose, frames_per_message)
            show(compare(sent, repeats, storage, folder), as_json)
        return
    encoding = "raw" if encoding == "none" else encoding
    _print([_measure(Setting(side, frames, rate, workers, storage, frames_per_message, encoding), spool)], as_json)


@app.command()
def latency(
    side: Side = 128,
    frames: Frames = 30720,
    rate: FixedRate = "1000",
    frames_per_message: Annotated[int, typer.Option(min=1, help="Frames in one message.")] = 1,
    spool: SpoolFolder = None,
    as_json: Json = False,
) -> None:
    """From a frame sent to its strain in a subscriber's hands, at a fixed rate."""
    _print([_measure(Setting(side, frames, rate, 1, "disk", frames_per_message), spool)], as_json)


@app.command()
def recovery(
    side: Side = 128,
    frames: Frames = 10240,
    rate: FixedRate = "1000",
    spares: Annotated[int, typer.Option(min=0, help="Warm workers that wait to replace a dead one.")] = 1,
    spool: SpoolFolder = None,
    as_json: Json = False,
) -> None:
    """A worker is killed in the middle: the longest gap in the map's growth, beside that of a run in peace."""
    peace = Setting(side, frames, rate, 1, "disk", 1, spares=spares)
    _print([_measure(setting, spool) for setting in (peace, replace(peace, kill_worker=True))], as_json)


@app.command()
def memory(
    side: Side = 128,
    frames: Frames = 8192,
    rate: Rate = "max",
    storage: Storage = "ring",
    spool: SpoolFolder = None,
    as_json: Json = False,
) -> None:
    """Memory of all processes over a scan, and over one ten times longer."""
    settings = [Setting(side, count, rate, 1, storage, 32) for count in (frames, 10 * frames)]
    _print([_measure(setting, spool) for setting in settings], as_json)


def _measure(setting: Setting, spool: Path | None) -> Measured:
    with _place(setting.storage, spool) as folder:
        return _run(setting, folder)


@contextmanager
def _place(storage: str, spool: Path | None) -> Iterator[Path]:
    """A folder for a run; what goes wrong in it ends this process."""
    end_on_sigterm()
    try:
        in_memory = MEMORY_FOLDER if storage == "ring" and MEMORY_FOLDER.is_dir() else None
        with tempfile.TemporaryDirectory(prefix="livestrain-bench-", dir=spool or in_memory) as folder:
            yield Path(folder)
    except Unavailable as error:
        typer.echo(f"livestrain bench: {error}", err=True)
        raise typer.Exit(69) from error


def _run(setting: Setting, folder: Path) -> Measured:
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


def _print(runs: list[Measured], as_json: bool) -> None:
    if as_json:
        for run in runs:
            typer.echo(json.dumps(asdict(run)))
        return
    console = Console()
    for run in runs:
        for name, value in asdict(run).items():
            console.print(f"{name:22} {value}", highlight=False)
        console.print()
