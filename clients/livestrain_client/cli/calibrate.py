from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from livestrain_client.cli.options import ControlEndpoint, Deadline, Json
from livestrain_client.cli.output import as_json, messages, results, show_fields
from livestrain_client.connection import CONTROL_ENDPOINT
from livestrain_client.requests import Control
from livestrain_wire.messages import CalibrateReply

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False, rich_markup_mode=None)


@app.command()
def calibrate(
    apply: Annotated[bool, typer.Option("--apply", help="Analyse with what is found, as a new plan revision.")] = False,
    vacuum_probe: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A .npy file: the probe without a specimen.")
    ] = None,
    positions: Annotated[
        str | None, typer.Option(help="Flat scan positions to look at, such as 0,64,128 or 0:4096:64.")
    ] = None,
    control: ControlEndpoint = CONTROL_ENDPOINT,
    json: Json = False,
    deadline: Deadline = 5.0,
) -> None:
    """Find the centre, disk radius and lattice again; changes nothing without --apply."""
    probe = None if vacuum_probe is None else read_probe(vacuum_probe)
    looked_at = None if positions is None else parse_positions(positions)
    with Control(control, deadline) as asking:
        found = asking.calibrate(False, probe, looked_at)
        if not json:
            show_fields(calibration_fields(found), results())
        if apply:
            found = asking.calibrate(True, probe, looked_at)
    if json:
        typer.echo(as_json(found))
    elif found.revision is not None:
        messages().print(f"applied as plan revision {found.revision}", highlight=False)
    else:
        messages().print("nothing is changed; --apply makes a new plan revision of it", highlight=False)


def calibration_fields(reply: CalibrateReply) -> dict[str, str]:
    """What was found, field by field."""
    return {name: _text(value) for name, value in reply.calibration.items() if value not in (None, "", [], ())}


def parse_positions(text: str) -> list[int]:
    """Flat positions from a list, or from first:after:step."""
    try:
        if ":" in text:
            first, after, step = (int(part) for part in f"{text}:1".split(":")[:3])
            found = list(range(first, after, step))
        else:
            found = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(f"expected 0,64,128 or 0:4096:64, found {text!r}") from error
    if not found or min(found) < 0:
        raise typer.BadParameter(f"expected at least one position, none negative, found {text!r}")
    return found


def read_probe(path: Path) -> NDArray[Any]:
    """A (rows, columns) image from a .npy file."""
    try:
        probe = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise typer.BadParameter(f"{path} is not a .npy file: {error}") from error
    if not isinstance(probe, np.ndarray) or probe.ndim != 2 or probe.dtype.kind not in "buif":
        raise typer.BadParameter(f"{path} holds no image of numbers")
    return probe


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        if len(value) > 8:
            return f"{len(value)}: {_text(value[:4])[:-1]}, ..)"
        return "(" + ", ".join(_text(part) for part in value) + ")"
    return str(value)
