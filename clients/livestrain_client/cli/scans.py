"""The verb ``scans``: what is in the spool, by asking the daemon or by looking into the folder."""

from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from livestrain_client.cli import INTERRUPTED, exits
from livestrain_client.cli.options import ControlEndpoint, Deadline, Json, scan_id
from livestrain_client.cli.output import agreed, as_json, messages, results
from livestrain_client.cli.verbs import missing_hint
from livestrain_client.connection import CONTROL_ENDPOINT
from livestrain_client.requests import Control
from livestrain_wire.messages import ScanEntry

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False, rich_markup_mode=None)

GROUP, READER = "livestrain.spools", "scans"
"""The entry point of what lists the scans of a folder: it is another package's."""
PAGE = 256
HARMLESS = frozenset({"flyback"})
"""Kinds of what is not stored and should not be."""


@app.command()
def scans(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="List so many, the newest.")] = 20,
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", metavar="ID", parser=scan_id, help="Retain a scan whatever the spool's limits are."),
    ] = None,
    release: Annotated[
        list[str] | None, typer.Option("--release", metavar="ID", parser=scan_id, help="Retain a scan no longer.")
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option("--remove", metavar="ID", parser=scan_id, help="Delete the folder of a scan that is over."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
    spool: Annotated[Path | None, typer.Option(help="List the scans of this folder, without a daemon.")] = None,
    control: ControlEndpoint = CONTROL_ENDPOINT,
    json: Json = False,
    deadline: Deadline = 5.0,
) -> None:
    """List the scans of the spool, the newest first; retain or delete some."""
    if spool is not None:
        if keep or release or remove:
            raise typer.BadParameter("only the daemon retains and deletes", param_hint="--spool")
        _show(_found_in(spool)[:limit], json)
        return
    with Control(control, deadline) as asking:
        for scan_id in keep or ():
            asking.retain(scan_id)
            _say(f"{scan_id} is retained")
        for scan_id in release or ():
            asking.retain(scan_id, retained=False)
            _say(f"{scan_id} is no longer retained")
        for scan_id in remove or ():
            if not (yes or agreed(f"Delete all of scan {scan_id}?")):
                _say(f"{scan_id} stays")
                raise typer.Exit(INTERRUPTED)
            asking.remove(scan_id)
            _say(f"{scan_id} is deleted")
        if not (keep or release or remove):
            _show(_listed(asking, limit), json)


def _listed(asking: Control, limit: int) -> list[ScanEntry]:
    """Page after page."""
    found: list[ScanEntry] = []
    while len(found) < limit:
        last = (found[-1].began_ns, found[-1].scan_id) if found else (None, None)
        page = asking.scans(min(PAGE, limit - len(found)), *last)
        found += page.scans
        if not page.more or not page.scans:
            break
    return found


def _found_in(spool: Path) -> list[ScanEntry]:
    point = next(iter(entry_points(group=GROUP, name=READER)), None)
    if point is None:
        _say("no installed package can list the scans of a folder: it needs the extra 'daemon'")
        raise typer.Exit(exits.UNAVAILABLE)
    try:
        read: Callable[[Path], list[ScanEntry]] = point.load()
    except ModuleNotFoundError as error:
        _say(missing_hint(point, error))
        raise typer.Exit(exits.UNAVAILABLE) from error
    return read(spool)


def _show(entries: list[ScanEntry], json: bool) -> None:
    if json:
        for entry in entries:
            typer.echo(as_json(entry))
    elif entries:
        console = results()
        # what is piped on is not cut to a terminal's width
        wide = console if console.is_terminal else Console(width=400, markup=False)
        wide.print(scans_table(entries), highlight=False)
    else:
        _say("there are no scans")


def scans_table(entries: list[ScanEntry]) -> Table:
    """A line per scan."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("scan", overflow="fold")
    table.add_column("began", no_wrap=True)
    table.add_column("positions", no_wrap=True)
    for title in ("stored", "missing", "analysed", "failed", "dropped", "faults", "size"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("folder", overflow="fold")
    for entry in entries:
        shape = f"{entry.scan_shape[0]} x {entry.scan_shape[1]}" if entry.scan_shape else "?"
        counts = (entry.stored, entry.missing, entry.analysed, entry.failed, entry.dropped, faults(entry))
        table.add_row(
            entry.scan_id, began(entry), shape, *map(str, counts), size(entry.size_bytes), state(entry), entry.folder
        )
    return table


def began(entry: ScanEntry) -> str:
    """When a scan began, by the clock on the wall."""
    return datetime.fromtimestamp(entry.began_ns / 1e9, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def faults(entry: ScanEntry) -> int:
    """Frames and messages with which something was wrong; the number is there to be noticed."""
    return sum(count for kind, count in entry.faults.items() if kind not in HARMLESS)


def state(entry: ScanEntry) -> str:
    """How a scan is, in a few words."""
    text = entry.reason if entry.state == "ended" else entry.state
    return f"{text}, retained" if entry.retained else text


def size(size_bytes: int) -> str:
    """In a unit that a person can read."""
    value, unit = float(size_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.3g} {unit}"


def _say(text: str) -> None:
    messages().print(text, highlight=False, soft_wrap=True)
