"""How fast an intake takes a detector's protocol, beside our own and beside the library that unpacks."""

import json
import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from math import gcd
from pathlib import Path
from typing import Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from livestrain_client.rig.intake import IntakeProcess, PackedSender, PackedStream, Taken
from livestrain_client.rig.processes import free_ports

Form = Literal["native", "dectris-v1", "dectris-v2", "merlin", "asi"]
UNPACKED = ("merlin", "asi")
"""Protocols whose pixels are never packed."""
RING_MIB = 128
ARINA_RATE = 120_000
"""Frames per second of the fastest detector that there is, at 96 x 96 pixels."""


@dataclass(frozen=True)
class Rate:
    """One scan taken in."""

    frames_per_second: float
    bytes_per_second: float
    """Of pixels as they are stored [bytes/s]."""
    processor_us_per_frame: float
    """Of the intake, all its threads [us]."""
    sender_us_per_frame: float
    """Processor time of the sender [us]."""


@dataclass(frozen=True)
class Comparison:
    """Several scans of a protocol and of our own, taken in turns."""

    stream: PackedStream
    detector: tuple[Rate, ...]
    native: tuple[Rate, ...]
    unpacking: tuple[float, ...]
    """What the library alone unpacks in each round, the frames one by one, in one thread of a process that nothing of
    the benchmark runs beside [bytes/s]."""
    unpacking_beside: tuple[float, ...] = ()
    """The same while a second process does likewise, so that no core is idle, as when frames are sent and taken
    [bytes/s]."""

    @property
    def of_native(self) -> tuple[float, ...]:
        """Rate in bytes over that of our own protocol in the same round [1]."""
        return tuple(
            one.bytes_per_second / other.bytes_per_second for one, other in zip(self.detector, self.native, strict=True)
        )

    @property
    def of_unpacking(self) -> tuple[float, ...]:
        """Rate in bytes over that of unpacking alone in the same round [1]."""
        return self._over(self.unpacking)

    @property
    def of_unpacking_beside(self) -> tuple[float, ...]:
        """Rate in bytes over that of unpacking beside a second process in the same round [1]."""
        return self._over(self.unpacking_beside)

    def _over(self, alone: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(one.bytes_per_second / other for one, other in zip(self.detector, alone, strict=False))

    @property
    def cores_for_arina(self) -> float:
        """Cores that the intake would keep busy with 120,000 such frames a second, from its processor time."""
        return ARINA_RATE * statistics.median(rate.processor_us_per_frame for rate in self.detector) / 1e6

    def facts(self) -> dict[str, object]:
        """Everything, as plain values."""
        return {
            **asdict(self.stream),
            "detector": [asdict(rate) for rate in self.detector],
            "native": [asdict(rate) for rate in self.native],
            "unpacking": self.unpacking,
            "unpacking_beside": self.unpacking_beside,
            "of_native": self.of_native,
            "of_unpacking": self.of_unpacking,
            "of_unpacking_beside": self.of_unpacking_beside,
            "cores_for_arina": round(self.cores_for_arina, 2),
        }


def packed_stream(
    form: Form, encoding: str, frames: tuple[int, int], side: int, dose: float, per_message: int
) -> PackedStream:
    """
    A stream to compare.

    Parameters
    ----------
    encoding
        Of the pixels; ``raw`` and ``none`` are the same.
    frames
        How many at least, and the columns of the scan that they fill.
    side
        Of a frame [px].
    dose
        Electrons per frame [counts].
    per_message
        Frames in a message of our own protocol, at most.

    Raises
    ------
    typer.BadParameter
        If the protocol does not pack pixels.
    """
    encoding = "none" if encoding == "raw" else encoding
    if encoding != "none" and form in UNPACKED:
        raise typer.BadParameter(f"{form} does not pack pixels: expected the encoding none, found {encoding}")
    least, columns = frames
    count = -(-least // columns) * columns
    return PackedStream(form, 0, encoding, side, count, columns, dose, gcd(per_message, columns))


def compare(stream: PackedStream, repeats: int, storage: Literal["disk", "ring"], folder: Path) -> Comparison:
    """
    Take scans of a protocol and of our own in turns.

    Parameters
    ----------
    stream
        What the detector sends; native alone is measured against itself.
    repeats
        Rounds.
    storage
        Where the frames go.
    folder
        For everything.

    Raises
    ------
    Unavailable
        If an intake or a sender does not do its work.
    """
    with ExitStack() as stack:
        sides = [
            stack.enter_context(_side(replace(stream, form=form), storage, folder / name))
            for form, name in ((stream.form, "detector"), ("native", "native"))
        ]
        turns: list[list[Rate]] = [[], []]
        unpacking: list[list[float]] = [[], []]
        for side in sides:
            # what is touched for the first time takes longer, and is not what is measured
            side.scan()
        for _ in range(repeats):
            for side, rates in zip(sides, turns, strict=True):
                rates.append(side.scan())
            if stream.encoding != "none":
                unpacking[0].append(_unpacked(sides[:1]))
                unpacking[1].append(_unpacked(sides))
    return Comparison(stream, tuple(turns[0]), tuple(turns[1]), tuple(unpacking[0]), tuple(unpacking[1]))


@dataclass(frozen=True)
class _Side:
    """A sender and the intake that it sends to."""

    stream: PackedStream
    sender: PackedSender
    intake: IntakeProcess

    def scan(self) -> Rate:
        """Send and take a scan."""
        self.sender.tell("send")
        taken: Taken = self.intake.scan(self.stream.frames)
        sent = self.sender.answer()
        rate = taken.frames / taken.seconds
        count = self.stream.frames
        return Rate(
            round(rate, 1),
            round(rate * 2 * self.stream.side**2),
            round(1e6 * taken.processor_seconds / count, 2),
            round(1e6 * float(sent["processor_seconds"]) / count, 2),
        )


def _unpacked(sides: list[_Side]) -> float:
    """What the library alone does with the frames of the first, while the senders of all do the same [bytes/s]."""
    for side in sides:
        side.sender.tell("unpack")
    rates: list[float] = [side.sender.answer()["bytes_per_second"] for side in sides]
    return rates[0]


@contextmanager
def _side(stream: PackedStream, storage: str, folder: Path) -> Iterator[_Side]:
    folder.mkdir()
    if stream.form == "native":
        stream = replace(stream, port=free_ports().frames)
    spool = {"record": storage == "disk", "ring_mib": RING_MIB, "when_full": "drop_oldest"}
    with PackedSender(stream) as sender:
        port = sender.port()
        with IntakeProcess(folder, _section(stream, port), spool) as intake:
            intake.wait_until_ready()
            yield _Side(stream, sender, intake)


def _section(stream: PackedStream, port: int) -> dict[str, Any]:
    """The intake's section of the configuration."""
    host = "127.0.0.1"
    scan = {"shape": (stream.frames // stream.columns, stream.columns)}
    if stream.form == "native":
        return {"endpoint": f"tcp://{host}:{port}"}
    if stream.form in UNPACKED:
        return {stream.form: {"host": host, "data_port": port}, "scan": scan}
    version = stream.form.removeprefix("dectris-")
    return {"dectris": {"host": host, "stream": version, "stream_port": port, "rest_port": None}, "scan": scan}


def show(found: Comparison, as_json: bool) -> None:
    """Print a table, or a line of JSON."""
    if as_json:
        typer.echo(json.dumps(found.facts()))
        return
    stream = found.stream
    title = f"{stream.frames} frames of {stream.side} x {stream.side} uint16, {stream.encoding}"
    table = Table(title=title, title_justify="left")
    for heading in ("", "frames/s", "MB/s", "intake us/frame", "sender us/frame"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, rates in ((stream.form, found.detector), ("native", found.native)):
        columns = (
            _spread(rates, lambda rate: rate.frames_per_second, "{:,.0f}"),
            _spread(rates, lambda rate: rate.bytes_per_second / 1e6, "{:,.0f}"),
            _spread(rates, lambda rate: rate.processor_us_per_frame, "{:.1f}"),
            _spread(rates, lambda rate: rate.sender_us_per_frame, "{:.1f}"),
        )
        table.add_row(name, *columns)
    console = Console()
    console.print(table)
    same = float
    console.print(f"{stream.form} / native, in bytes: {_spread(found.of_native, same, '{:.2f}')}", highlight=False)
    for name, alone, shares in (
        ("library alone", found.unpacking, found.of_unpacking),
        ("beside a second one", found.unpacking_beside, found.of_unpacking_beside),
    ):
        if alone:
            rate, share = _spread(alone, lambda one: one / 1e6, "{:,.0f}"), _spread(shares, same, "{:.2f}")
            console.print(f"{name}: {rate} MB/s; {stream.form} / that: {share}", highlight=False)
    console.print(f"cores for {ARINA_RATE:,} of these frames a second: {found.cores_for_arina:.1f}", highlight=False)


def _spread(values: tuple[Any, ...], value: Callable[[Any], float], form: str) -> str:
    """The median, and the smallest and the largest."""
    numbers = [value(one) for one in values]
    middle, least, most = (form.format(number) for number in (statistics.median(numbers), min(numbers), max(numbers)))
    return f"{middle} ({least}..{most})"
