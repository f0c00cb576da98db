"""Options of the verbs that send scans; nothing heavy is imported here."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from functools import wraps
from typing import Annotated, Any

import typer

from livestrain_simulator import limits
from livestrain_wire import written

INTAKE, CONTROL = "tcp://127.0.0.1:5550", "tcp://127.0.0.1:5552"
"""Where a daemon without a configuration is."""


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


class SenderName(StrEnum):
    """Protocols that scans can be sent in."""

    native = "native"
    dectris_v1 = "dectris-v1"
    dectris_v2 = "dectris-v2"
    merlin = "merlin"
    asi = "asi"
    asi_jsonimage = "asi-jsonimage"
    asi_tpx3 = "asi-tpx3"


class ArmName(StrEnum):
    """Who begins the scans of an emulated detector."""

    self = "self"
    wait = "wait"


def _connectable(endpoint: str | None) -> str | None:
    return written.connectable(endpoint) if endpoint else None


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
Dose = Annotated[float, typer.Option(min=0, max=limits.MOST_ELECTRONS, help="Electrons per frame.")]
Spacing = Annotated[float | None, typer.Option(min=2, max=limits.MOST_PX, help="Distance of neighbouring disks [px].")]
Radius = Annotated[float | None, typer.Option(min=0.5, max=limits.MOST_PX, help="Radius of a disk [px].")]
Loop = Annotated[int | None, typer.Option(min=1, max=limits.MOST_LOOPED, help="Render so many frames and repeat them.")]
Flyback = Annotated[int, typer.Option(min=0, max=1 << 16, help="Frames after each scan row that belong nowhere.")]
Json = Annotated[bool, typer.Option("--json", help="One line of JSON at the end of each scan.")]


def _which(help_text: str) -> Any:
    return typer.Option(metavar="0.01|5,17,20-30", help=help_text)


@dataclass(frozen=True)
class SendingOptions:
    """Where scans go, and how."""

    endpoint: Endpoint = INTAKE
    frames_per_message: Annotated[int, typer.Option(min=1, max=1 << 20, help="Frames in one message at most.")] = 32
    encoding: Annotated[EncodingName, typer.Option(help="How payloads are packed.")] = EncodingName.raw
    scan_id: Annotated[str | None, typer.Option("--scan-id", help="Name of the scan; default: made from the time.")] = (
        None
    )
    control: Control = None
    wait: Annotated[
        float, typer.Option(min=0.01, max=limits.LONGEST_WAIT, help="How long somebody may take to accept frames [s].")
    ] = 30.0
    scans: Annotated[int, typer.Option(min=1, max=limits.MOST_SCANS, help="Take the scan so often.")] = 1
    json: Json = False


@dataclass(frozen=True)
class DetectorOptions:
    """The detector that sends them, if it is one that is emulated."""

    send_as: Annotated[
        SenderName, typer.Option("--as", help="Send in our own protocol to a daemon, or listen as such a detector.")
    ] = SenderName.native
    host: Annotated[str, typer.Option(help="Where such a detector listens.")] = "127.0.0.1"
    stream_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Where its frames can be had; default: its usual port; 0: any."),
    ] = None
    control_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Where it is commanded; default: its usual port, but 8080 instead of 80; 0: any."
        ),
    ] = None
    arm: Annotated[
        ArmName, typer.Option(help="Begin as soon as somebody takes frames, or wait for somebody's command.")
    ] = ArmName.self


@dataclass(frozen=True)
class FaultOptions:
    """What goes wrong on purpose: by a probability, which has a point, or to the frames of some numbers."""

    drop: Annotated[
        str | None,
        _which("Frames that are lost: a probability such as 0.01, or numbers such as 5,17,20-30; likewise below."),
    ] = None
    duplicate: Annotated[str | None, _which("Frames that are sent twice.")] = None
    reorder: Annotated[str | None, _which("Frames that are sent after the next one.")] = None
    corrupt: Annotated[str | None, _which("Frames with damaged headers or payloads.")] = None
    truncate: Annotated[str | None, _which("Frames that are cut short.")] = None
    stall: Annotated[str | None, _which("Frames before which nothing comes for a while.")] = None
    second_series: Annotated[
        str | None, _which("Frames beside which one of another series comes, which nobody began.")
    ] = None
    stall_seconds: Annotated[float, typer.Option(min=0.0, max=3600.0, help="How long a stall lasts [s].")] = 0.5
    abort_at: Annotated[
        int | None, typer.Option(min=0, help="Abort each scan after so many frames, as that detector does.")
    ] = None
    short_by: Annotated[int, typer.Option(min=0, help="Announce all frames, and leave so many out at the end.")] = 0
    late_header: Annotated[
        int, typer.Option(min=0, help="Send the start of the scan after so many frames, or never.")
    ] = 0
    rearm: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Break off after so many frames without a word, and begin the next scan at once; two scans at least.",
        ),
    ] = None
    burst: Annotated[
        int, typer.Option(min=1, max=1 << 20, help="Send so many frames at once, and pause to keep the rate.")
    ] = 1


NATIVE_ONLY = ("endpoint", "frames_per_message", "scan_id", "control", "times")
EMULATED_ONLY = ("host", "stream_port", "control_port", "arm")
UNPACKED = ("encoding",)


def refuse_what_does_nothing(context: typer.Context) -> None:
    """
    Stop where an option was given that nothing follows from.

    Raises
    ------
    ValueError
        Naming it. What an environment variable says is meant for others, too.
    """
    given = context.params
    sender = SenderName(given["send_as"])
    idle = dict.fromkeys(EMULATED_ONLY, "goes with --as only")
    if sender is not SenderName.native:
        idle = dict.fromkeys(NATIVE_ONLY, f"does not go with --as {sender.value}")
        if not sender.value.startswith("dectris"):
            idle |= dict.fromkeys(UNPACKED, f"{sender.value} sends pixels as they are")
    if sender is SenderName.asi_tpx3:
        idle["control_port"] = f"{sender.value} takes no commands"
    if given["stall"] is None:
        idle["stall_seconds"] = "goes with --stall only"
    if given["rate"] != "real":
        idle["dwell_us"] = "goes with --rate real only"
    for name, why in idle.items():
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise ValueError(f"--{name.replace('_', '-')}: {why}")


GROUPS = (SendingOptions, DetectorOptions, FaultOptions)


def spread(verb: Callable[..., None]) -> Callable[..., None]:
    """Make options of the fields of those parameters of a verb that are groups of options."""
    signature = inspect.signature(verb)
    grouped = {name: one.annotation for name, one in signature.parameters.items() if one.annotation in GROUPS}
    plain = [one for name, one in signature.parameters.items() if name not in grouped]
    options = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=field.type,
        )
        for group in grouped.values()
        for field in fields(group)
    ]

    @wraps(verb)
    def spreaded(**given: Any) -> None:
        groups = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in grouped.items()
        }
        verb(**given, **groups)

    keyword = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in plain]
    spreaded.__signature__ = signature.replace(parameters=[*keyword, *options])  # type: ignore[attr-defined]
    spreaded.__annotations__ = {one.name: one.annotation for one in [*keyword, *options]}
    return spreaded


def sides_of(text: str, option: str) -> tuple[int, int]:
    """Rows and columns from ``ROWSxCOLUMNS`` or one side."""
    most = {"--shape": written.MOST_PIXELS, "--scan": written.MOST_POSITIONS}.get(option)
    try:
        return written.sides_of(text, most)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def rate_of(text: str) -> float | None:
    """Frames per second, or None: as fast as accepted."""
    try:
        return written.rate_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--rate") from error
