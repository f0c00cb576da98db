"""Scans for other programs: one module a format; all of them get the same `Exported`."""

from livestrain_daemon.export.errors import BadChoice, ExportError, MissingLibrary, NothingToExport
from livestrain_daemon.export.exported import Choice, Exported, MapImage
from livestrain_daemon.export.formats import FORMATS, Format, write_scan
from livestrain_daemon.export.scan import read_scan

__all__ = [
    "FORMATS",
    "BadChoice",
    "Choice",
    "ExportError",
    "Exported",
    "Format",
    "MapImage",
    "MissingLibrary",
    "NothingToExport",
    "read_scan",
    "write_scan",
]
