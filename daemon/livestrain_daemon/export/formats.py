"""The formats by name."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from livestrain_daemon.export.csv_table import pieces as csv_pieces
from livestrain_daemon.export.exported import Exported
from livestrain_daemon.export.hspy import pieces as hspy_pieces
from livestrain_daemon.export.pieces import Piece
from livestrain_daemon.export.placing import make_folder, refuse_places, write_whole
from livestrain_daemon.export.png import pieces as png_pieces
from livestrain_daemon.export.py4dstem import pieces as py4dstem_pieces
from livestrain_daemon.export.tiff import pieces as tiff_pieces


@dataclass(frozen=True)
class Format:
    """One way of writing a scan."""

    pieces: Callable[[Exported], Iterable[Piece]]
    suffix: str
    """Of its files."""
    many: bool = False
    """True where it makes a folder of files, one for each map."""


FORMATS: dict[str, Format] = {
    "py4dstem": Format(py4dstem_pieces, ".h5"),
    "hspy": Format(hspy_pieces, ".hspy"),
    "tiff": Format(tiff_pieces, ".tif", many=True),
    "png": Format(png_pieces, ".png", many=True),
    "csv": Format(csv_pieces, ".csv"),
}
"""By the name that the command line gives them."""


def write_scan(scan: Exported, to: str, output: Path | None = None, force: bool = False) -> list[Path]:
    """
    Write a scan in a format.

    Parameters
    ----------
    scan
        What `read_scan` found.
    to
        One of `FORMATS`.
    output
        The file, or the folder for a format of many files; None: named after scan and revision, in the working
        folder. An existing folder gets a file of that name.
    force
        Replace files that exist.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    ExportError
        If something exists already, would lie in the scan folder, has the name of something else, or cannot be
        written; no half-made file is left.
    """
    form = FORMATS[to]
    name = f"{scan.scan_id}-r{scan.revision:04d}"
    place = output or Path(f"{name}-{to}" if form.many else name + form.suffix)
    if not form.many and place.is_dir():
        place /= name + form.suffix
    pieces = [(place / piece.name if form.many else place, piece) for piece in form.pieces(scan)]
    refuse_places([path for path, _ in pieces], scan.precious, force)
    make_folder(place if form.many else place.parent)
    for path, piece in pieces:
        write_whole(path, piece.write)
    return [path for path, _ in pieces]
