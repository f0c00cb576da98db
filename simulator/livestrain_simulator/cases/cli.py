"""The verb `bench cases` of the command line."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class SetName(StrEnum):
    """Sets of cases."""

    disks = "disks"
    detect = "detect"


@app.command("cases")
def cases_verb(
    folder: Annotated[Path, typer.Argument(help="Where the files go; made if it is not there.", file_okay=False)],
    seed: Annotated[int, typer.Option(min=0, help="Draws lattices, contrast and noise.")] = 0,
    which: Annotated[SetName, typer.Option("--set", help="For which benchmark.")] = SetName.disks,
    only: Annotated[str, typer.Option(help="Names that contain this.")] = "",
    scan: Annotated[int, typer.Option(min=2, max=64, help="Scan rows, and columns.")] = 16,
) -> None:
    """Write synthetic scans with exact truth and Cramer-Rao bounds."""
    from dataclasses import replace

    from livestrain_simulator.cases.blind import blind_set, detect_set
    from livestrain_simulator.cases.file import write_case

    cases = blind_set(seed) if which is SetName.disks else detect_set(seed)
    chosen = [replace(case, scan_shape=(scan, scan)) for case in cases if only in case.name]
    if not chosen:
        typer.echo(f"livestrain: no case has {only!r} in its name: {', '.join(case.name for case in cases)}", err=True)
        raise typer.Exit(2)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for case in chosen:
            typer.echo(str(write_case(folder, case)))
    except OSError as error:
        typer.echo(f"livestrain: {folder}: cannot be written: {error.strerror or error}", err=True)
        raise typer.Exit(74) from error
