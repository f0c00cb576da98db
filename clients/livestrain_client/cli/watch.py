import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from livestrain_client.cli import exits
from livestrain_client.cli.options import ControlEndpoint, Deadline, Json, MapsEndpoint
from livestrain_client.cli.output import messages, results
from livestrain_client.cli.showing import JsonLines, PlainLines, Shower, TerminalView
from livestrain_client.conditions import Condition, parse_condition
from livestrain_client.connection import CONTROL_ENDPOINT, MAPS_ENDPOINT
from livestrain_client.live import Live
from livestrain_client.saving import save_figure, save_maps
from livestrain_client.updates import MapChanged, PlanReplaced, Update

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False, rich_markup_mode=None)

TURN_SECONDS = 0.1


@dataclass(frozen=True)
class Ending:
    """When to end, and how long to wait for what."""

    until_end: bool = False
    conditions: tuple[Condition, ...] = ()
    timeout: float | None = None
    """For the first value, and for a daemon that went silent [s]."""


@app.command()
def watch(
    maps: Annotated[str | None, typer.Option(help="Names of the maps to show, separated by commas.")] = None,
    until_end: Annotated[bool, typer.Option("--until-end", help="End with the scan.")] = False,
    when: Annotated[
        list[str] | None, typer.Option(help="End with exit code 4 when a position meets this: 'e_xx > 0.02'.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0, help="Give up with exit code 3 without data after so long [s].")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(file_okay=False, help="At the end write maps.npz and strain.png there.")
    ] = None,
    maps_endpoint: MapsEndpoint = MAPS_ENDPOINT,
    control: ControlEndpoint = CONTROL_ENDPOINT,
    json: Json = False,
    deadline: Deadline = 5.0,
) -> None:
    """Show a scan while it is measured, save its maps, or wait for a condition."""
    names = tuple(name.strip() for name in maps.split(",")) if maps else ()
    ending = Ending(until_end, tuple(parse_condition(text) for text in when or ()), timeout)
    with Live(maps_endpoint, control, deadline=deadline) as live:
        with _shower(live, names, json) as shower:
            code = follow(live, shower, ending)
        if save is not None:
            _save(live, save)
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
    _warn_of_unknown_maps(live, ending, updates)
    if _condition_met(shower, ending, updates):
        return exits.CONDITION_MET
    has_data = any(state.known.any() for state in live.maps.values())
    if ending.until_end and live.final:
        return exits.OK if has_data else exits.NO_DATA
    if ending.timeout is None or seconds < ending.timeout:
        return None
    if not has_data:
        return exits.NO_DATA
    if ending.until_end and live.stale and live.silent_seconds > ending.timeout:
        return exits.UNAVAILABLE
    return None


def _condition_met(shower: Shower, ending: Ending, updates: list[Update]) -> bool:
    changed = {update.name: update.map for update in updates if isinstance(update, MapChanged)}
    for condition in ending.conditions:
        met = condition.met_by(changed[condition.map]) if condition.map in changed else None
        if met is not None:
            shower.condition_met(condition, met)
            return True
    return False


def _warn_of_unknown_maps(live: Live, ending: Ending, updates: list[Update]) -> None:
    if not any(isinstance(update, PlanReplaced) for update in updates):
        return
    for condition in ending.conditions:
        if condition.map not in live.maps:
            text = f"no map {condition.map} under this plan; there are {', '.join(live.maps)}"
            messages().print(text, style="yellow", highlight=False, soft_wrap=True)


def _shower(live: Live, names: tuple[str, ...], json: bool) -> Shower:
    if json:
        return JsonLines(live, names)
    console = results()
    return TerminalView(live, names, console) if console.is_terminal else PlainLines(live)


def _save(live: Live, folder: Path) -> None:
    said = messages()
    said.print(f"saved {save_maps(live, folder)}", highlight=False, soft_wrap=True)
    try:
        figure = save_figure(live, folder)
    except ModuleNotFoundError as error:
        hint = f"strain.png needs the extra 'figures': pip install 'livestrain[figures]' ({error})"
        said.print(hint, highlight=False, markup=False, soft_wrap=True)
        return
    if figure is not None:
        said.print(f"saved {figure}", highlight=False, soft_wrap=True)
