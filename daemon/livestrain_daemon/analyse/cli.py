"""The verb ``analyse``; what is heavy is imported when it runs."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from livestrain_wire.written import sides_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from livestrain_daemon.analyse.run import Outcome
    from livestrain_daemon.config import Config
    from livestrain_daemon.intake.recorded_file import RecordedFile
    from livestrain_daemon.intake_config import ScanGeometry
    from livestrain_wire.messages import Progress

USAGE, NO_DATA, UNAVAILABLE, IO, CONFIG, INTERRUPTED = 2, 3, 69, 74, 78, 130

analyse_app = typer.Typer(pretty_exceptions_enable=False, add_completion=False, rich_markup_mode=None)


class OrderName(StrEnum):
    """How stored frames run."""

    RASTER = "raster"
    SERPENTINE = "serpentine"


@analyse_app.command()
def analyse(
    file: Annotated[
        Path,
        typer.Argument(
            help="A recorded scan: HDF5, .npy, .mib, .blo, EMPAD .xml; with the extra formats .dm4 and more."
        ),
    ],
    config: Annotated[Path | None, typer.Option("--config", "-c", help="TOML file, as for serve.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Dataset in an HDF5 file; default: the largest.")] = None,
    scan_shape: Annotated[
        str | None, typer.Option(help="Scan positions, ROWSxCOLUMNS; else what the file tells.")
    ] = None,
    order: Annotated[OrderName | None, typer.Option(help="How the stored frames run; else as configured.")] = None,
    flyback: Annotated[
        int | None, typer.Option(min=0, max=1 << 16, help="Frames after each scan row that belong nowhere.")
    ] = None,
    plan: Annotated[
        Path | None, typer.Option(help="A recorded plan, or a scan folder that has one: the same bits.")
    ] = None,
    spool: Annotated[Path | None, typer.Option(help="Where the scan folder goes; else as configured.")] = None,
    scan_id: Annotated[str | None, typer.Option("--scan-id", help="Its name; else that of the file.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=256, help="Processes; else as configured, else one for each core.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON at the end.")] = False,
) -> None:
    """Analyse a recorded scan at full speed, as if a detector had just sent it; writes the same scan folder."""
    with _exit_codes():
        from livestrain_daemon.analyse.run import analyse
        from livestrain_daemon.config import load_config
        from livestrain_daemon.intake.detectors.recorded import named_after
        from livestrain_daemon.intake.recorded_file import RecordedFile
        from livestrain_daemon.logs import configure_logs

        loaded = _with_options(load_config(config), plan, spool)
        recorded = RecordedFile(path=file.absolute(), dataset=dataset, scan_id=scan_id or named_after(file))
        geometry = _checked(recorded, _configured(loaded), _asked(scan_shape, order, flyback))
        configure_logs(loaded.log)
        typer.echo("starting (a minute or two longer where kernels are still to be compiled) ...", err=True)
        with _shown() as tell:
            outcome = analyse(loaded, recorded, geometry, workers, tell)
    _say(outcome, as_json)


def _with_options(config: "Config", plan: Path | None, spool: Path | None) -> "Config":
    log = config.log if "level" in config.log.model_fields_set else config.log.model_copy(update={"level": "warning"})
    analysis = config.analysis.model_copy(update={"plan": plan}) if plan else config.analysis
    folder = config.spool.model_copy(update={"folder": spool}) if spool else config.spool
    return config.model_copy(update={"log": log, "analysis": analysis, "spool": folder})


def _configured(config: "Config") -> "ScanGeometry":
    """How the configuration says that frames run; a file is one scan."""
    if config.intake.scan.repeat:
        typer.echo("livestrain analyse: intake.scan.repeat is for detectors: one scan is made of the file", err=True)
    return config.intake.scan.model_copy(update={"repeat": False})


def _asked(shape: str | None, order: OrderName | None, flyback: int | None) -> dict[str, object]:
    """What options say of how the frames run."""
    asked: dict[str, object] = {}
    if shape is not None:
        try:
            asked["shape"] = sides_of(shape)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--scan-shape") from error
    if order is not None:
        asked["order"] = order.value
    if flyback is not None:
        asked["flyback_frames"] = flyback
    return asked


def _checked(recorded: "RecordedFile", configured: "ScanGeometry", asked: dict[str, object]) -> "ScanGeometry":
    """How the frames of a file run; complains of the file before anything is started for it."""
    from livestrain_daemon.errors import Unavailable
    from livestrain_daemon.intake.detectors.recorded import geometry_of, start_of
    from livestrain_recordings.errors import UnusableRecording
    from livestrain_recordings.opening import open_recording

    with open_recording(recorded.path, recorded.dataset, values=False) as recording:
        if recording.remark:
            typer.echo(f"livestrain analyse: {recording.remark}", err=True)
        geometry = geometry_of(recording, configured, asked)
        try:
            start_of(recording, recorded.scan_id, geometry)
        except Unavailable as error:
            # what a detector may still tell, a file never will
            raise UnusableRecording(str(error)) from error
    return geometry


@contextmanager
def _shown() -> "Iterator[Callable[[Progress], None]]":
    """A bar where there is a person to see it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=None)

        def tell(progress: "Progress") -> None:
            done = progress.stages["diffraction"].analysed if "diffraction" in progress.stages else 0
            text = f"{progress.analysed_per_second:,.0f} frames/s" if done else "calibrating"
            bar.update(task, description=text, completed=done, total=progress.positions)

        yield tell


def _say(outcome: "Outcome", as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(outcome)))
    else:
        left = {"missing": outcome.missing, "failed": outcome.failed, "dropped": outcome.dropped}
        left["not looked at"] = outcome.pending
        typer.echo(
            f"analysed {outcome.analysed} of {outcome.positions} positions in {outcome.seconds:.1f} s "
            f"({outcome.frames_per_second:,.0f} frames/s)"
            + "".join(f", {count} {name}" for name, count in left.items() if count)
            + f": {outcome.folder}"
        )
        if outcome.analysed and not outcome.lattice:
            typer.echo("livestrain analyse: no lattice was found, so there is no strain", err=True)
    if outcome.reason == "aborted":
        typer.echo("livestrain analyse: the file could not be read to its end", err=True)
        raise typer.Exit(IO)
    unfit = outcome.faults.get("unreadable", 0)
    if unfit:
        typer.echo(f"livestrain analyse: values that do not fit; frames left out: {unfit}", err=True)
    if outcome.reason == "stopped" or outcome.pending:
        typer.echo("livestrain analyse: interrupted; what there is of the scan is in its folder", err=True)
        raise typer.Exit(INTERRUPTED)
    if unfit:
        raise typer.Exit(IO)
    if not outcome.analysed:
        raise typer.Exit(NO_DATA)


@contextmanager
def _exit_codes() -> Iterator[None]:
    """Turn what can go wrong into one line and an exit code."""
    from pydantic import ValidationError

    from livestrain_daemon.errors import ConfigError, DaemonError, StorageError
    from livestrain_recordings.errors import ExtraMissing, NoFrames, UnusableRecording

    codes: tuple[tuple[type[Exception], int], ...] = (
        (ConfigError, CONFIG),
        (StorageError, IO),
        (DaemonError, UNAVAILABLE),
        (ExtraMissing, UNAVAILABLE),
        (NoFrames, NO_DATA),
        (UnusableRecording, USAGE),
        (ValidationError, USAGE),
        (OSError, IO),
    )
    try:
        yield
    except tuple(kind for kind, _ in codes) as error:
        text = str(error)
        if isinstance(error, OSError) and error.filename and error.strerror:
            text = f"{error.filename}: {error.strerror}"
        typer.echo(f"livestrain analyse: {' '.join(text.split())}", err=True)
        sys.exit(next(code for kind, code in codes if isinstance(error, kind)))
