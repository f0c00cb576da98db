"""How updates are shown: in place on a terminal, as plain lines, or as JSON lines."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Protocol, Self

import typer
from rich.console import Console

from livestrain_client.cli.output import as_json
from livestrain_client.conditions import Condition, Met
from livestrain_client.live import Live
from livestrain_client.updates import (
    EventSeen,
    MapChanged,
    PlanReplaced,
    ProgressChanged,
    Reconnected,
    ScanBegan,
    ScanFinished,
    ScanForgotten,
    Stale,
    Update,
    VectorMapChanged,
)
from livestrain_client.view import LiveView, Screen, counts_line, rates_line
from livestrain_wire.messages import Progress, Published

LINE_SECONDS = 1.0
"""Plain lines of progress come no faster [s]."""


class Shower(Protocol):
    """Shows updates, in a ``with`` block."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, updates: Sequence[Update]) -> None:
        """Show these updates, which may be none."""
        ...

    def condition_met(self, condition: Condition, met: Met) -> None:
        """Show that a condition is met."""
        ...


class TerminalView:
    """The maps, in place."""

    def __init__(self, live: Live, maps: Sequence[str], console: Console) -> None:
        self._console = console
        self._screen = Screen(LiveView(live, maps), console)

    def __enter__(self) -> Self:
        self._screen.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._screen.__exit__(kind, error, trace)

    def show(self, updates: Sequence[Update]) -> None:
        """Take note of these updates."""
        self._screen.show(updates)

    def condition_met(self, condition: Condition, met: Met) -> None:
        """Say where a condition is met."""
        self._console.print(condition_line(condition, met), highlight=False)


class PlainLines:
    """One line for each thing a person should know."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def show(self, updates: Sequence[Update]) -> None:
        """A line for each update but map changes; the latest progress once a second, and at the end."""
        last = next((update.progress for update in reversed(updates) if isinstance(update, ProgressChanged)), None)
        for update in updates:
            line = plain_line(update)
            if line is not None:
                typer.echo(line)
        if last is not None and (last.final or time.monotonic() >= self._next):
            self._next = time.monotonic() + LINE_SECONDS
            typer.echo(progress_line(last))

    def condition_met(self, condition: Condition, met: Met) -> None:
        """Say where a condition is met."""
        typer.echo(condition_line(condition, met))


class JsonLines:
    """One JSON object a line; changes of a map are gathered for as long as a turn lasts."""

    def __init__(self, live: Live, maps: Sequence[str] = ()) -> None:
        self._live = live
        self._maps = frozenset(maps)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def show(self, updates: Sequence[Update]) -> None:
        """A line for each update."""
        changed: dict[str, MapChanged] = {}
        for update in updates:
            if isinstance(update, MapChanged):
                before = changed.get(update.name)
                runs = update.runs if before is None or before.map is not update.map else before.runs + update.runs
                changed[update.name] = MapChanged(update.name, runs, update.map)
            else:
                typer.echo(as_json(json_fields(update)))
        for change in changed.values():
            if not self._maps or change.name in self._maps:
                typer.echo(as_json(json_fields(change)))

    def condition_met(self, condition: Condition, met: Met) -> None:
        """A line that says where a condition is met."""
        place = {"row": met.row, "column": met.column, "value": met.value}
        typer.echo(as_json({"type": "condition_met", "condition": str(condition), **place}))


def json_fields(update: Update) -> dict[str, Any]:
    """An update as plain fields; published messages keep the names of the wire."""
    match update:
        case MapChanged(name, runs, state):
            return {
                "type": "map",
                "name": name,
                "revision": state.revision,
                "reference_revision": state.reference_revision,
                "runs": runs,
                "known": int(state.known.sum()),
            }
        case VectorMapChanged(_, about):
            return {"type": "vector_map", **about.model_dump()}
        case ScanForgotten(scan_id):
            return {"type": "scan_forgotten", "scan_id": scan_id}
        case Stale(seconds):
            return {"type": "stale", "seconds": seconds}
        case Reconnected(epoch, restarted):
            return {"type": "reconnected", "epoch": epoch, "restarted": restarted}
    return _message_of(update).model_dump()


def _message_of(update: ProgressChanged | EventSeen | ScanBegan | PlanReplaced | ScanFinished) -> Published:
    message: Published
    match update:
        case (
            ProgressChanged(message)
            | EventSeen(message)
            | ScanBegan(message)
            | PlanReplaced(message)
            | ScanFinished(message)
        ):
            pass
    return message


def plain_line(update: Update) -> str | None:
    """An update in one line; None for those that come too often."""
    line = None
    match update:
        case ScanBegan(scan):
            rows, columns = scan.start.scan_shape
            line = f"scan {scan.start.scan_id} {rows} x {columns} in {scan.folder}"
        case PlanReplaced(plan):
            line = f"plan {plan.revision}: {', '.join(info.name for info in plan.maps)}"
        case EventSeen(event):
            line = f"{event.level}: {event.text}"
        case ScanFinished(ended):
            line = f"scan {ended.scan_id} {ended.reason} after {ended.seconds:.1f} s"
        case ScanForgotten(scan_id):
            line = f"scan {scan_id} is no longer in the daemon's memory"
        case Stale(seconds):
            line = f"the daemon is silent for {seconds:.0f} s"
        case Reconnected(_, restarted):
            line = "the daemon was started again" if restarted else "the daemon is heard again"
    return line


def progress_line(progress: Progress) -> str:
    """Counts and rates in one line."""
    return f"{counts_line(progress)}  {rates_line(progress)}"


def condition_line(condition: Condition, met: Met) -> str:
    """Where a condition is met, in one line."""
    return f"{condition}: {met.value:.5g} at row {met.row}, column {met.column}"
