"""
The verbs `simulate` and `replay` of the command line.

What renders and sends is imported when a verb runs, so that listing the verbs stays quick.
"""

import json as json_lines
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from livestrain_simulator import limits

if TYPE_CHECKING:
    from livestrain_simulator.delivery import Delivery, Report
    from livestrain_simulator.named import Fate

USAGE, NO_DATA, UNAVAILABLE, IO_ERROR, INTERRUPTED = 2, 3, 69, 74, 130
SIDES = re.compile(r"(\d{1,9})(?:x(\d{1,9}))?", re.ASCII)
MOST_SIDE = 1 << 16

simulate_app = typer.Typer(add_completion=False, rich_markup_mode=None)
replay_app = typer.Typer(add_completion=False, rich_markup_mode=None)


class SpecimenName(StrEnum):
    """Specimens that can be simulated."""

    si_sige = "si_sige"
    gradient = "gradient"
    uniform = "uniform"
    vacuum = "vacuum"


class LatticeName(StrEnum):
    """Lattices of their disks."""

    square = "square"
    hexagonal = "hexagonal"
    oblique = "oblique"


class EncodingName(StrEnum):
    """How payloads are packed."""

    raw = "raw"
    lz4 = "lz4"
    bslz4 = "bslz4"


class DtypeName(StrEnum):
    """Pixel types."""

    uint8 = "uint8"
    uint16 = "uint16"
    uint32 = "uint32"
    float32 = "float32"


class StoredOrder(StrEnum):
    """Orders in which a file can hold the frames of a scan."""

    raster = "raster"
    serpentine = "serpentine"


class OrderName(StrEnum):
    """How frames run over the scan positions."""

    raster = "raster"
    serpentine = "serpentine"
    explicit = "explicit"


def _connectable(endpoint: str | None) -> str | None:
    """A daemon's setting may say "every interface"; a sender on its host then uses loopback."""
    for any_host in ("//*:", "//0.0.0.0:"):
        endpoint = endpoint.replace(any_host, "//127.0.0.1:") if endpoint else None
    return endpoint


INTAKE, CONTROL = "tcp://127.0.0.1:5550", "tcp://127.0.0.1:5552"
"""Where a daemon without a configuration is."""

Endpoint = Annotated[
    str,
    typer.Option(envvar="LIVESTRAIN_INTAKE__ENDPOINT", callback=_connectable, help="Where frames are accepted."),
]
Control = Annotated[
    str | None,
    typer.Option(
        envvar="LIVESTRAIN_PUBLISH__CONTROL_ENDPOINT",
        callback=_connectable,
        help=f"Where the daemon says what it calls the scan; default: {CONTROL} for the usual endpoint.",
    ),
]
ScanIdOption = Annotated[str | None, typer.Option("--scan-id", help="Name of the scan; default: made from the time.")]
Dose = Annotated[float, typer.Option(min=0, max=limits.MOST_ELECTRONS, help="Electrons per frame.")]
Spacing = Annotated[float | None, typer.Option(min=2, max=limits.MOST_PX, help="Distance of neighbouring disks [px].")]
Radius = Annotated[float | None, typer.Option(min=0.5, max=limits.MOST_PX, help="Radius of a disk [px].")]
Loop = Annotated[int | None, typer.Option(min=1, max=limits.MOST_LOOPED, help="Render so many frames and repeat them.")]
Rate = Annotated[str, typer.Option(help="Frames per second, or max: as fast as accepted.")]
PerMessage = Annotated[int, typer.Option(min=1, max=1 << 20, help="Frames in one message at most.")]
Packing = Annotated[EncodingName, typer.Option(help="How payloads are packed.")]
Wait = Annotated[
    float, typer.Option(min=0.01, max=limits.LONGEST_WAIT, help="How long somebody may take to accept frames [s].")
]
Json = Annotated[bool, typer.Option("--json", help="One line of JSON at the end.")]
Drop = Annotated[float, typer.Option(min=0.0, max=1.0, help="Part of the frames that is lost on purpose.")]
Duplicate = Annotated[float, typer.Option(min=0.0, max=1.0, help="Part of the frames that is sent twice.")]
Reorder = Annotated[float, typer.Option(min=0.0, max=1.0, help="Part of the frames that is sent too late.")]
Corrupt = Annotated[float, typer.Option(min=0.0, max=1.0, help="Part of the frames with damaged headers or payloads.")]
Truncate = Annotated[float, typer.Option(min=0.0, max=1.0, help="Part of the frames that is cut short.")]
AbortAt = Annotated[int | None, typer.Option(min=0, help="Stop after this number of frames, and say so.")]
Flyback = Annotated[int, typer.Option(min=0, max=1 << 16, help="Frames after each scan row that belong nowhere.")]


@simulate_app.command("simulate")
def simulate_verb(
    endpoint: Endpoint = INTAKE,
    scan: Annotated[str, typer.Option(help="Scan positions, ROWSxCOLUMNS.")] = "64x64",
    shape: Annotated[str, typer.Option(help="Pixels of a frame, ROWSxCOLUMNS or one side.")] = "128",
    specimen: Annotated[SpecimenName, typer.Option(help="What is in the beam.")] = SpecimenName.si_sige,
    lattice: Annotated[LatticeName, typer.Option(help="Lattice of the disks.")] = LatticeName.square,
    dose: Dose = 1e5,
    spacing: Spacing = None,
    radius: Radius = None,
    nonuniformity: Annotated[float, typer.Option(min=0, max=0.9, help="Contrast inside the disks.")] = 0.3,
    seed: Annotated[int, typer.Option(min=0, help="Decides every count.")] = 0,
    dtype: Annotated[DtypeName, typer.Option(help="Pixel type.")] = DtypeName.uint16,
    order: Annotated[OrderName, typer.Option(help="Order of the frames.")] = OrderName.raster,
    flyback: Flyback = 0,
    loop: Loop = None,
    rate: Rate = "max",
    frames_per_message: PerMessage = 32,
    encoding: Packing = EncodingName.raw,
    scan_id: ScanIdOption = None,
    control: Control = None,
    wait: Wait = 30.0,
    truth: Annotated[Path | None, typer.Option(help="Write the true strain to this .npz file.")] = None,
    probe: Annotated[Path | None, typer.Option("--vacuum-probe", help="Write the probe to this .npy file.")] = None,
    times: Annotated[Path | None, typer.Option(help="Write when each frame was sent to this .npy file [ns].")] = None,
    drop: Drop = 0.0,
    duplicate: Duplicate = 0.0,
    reorder: Reorder = 0.0,
    corrupt: Corrupt = 0.0,
    truncate: Truncate = 0.0,
    abort_at: AbortAt = None,
    json: Json = False,
) -> None:
    """Simulate a detector: render the frames of a scan with known strain, and send them."""
    with _exit_codes():
        from livestrain_simulator.simulate import Simulation, optics, simulate

        rates = {"drop": drop, "duplicate": duplicate, "reorder": reorder, "corrupt": corrupt, "truncate": truncate}
        beam = {"dose": dose, "nonuniformity": nonuniformity, "dtype": dtype.value, "seed": seed}
        disks, camera = optics(_sides(shape, "--shape"), spacing, radius, lattice.value, **beam)
        simulation = Simulation(
            specimen.value, _sides(scan, "--scan"), disks, camera, order.value, flyback, loop, truth, probe
        )
        delivery = _delivery(endpoint, wait, scan_id, (encoding, frames_per_message, rate, abort_at), rates, seed)
        delivery = replace(delivery, times=times)
        began = time.time_ns()
        report = simulate(simulation, delivery)
        _say(report, json, _fate(delivery, report, control, began))


@replay_app.command("replay")
def replay_verb(
    file: Annotated[Path, typer.Argument(help="An HDF5 or .npy file with the frames of a scan.")],
    dataset: Annotated[str | None, typer.Option(help="Dataset in an HDF5 file; default: the largest.")] = None,
    scan_shape: Annotated[str | None, typer.Option(help="Scan positions, ROWSxCOLUMNS.")] = None,
    order: Annotated[StoredOrder, typer.Option(help="How the stored frames run.")] = StoredOrder.raster,
    flyback: Flyback = 0,
    endpoint: Endpoint = INTAKE,
    rate: Annotated[str, typer.Option(help="Frames per second; max; real: one frame per dwell time.")] = "max",
    dwell_us: Annotated[float | None, typer.Option(help="Dwell time for --rate real [us].")] = None,
    frames_per_message: PerMessage = 32,
    encoding: Packing = EncodingName.raw,
    scan_id: ScanIdOption = None,
    control: Control = None,
    wait: Wait = 30.0,
    abort_at: AbortAt = None,
    json: Json = False,
) -> None:
    """Replay a recorded scan: send the frames of a file as a detector would."""
    with _exit_codes():
        from livestrain_simulator.replay import replay

        real_time = rate == "real"
        how = (encoding, frames_per_message, "max" if real_time else rate, abort_at)
        delivery = _delivery(endpoint, wait, scan_id, how)
        sides = _sides(scan_shape, "--scan-shape") if scan_shape else None
        began = time.time_ns()
        report = replay(file, delivery, dataset, sides, order.value, flyback, dwell_us, real_time)
        _say(report, json, _fate(delivery, report, control, began))


def _delivery(
    endpoint: str,
    wait: float,
    scan_id: str | None,
    how: tuple[EncodingName, int, str, int | None],
    rates: dict[str, float] | None = None,
    seed: int = 0,
) -> "Delivery":
    from livestrain_simulator.delivery import Delivery, Mistakes
    from livestrain_simulator.send import Sending

    encoding, frames_per_message, rate, abort_at = how
    sending = Sending(encoding.value, frames_per_message, _rate(rate), abort_at)
    mistakes = Mistakes(cast("Any", rates or {}), seed)
    typer.echo(f"sending to {endpoint}", err=True)
    return Delivery(endpoint, wait, scan_id, sending, mistakes)


def _fate(delivery: "Delivery", report: "Report", control: str | None, began_ns: int) -> "Fate":
    """What the daemon has made of a scan, where it can be asked."""
    from livestrain_simulator.named import Fate, fate_of

    control = CONTROL if control is None and delivery.endpoint == INTAKE else control
    return fate_of(control, report.sent.scan_id, began_ns) if control else Fate()


def _say(report: "Report", json: bool, fate: "Fate") -> None:
    """What was sent, and what became of it; a scan that was refused is a failure."""
    _say_sent(report, json, fate)
    if fate.refusal is not None:
        line = " ".join(f"livestrain: the daemon refused scan {report.sent.scan_id}: {fate.refusal}".split())
        typer.echo(line, err=True)
        raise typer.Exit(UNAVAILABLE)


def _say_sent(report: "Report", json: bool, fate: "Fate") -> None:
    name = fate.name
    facts = report.facts() | {"daemon_scan_id": name, "refusal": fate.refusal}
    if json:
        typer.echo(json_lines.dumps(facts))
        return
    faults = ", ".join(f"{count} {kind}" for kind, count in facts["faults"].items() if count)
    typer.echo(
        f"sent {facts['frames']} frames in {facts['seconds']:.2f} s ({facts['frames_per_second']:,.0f} frames/s) "
        f"as scan {facts['scan_id']}"
        + (f", which the daemon calls {name}: it has one of that name" if name not in {None, facts["scan_id"]} else "")
        + (", aborted as asked" if facts["aborted"] else "")
        + (f"; on purpose {faults}" if faults else "")
        + (f"; {facts['clipped']} pixels held more than their type can" if facts["clipped"] else "")
    )


def _sides(text: str, option: str) -> tuple[int, int]:
    """Rows and columns from ``ROWSxCOLUMNS`` or one side."""
    match = SIDES.fullmatch(text.lower())
    rows, columns = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= rows <= MOST_SIDE or not 1 <= columns <= MOST_SIDE:
        expected = f"expected ROWSxCOLUMNS of 1 to {MOST_SIDE} each"
        raise typer.BadParameter(f"{expected}, found {text:.60}", param_hint=option)
    most = {"--shape": limits.MOST_PIXELS, "--scan": limits.MOST_POSITIONS}.get(option)
    if most is not None and rows * columns > most:
        raise typer.BadParameter(f"expected at most {most} in all, found {rows * columns}", param_hint=option)
    return rows, columns


def _rate(text: str) -> float | None:
    if text == "max":
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not limits.LOWEST_RATE <= rate < float("inf"):
        expected = f"expected frames per second of at least {limits.LOWEST_RATE:g}, or max"
        raise typer.BadParameter(f"{expected}, found {text:.60}", param_hint="--rate")
    return rate


@contextmanager
def _exit_codes() -> Iterator[None]:
    """Turn what can go wrong into one line and an exit code."""
    from pydantic import ValidationError
    from zmq import ZMQError

    from livestrain_recordings.errors import NoFrames, UnusableRecording
    from livestrain_simulator.errors import NobodyListens, NotReplayable

    # a scan whose sender is told to go must not leave its receiver waiting
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt as error:
        _fail(INTERRUPTED, error, "interrupted: the scan ends as aborted")
    except NoFrames as error:
        _fail(NO_DATA, error)
    except (NobodyListens, ZMQError) as error:
        _fail(UNAVAILABLE, error)
    except (NotReplayable, UnusableRecording) as error:
        _fail(USAGE, error)
    except MemoryError as error:
        _fail(UNAVAILABLE, error, f"there is not enough memory for such a scan: {error}")
    except OSError as error:
        _fail(IO_ERROR, error)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "scan"
        _fail(USAGE, error, f"{where}: {first['msg']}, found {first['input']!r:.60}")
    except ValueError as error:
        _fail(USAGE, error)
    finally:
        signal.signal(signal.SIGTERM, before)


def _fail(code: int, error: BaseException, text: str = "") -> None:
    line = " ".join((text or str(error)).split())
    typer.echo(f"livestrain: {line}", err=True)
    raise typer.Exit(code) from error


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command("simulate")(simulate_verb)
    app.command("replay")(replay_verb)
    app()
