"""The verb ``export``."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

USAGE, NO_DATA, UNAVAILABLE, IO = 2, 3, 69, 74

export_app = typer.Typer(pretty_exceptions_enable=False, add_completion=False, rich_markup_mode=None)


class To(StrEnum):
    """The formats."""

    PY4DSTEM = "py4dstem"
    HSPY = "hspy"
    TIFF = "tiff"
    PNG = "png"
    CSV = "csv"


class AxesName(StrEnum):
    """The axes of strain."""

    DETECTOR = "detector"
    SCAN = "scan"
    G1 = "g1"


@export_app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="SCAN_FOLDER", help="The scan folder; it is only read.")],
    to: Annotated[To | None, typer.Option("--to", help="The format: py4dstem, hspy, tiff, png or csv.")] = None,
    pack: Annotated[bool, typer.Option("--pack", help="Instead of results, a compressed copy of the frames.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file; for tiff and png the folder. Else named after the scan, here."),
    ] = None,
    revision: Annotated[int | None, typer.Option(min=0, help="The plan revision; else the last one.")] = None,
    maps: Annotated[str | None, typer.Option(help="Names of maps with commas between, such as e_xx,theta.")] = None,
    reference: Annotated[
        str, typer.Option(help="What strain is against: recorded, median, plan, or a region r0:r1,c0:c1.")
    ] = "recorded",
    axes: Annotated[
        AxesName | None, typer.Option(help="Axes of strain: detector, scan or g1; else as recorded.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
) -> None:
    """Write results for other programs; a scan in progress gives what it has so far, NaN where not measured."""
    from livestrain_daemon.errors import DaemonError, PlanError, StorageError
    from livestrain_daemon.export import BadChoice, Choice, MissingLibrary, NothingToExport, read_scan, write_scan
    from livestrain_daemon.export.finding import check_folder
    from livestrain_daemon.export.pack import pack_frames

    chosen = None if maps is None else tuple(name.strip() for name in maps.split(",") if name.strip())
    along: Literal["detector", "scan", "g1"] | None = axes.value if axes else None
    if chosen == ():
        raise typer.BadParameter("--maps names none")
    codes = {BadChoice: USAGE, NothingToExport: NO_DATA, MissingLibrary: UNAVAILABLE, StorageError: IO, PlanError: IO}
    if pack == (to is not None):
        raise typer.BadParameter("choose a format with --to, or --pack")
    try:
        check_folder(folder)
        if to is None:
            written = [pack_frames(folder, output, force)]
        else:
            scan = read_scan(folder, Choice(revision, chosen, reference, along))
            written = write_scan(scan, to.value, output, force)
    except DaemonError as error:
        typer.echo(f"livestrain export: {error}", err=True)
        sys.exit(next((code for kind, code in codes.items() if isinstance(error, kind)), UNAVAILABLE))
    for path in written:
        typer.echo(path)
