"""A scan on a terminal while it is measured: maps, counts and the last events."""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import numpy as np
import rich.live
from numpy.typing import NDArray
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from livestrain_client.colours import SHOWN_FIRST, STRAIN_MAPS, scale_of
from livestrain_client.live import Live
from livestrain_client.state import MapState
from livestrain_client.terminal import HalfBlocks, fitted
from livestrain_client.updates import EventSeen, Update
from livestrain_wire.messages import Progress, StageCounts

REFRESH_SECONDS = 0.125
SHOWN_EVENTS = 4
MOST_MAPS = 4
OTHER_LINES = 8
"""Lines of the view beside maps and events."""
LEVEL_STYLES = {"info": "", "warning": "yellow", "error": "bold red"}


def chosen_maps(live: Live, names: Sequence[str] = ()) -> list[MapState]:
    """The maps to show: those named, else strain and rotation, else the first ones; one value per position only."""
    drawable = {name: state for name, state in live.maps.items() if not state.info.shape}
    wanted = names or [name for name in SHOWN_FIRST if name in drawable] or list(drawable)[:MOST_MAPS]
    return [drawable[name] for name in wanted if name in drawable]


def measured_values(state: MapState) -> NDArray[Any]:
    """(scan_rows, scan_columns) values as floats, NaN where not known."""
    return np.where(state.known, state.values, np.nan)


def counts_line(progress: Progress) -> str:
    """Counts of a scan in one line: stored, per stage, missing, and every kind of fault."""
    total = counts_of_maps(progress)
    parts = [
        f"stored {progress.stored}/{progress.positions}",
        f"analysed {total.analysed}",
        f"failed {total.failed}",
        f"missing {progress.missing}",
        f"dropped {total.dropped}",
        *(f"{kind} {count}" for kind, count in sorted(progress.faults.items()) if count),
    ]
    return "  ".join(parts)


def rates_line(progress: Progress) -> str:
    """Rates, lag and the time to the end in one line."""
    line = (
        f"{progress.frames_per_second:,.0f} frames/s  analysed {progress.analysed_per_second:,.0f}/s  "
        f"lag {progress.lag_positions}"
    )
    # at no rate nobody knows how long it takes to catch up
    if progress.analysed_per_second > 0:
        line += f" ({progress.lag_seconds:.1f} s)"
    if progress.eta_seconds is not None and not progress.final:
        line += f"  ends in {progress.eta_seconds:.0f} s"
    return line


def part_done(progress: Progress) -> float:
    """The part of a scan that is final, 0 to 1; nothing is before there is a plan."""
    if not progress.stages or not progress.positions:
        return 0.0
    return 1.0 - counts_of_maps(progress).pending / progress.positions


def counts_of_maps(progress: Progress) -> StageCounts:
    """Counts of the stage that the maps come from: the plan's first."""
    return next(iter(progress.stages.values()), StageCounts())


class LiveView:
    """
    What a terminal shows of a scan: a rich renderable, drawn from ``live`` each time.

    Parameters
    ----------
    live
        The scan that is followed.
    maps
        Names of the maps to show; strain and rotation, or what there is, if not given.
    limits
        Largest magnitude on the colour scale of a map, by name, in the map's unit; else the usual one.
    """

    def __init__(self, live: Live, maps: Sequence[str] = (), limits: Mapping[str, float] | None = None) -> None:
        self.live = live
        self.maps = tuple(maps)
        self.limits = dict(limits or {})
        self._events: deque[Text] = deque(maxlen=SHOWN_EVENTS)

    def note(self, updates: Iterable[Update]) -> None:
        """Remember what is worth a line."""
        for update in updates:
            if isinstance(update, EventSeen):
                event = update.event
                at = datetime.fromtimestamp(event.utc_ns / 1e9, UTC).astimezone().strftime("%H:%M:%S")
                self._events.append(Text(f"{at}  {event.text}", LEVEL_STYLES[event.level], no_wrap=True))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        height = (options.height or console.height) - OTHER_LINES - SHOWN_EVENTS
        parts: list[RenderableType] = [self._header()]
        progress = self.live.progress
        if progress is not None:
            parts.append(self._bar(progress))
        states = chosen_maps(self.live, self.maps)
        if states:
            parts.append(_pictures(states, self.limits, options.max_width, max(4, height)))
        if progress is not None:
            parts += [Text(counts_line(progress), no_wrap=True), Text(rates_line(progress), no_wrap=True)]
        yield Group(*parts, *self._events)

    def _header(self) -> Text:
        scan, plan, ended = self.live.scan, self.live.plan, self.live.ended
        if scan is None:
            return Text("waiting for a scan", "dim")
        rows, columns = scan.start.scan_shape
        header = Text.assemble((scan.start.scan_id, "bold"), f"  {rows} x {columns}", no_wrap=True)
        if plan is not None:
            header.append(f"  plan {plan.revision}")
        if ended is not None:
            header.append(
                f"  {ended.reason} after {ended.seconds:.1f} s", "green" if ended.reason == "complete" else ""
            )
        if self.live.stale:
            header.append("  the daemon is silent", "bold yellow")
        return header

    def _bar(self, progress: Progress) -> RenderableType:
        done = part_done(progress)
        grid = Table.grid(padding=(0, 1))
        grid.add_row(ProgressBar(total=1.0, completed=done, width=40), f"{100 * done:.0f} %")
        return grid


class Screen:
    """
    A `LiveView` that stays in place on a terminal.

    Parameters
    ----------
    view
        What to show.
    console
        The terminal.
    """

    def __init__(self, view: LiveView, console: Console) -> None:
        self._view = view
        self._display = rich.live.Live(view, console=console, auto_refresh=False, vertical_overflow="crop")
        self._next = 0.0

    def __enter__(self) -> Self:
        self._display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.refresh()
        self._display.stop()

    def show(self, updates: Iterable[Update]) -> None:
        """Take note of updates, and draw if the last drawing is old enough."""
        self._view.note(updates)
        if time.monotonic() >= self._next:
            self._display.refresh()
            self._next = time.monotonic() + REFRESH_SECONDS


def _pictures(states: list[MapState], limits: Mapping[str, float], width: int, height: int) -> RenderableType:
    """The maps side by side, in as many lines as fit them best."""
    across = max(range(1, len(states) + 1), key=lambda number: _picture_size(states, width, height, number))
    lines = -(-len(states) // across)
    columns, rows = width // across - 2, 2 * (height // lines - 1)
    grid = Table.grid(padding=(0, 2))
    for first in range(0, len(states), across):
        shown = states[first : first + across]
        grid.add_row(*(_picture(state, limits.get(state.info.name), max(2, rows), max(2, columns)) for state in shown))
    return grid


def _picture_size(states: list[MapState], width: int, height: int, across: int) -> float:
    """Pixels per scan position if so many maps stand side by side."""
    scan_rows, scan_columns = states[0].known.shape
    lines = -(-len(states) // across)
    return float(min((width // across - 2) / scan_columns, 2 * (height // lines - 1) / scan_rows))


def _picture(state: MapState, limit: float | None, rows: int, columns: int) -> RenderableType:
    values = measured_values(state)
    scale = scale_of(state.info if limit is None else state.info.model_copy(update={"limit": limit}), values)
    pixels = scale.colours(fitted(values, rows, columns))
    if state.info.name in STRAIN_MAPS:
        label = f"± {100 * scale.high:g} %"
    elif state.info.unit == "rad" and scale.high < np.deg2rad(1.0):
        label = f"± {1000 * scale.high:.2g} mrad"
    elif state.info.unit == "rad":
        label = f"± {np.rad2deg(scale.high):.2g}°"
    elif scale.kind == "diverging":
        label = f"± {scale.high:.3g} {state.info.unit}"
    else:
        label = f"{scale.low:.3g} .. {scale.high:.3g} {state.info.unit}"
    return Group(Text.assemble((state.info.name, "bold"), f" {label}", no_wrap=True), HalfBlocks(pixels))
