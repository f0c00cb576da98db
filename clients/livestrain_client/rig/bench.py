"""Benchmarks of the whole path: detector, intake, worker and a subscriber, each a process of its own."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from livestrain_client.errors import Unavailable
from livestrain_client.rig.asked import check_fixed_rate, check_rate
from livestrain_client.rig.benches import add_installed
from livestrain_client.rig.measuring import COLUMNS, Measured, Setting, measure
from livestrain_client.rig.processes import end_on_sigterm
from livestrain_client.rig.rates import Form, compare, packed_stream, show

app = typer.Typer(
    help="Measure speed, latency and memory on this machine.",
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)
add_installed(app)

MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
"""Where a ring belongs, where there is such a place."""
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
        return measure(setting, folder)


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
