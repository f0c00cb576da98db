import re
from enum import StrEnum
from math import isfinite
from typing import Annotated

import typer

from livestrain_client.cli.options import ControlEndpoint, Deadline, Json
from livestrain_client.cli.output import as_json, messages, results
from livestrain_client.cli.status import reference_line
from livestrain_client.connection import CONTROL_ENDPOINT
from livestrain_client.errors import BadRegion, RequestRefused
from livestrain_client.requests import Control
from livestrain_wire.messages import ReferenceInfo, ReferenceReply

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False, rich_markup_mode=None)


class Along(StrEnum):
    """Axes by the names that the daemon knows."""

    detector = "detector"
    scan = "scan"
    g1 = "g1"


REGION = re.compile(r"(\d{1,9}):(\d{1,9}),(\d{1,9}):(\d{1,9})", re.ASCII)


@app.command()
def reference(
    region: Annotated[str | None, typer.Option(help="Rows and columns, r0:r1,c0:c1: the median there.")] = None,
    values: Annotated[
        tuple[float, float, float, float] | None, typer.Option(help="g1 row, g1 column, g2 row, g2 column [px].")
    ] = None,
    median: Annotated[bool, typer.Option("--median", help="The median over all good positions.")] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Go back to before the latest change that somebody asked for.")
    ] = False,
    revert_to: Annotated[
        int | None, typer.Option(min=0, max=1 << 62, help="Go back to this reference revision.")
    ] = None,
    axes: Annotated[
        Along | None, typer.Option(help="Give strain along the detector, the scan, or g1 of the reference.")
    ] = None,
    control: ControlEndpoint = CONTROL_ENDPOINT,
    json: Json = False,
    deadline: Deadline = 5.0,
) -> None:
    """Choose what strain is measured against, and along which axes; without an option, tell what it is."""
    if sum([region is not None, values is not None, median, undo, revert_to is not None]) > 1:
        raise typer.BadParameter("choose one of --region, --values, --median, --undo and --revert-to")
    if axes is not None and (undo or revert_to is not None):
        raise typer.BadParameter("--undo and --revert-to bring back the axes, too; set --axes afterwards")
    rectangle = None if region is None else parse_region(region)
    _refuse_flat(values)
    with Control(control, deadline) as asking:
        undone = _latest_choice(asking) if undo else None
        if undone is not None:
            revert_to = undone.undo_to
        if rectangle is None and values is None and not median and revert_to is None and axes is None:
            _tell(asking, json)
            return
        reply = asking.reference(rectangle, values, median, revert_to, axes=None if axes is None else axes.value)
    _tell_changed(reply, undone, json)


def parse_region(text: str) -> tuple[int, int, int, int]:
    """
    First row, first column, row after the last, column after the last, from ``r0:r1,c0:c1``.

    Raises
    ------
    BadRegion
        If it is anything else, or empty.
    """
    match = REGION.fullmatch(text.replace(" ", ""))
    if match is None:
        raise BadRegion(f"expected rows and columns r0:r1,c0:c1 such as 0:16,0:64, found {text!r:.60}")
    first_row, row_after, first_column, column_after = (int(part) for part in match.groups())
    if row_after <= first_row or column_after <= first_column:
        raise BadRegion(f"expected r0:r1,c0:c1 with r0 below r1 and c0 below c1, found {text!r:.60}")
    return first_row, first_column, row_after, column_after


def _refuse_flat(values: tuple[float, float, float, float] | None) -> None:
    """Refuse vectors that no strain can be measured against."""
    if values is None:
        return
    area = values[0] * values[3] - values[1] * values[2]
    if not (isfinite(area) and area):
        found = " ".join(f"{value:g}" for value in values)
        raise typer.BadParameter(f"expected g1 and g2 that span an area [px], found {found}", param_hint="--values")


def _latest_choice(asking: Control) -> ReferenceInfo:
    """What holds by the latest request that has not been undone."""
    now = asking.status().reference
    if now is None or now.undo_to is None:
        raise RequestRefused("no_calibration", "there is no change of the reference to undo")
    return now


def _tell(asking: Control, json: bool) -> None:
    now = asking.status().reference
    if now is None:
        raise RequestRefused("no_calibration", "there is no reference yet")
    if json:
        typer.echo(as_json(now))
    else:
        results().print(reference_line(now), highlight=False, soft_wrap=True)


def _tell_changed(reply: ReferenceReply, undone: ReferenceInfo | None, json: bool) -> None:
    if json:
        typer.echo(as_json(reply))
        return
    if undone is not None:
        messages().print(f"undone: {reference_line(undone)}", highlight=False, soft_wrap=True)
    results().print(reference_line(reply.reference), highlight=False, soft_wrap=True)
    messages().print(f"back again with livestrain reference --revert-to {reply.previous}", highlight=False)
