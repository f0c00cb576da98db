import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from livestrain_client.cli import exits
from livestrain_client.cli.options import ControlEndpoint, Deadline, Json, MapsEndpoint, scan_id
from livestrain_client.cli.output import messages, results
from livestrain_client.cli.showing import JsonLines, PlainLines, Shower, TerminalView
from livestrain_client.cli.verbs import needs_extra
from livestrain_client.conditions import Condition, parse_condition
from livestrain_client.connection import CONTROL_ENDPOINT, MAPS_ENDPOINT
from livestrain_client.live import Live
from livestrain_client.saving import save_figure, save_maps
from livestrain_client.updates import MapChanged, Update
from livestrain_client.writable import check_writable

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False, rich_markup_mode=None)

TURN_SECONDS = 0.1
SCAN = "{scan}"
"""In the name of a folder: the scan's id."""


@dataclass(frozen=True)
class Ending:
    """When to end, and how long to wait for what."""

    until_end: bool = False
    conditions: tuple[Condition, ...] = ()
    maps: tuple[str, ...] = ()
    """That must be there."""
    skip: str = ""
    """A scan that is over already and not waited for."""
    timeout: float | None = None
    """For the first value, a condition, and a daemon that went silent [s]."""


@app.command()
def watch(
    maps: Annotated[str | None, typer.Option(help="Names of the maps to show, separated by commas.")] = None,
    until_end: Annotated[bool, typer.Option("--until-end", help="End with the scan.")] = False,
    next_scan: Annotated[
        bool, typer.Option("--next", help="Wait for the next scan where the last one is over already.")
    ] = False,
    scan: Annotated[
        str | None,
        typer.Option(metavar="ID", parser=scan_id, help="Stay with this scan; wait for it where it has not begun."),
    ] = None,
    when: Annotated[
        list[str] | None, typer.Option(help="End with exit code 4 when a position meets this: 'e_xx > 0.02'.")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(min=0, help="Give up with exit code 3 after so long without data, or, of --when, unmet [s]."),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="At the end write maps.npz and strain.png there; {scan} is the scan's id."),
    ] = None,
    maps_endpoint: MapsEndpoint = MAPS_ENDPOINT,
    control: ControlEndpoint = CONTROL_ENDPOINT,
    json: Json = False,
    deadline: Deadline = 5.0,
) -> None:
    """Show a scan while it is measured, save its maps, or wait for a condition."""
    names = tuple(name.strip() for name in (maps or "").split(",") if name.strip())
    if maps is not None and not names:
        raise typer.BadParameter("names none", param_hint="--maps")
    if scan is not None and next_scan:
        raise typer.BadParameter("a scan that is named is not the next one", param_hint="--next")
    conditions = tuple(parse_condition(text) for text in when or ())
    # the scan whose end is waited for is stayed with, though the next one may begin before its analysis is done
    with Live(maps_endpoint, control, follow=not until_end, deadline=deadline, scan=scan) as live:
        if scan is not None and live.scan is None:
            text = f"the daemon has no scan {scan} in memory: waiting for it to begin; livestrain scans lists all"
            messages().print(text, highlight=False, soft_wrap=True)
        if save is not None:
            # hours later is no time to find out that it cannot be done
            folder = next(folder for folder in (save, *save.parents) if SCAN not in str(folder))
            folder.mkdir(parents=True, exist_ok=True)
            check_writable(folder / "maps.npz")
        over = live.scan.start.scan_id if next_scan and live.scan is not None and live.ended is not None else ""
        if over:
            live.leave()
        ending = Ending(until_end, conditions, names, over, timeout)
        with _shower(live, names, json) as shower:
            code = follow(live, shower, ending)
        if save is not None:
            _save(live, Path(str(save).replace(SCAN, live.scan.start.scan_id if live.scan else "no-scan")))
    raise typer.Exit(code)


def follow(live: Live, shower: Shower, ending: Ending) -> int:
    """
    Show updates until something ends it.

    Parameters
    ----------
    live
        The scan that is followed.
    shower
        Where updates go.
    ending
        When to end; an interrupt from the keyboard always does.

    Returns
    -------
    int
        The exit code.
    """
    began, code = time.monotonic(), None
    try:
        while code is None:
            updates = live.poll(TURN_SECONDS)
            shower.show(updates)
            code = _ended(live, shower, ending, updates, time.monotonic() - began)
    except KeyboardInterrupt:
        return exits.OK
    return code


def _ended(live: Live, shower: Shower, ending: Ending, updates: list[Update], seconds: float) -> int | None:
    out_of_time = ending.timeout is not None and seconds >= ending.timeout
    if ending.skip and live.scan is not None and live.scan.start.scan_id == ending.skip:
        return exits.NO_DATA if out_of_time else None
    if _unknown_maps_told(live, ending):
        return exits.NO_DATA
    if _condition_met(shower, ending, updates):
        return exits.CONDITION_MET
    has_data = any(state.known.any() for state in live.maps.values())
    if ending.until_end and live.final:
        return exits.OK if has_data else exits.NO_DATA
    if live.forgotten and (ending.until_end or ending.conditions):
        text = "the daemon does not have the scan in memory any more"
        messages().print(text, style="yellow", highlight=False, soft_wrap=True)
        return exits.NO_DATA
    return _given_up(live, ending, has_data) if out_of_time else None


def _given_up(live: Live, ending: Ending, has_data: bool) -> int | None:
    if not has_data:
        return exits.NO_DATA
    if ending.conditions and not ending.until_end:
        _say_unmet(live, ending)
        return exits.NO_DATA
    silent = live.stale and ending.timeout is not None and live.silent_seconds > ending.timeout
    return exits.UNAVAILABLE if ending.until_end and silent else None


def _say_unmet(live: Live, ending: Ending) -> None:
    wanted = " or ".join(str(condition) for condition in ending.conditions)
    silent = f"; nothing has been heard from {live.maps_endpoint} for {live.silent_seconds:.1f} s" if live.stale else ""
    text = f"no position has met {wanted} within {ending.timeout:g} s{silent}"
    messages().print(text, style="yellow", highlight=False, soft_wrap=True)


def _condition_met(shower: Shower, ending: Ending, updates: list[Update]) -> bool:
    changed = {update.name: update.map for update in updates if isinstance(update, MapChanged)}
    for condition in ending.conditions:
        met = condition.met_by(changed[condition.map]) if condition.map in changed else None
        if met is not None:
            shower.condition_met(condition, met)
            return True
    return False


def _unknown_maps_told(live: Live, ending: Ending) -> bool:
    """True, and said, where a map is asked for that will not come under the plan of a scan that is over."""
    if live.plan is None or not live.final:
        return False
    asked = [*ending.maps, *(condition.map for condition in ending.conditions)]
    unknown = [name for name in asked if name not in live.maps]
    if unknown:
        text = f"no map {', '.join(unknown)} under this plan; there are {', '.join(live.maps)}"
        messages().print(text, style="yellow", highlight=False, soft_wrap=True)
    return bool(unknown)


def _shower(live: Live, names: tuple[str, ...], json: bool) -> Shower:
    if json:
        return JsonLines(live, names)
    console = results()
    return TerminalView(live, names, console) if console.is_terminal else PlainLines(live)


def _save(live: Live, folder: Path) -> None:
    said = messages()
    scan = live.scan.start.scan_id if live.scan is not None else "no scan"
    said.print(f"saved {save_maps(live, folder)} of {scan}", highlight=False, soft_wrap=True)
    if "e_xx" not in live.maps:
        said.print("no strain.png: the scan has no lattice", highlight=False)
    try:
        figure = save_figure(live, folder)
    except ModuleNotFoundError as error:
        hint = f"strain.png {needs_extra('figures')} ({error})"
        said.print(hint, highlight=False, soft_wrap=True)
        return
    if figure is not None:
        said.print(f"saved {figure}", highlight=False, soft_wrap=True)
