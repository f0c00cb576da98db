import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from pydantic import ValidationError
from rich.table import Table
from rich.text import Text

from livestrain_client.cli import known as options
from livestrain_client.cli.found import calibration_rows
from livestrain_client.cli.options import ControlEndpoint, Deadline, Json
from livestrain_client.cli.output import agreed, as_json, messages, results
from livestrain_client.connection import CONTROL_ENDPOINT
from livestrain_client.requests import Control, Known
from livestrain_wire.forms import LOOKED_AT_BYTES, NPY, form_of
from livestrain_wire.messages import CalibrateReply, GivenValues

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False, rich_markup_mode=None)

PIPE_COLUMNS = 200
SLICE = re.compile(r"\s*(\d{1,18})\s*:\s*(\d{1,18})\s*(?::\s*(\d{1,18})\s*)?", re.ASCII)
LIST = re.compile(r"\s*\d{1,99}\s*(,\s*\d{1,99}\s*)*", re.ASCII)
MOST_LOOKED_AT = 1 << 16
"""Positions that a calibration can be asked to look at; the daemon looks at as many as it has memory for."""
MOST_POSITIONS = 1 << 26
"""No scan has more."""


@app.command()
def calibrate(
    yes: Annotated[bool, typer.Option("--yes", "--apply", "-y", help="Apply it without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show it, and neither ask nor apply.")] = False,
    vacuum_probe: options.VacuumProbe = None,
    positions: Annotated[
        str | None, typer.Option(help="Flat scan positions to look at, such as 0,64,128 or 0:4096:64.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Set only what the options below say.")] = False,
    rotation: options.Rotation = None,
    flip: options.Flip = None,
    pixel_size: options.PixelSize = None,
    unit: options.Unit = options.PixelUnit.mrad,
    semiangle: options.Semiangle = None,
    spacing: options.Spacing = None,
    spacing_of: options.SpacingOf = options.VectorName.g1,
    ellipse: options.Ellipse = None,
    known_lattice: options.KnownLattice = None,
    ring: options.Ring = None,
    ring_image: options.RingImage = None,
    descan: options.Descan = None,
    control: ControlEndpoint = CONTROL_ENDPOINT,
    json: Json = False,
    deadline: Deadline = 5.0,
) -> None:
    """
    Find the centre, disk radius and lattice again; shows what is found before it is applied.

    On a terminal it then asks; elsewhere nothing is changed without --yes.
    """
    if ring_image is not None and ring is None:
        raise typer.BadParameter("--ring-image needs --ring: where is the ring?")
    given = given_values(
        rotation_deg=rotation,
        flip=flip,
        pixel_size=pixel_size,
        pixel_size_unit=unit,
        semiangle_mrad=semiangle,
        spacing_nm=spacing,
        spacing_of=spacing_of,
        ellipse=ellipse,
        lattice_shape=known_lattice,
        ring=ring,
        descan=descan,
    )
    known = Known(given, keep, None if ring_image is None else read_image(ring_image))
    probe = None if vacuum_probe is None else read_image(vacuum_probe)
    looked_at = None if positions is None else parse_positions(positions)
    with Control(control, deadline) as asking:
        found = asking.calibrate(False, probe, looked_at, known=known)
        if not json:
            _show(found)
        if not dry_run and (yes or (not json and _wanted(found))):
            found = asking.apply_calibration(found.proposal, found.scan_id)
    if json:
        typer.echo(as_json(found))
    else:
        messages().print(outcome(found, keep), highlight=False)


def outcome(reply: CalibrateReply, keep: bool) -> str:
    """What has become of a proposal, in one line; with `keep` no lattice was looked for."""
    if reply.revision is not None:
        return f"applied as plan revision {reply.revision}"
    if not keep and not reply.calibration.get("g1"):
        return "nothing is changed: no lattice was found"
    return "nothing is changed; --yes makes a new plan revision of it"


def found_table(reply: CalibrateReply) -> Table:
    """What was found, a row for each quantity."""
    table = Table(box=None, pad_edge=False)
    for title in ("", "found", "from"):
        table.add_column(title, overflow="fold")
    for row in calibration_rows(reply.calibration):
        table.add_row(*(Text(cell) for cell in row))
    return table


def given_values(**fields: object) -> GivenValues:
    """What the options say, checked."""
    try:
        return GivenValues.model_validate({name: value for name, value in fields.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise typer.BadParameter(f"{where + ': ' if where else ''}{first['msg']}") from error


def _show(reply: CalibrateReply) -> None:
    console = results()
    if not console.is_terminal:
        # in a pipe there is no width to keep to
        console.width = PIPE_COLUMNS
    console.print(found_table(reply), highlight=False)


def _wanted(found: CalibrateReply) -> bool:
    """Asks, where there is a person to ask and something to apply."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or not found.calibration.get("g1"):
        return False
    return agreed("Analyse with this, as a new plan revision?")


def parse_positions(text: str) -> list[int]:
    """Flat positions from a list, or from first:after:step."""
    match = SLICE.fullmatch(text)
    if match is not None:
        first, after, step = int(match[1]), int(match[2]), int(match[3] or 1)
        found: Sequence[int] = range(first, after, step) if step else ()
    elif LIST.fullmatch(text):
        found = [int(part) for part in text.split(",")]
    else:
        raise typer.BadParameter(f"expected 0,64,128 or 0:4096:64, found {text!r:.60}", param_hint="--positions")
    if not 1 <= len(found) <= MOST_LOOKED_AT:
        expected = f"expected 1 to {MOST_LOOKED_AT} positions"
        raise typer.BadParameter(f"{expected}, found {len(found)} in {text!r:.60}", param_hint="--positions")
    if max(found) >= MOST_POSITIONS:
        expected = f"expected positions below {MOST_POSITIONS}"
        raise typer.BadParameter(f"{expected}, found {text!r:.60}", param_hint="--positions")
    return list(found)


def read_image(path: Path) -> NDArray[Any]:
    """A (rows, columns) image from a .npy file."""
    with path.open("rb") as file:
        beginning = file.read(LOOKED_AT_BYTES)
    # numpy takes anything else for a pickle, and advises to load it unsafely
    if not beginning.startswith(NPY):
        raise typer.BadParameter(f"{path} is not a .npy file, found {form_of(beginning)}")
    try:
        image = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, MemoryError) as error:
        raise typer.BadParameter(f"{path} is a .npy file that cannot be read: {error}") from error
    if not isinstance(image, np.ndarray) or image.ndim != 2 or image.dtype.kind not in "buif":
        raise typer.BadParameter(f"{path} holds no image of numbers")
    return image
