"""The scan on disk: laid out by HDF5, then written and read as plain files at known offsets."""

from livestrain_daemon.scanfolder.creation import create_frames
from livestrain_daemon.scanfolder.frames import FrameWriter
from livestrain_daemon.scanfolder.journal import Journal, read_journal
from livestrain_daemon.scanfolder.layout import FrameLayout, FrameState, open_frames
from livestrain_daemon.scanfolder.provenance import boot_id, provenance
from livestrain_daemon.scanfolder.reader import FrameReader
from livestrain_daemon.scanfolder.recovery import has_rebooted, positions_lost_to_power
from livestrain_daemon.scanfolder.results import ResultsFile
from livestrain_daemon.scanfolder.results_layout import (
    BLOCK,
    Output,
    ResultsLayout,
    ResultState,
    create_results,
    open_results,
    revisions,
)
from livestrain_daemon.scanfolder.ring import Ring
from livestrain_daemon.scanfolder.runs import mask_of, runs_of
from livestrain_daemon.scanfolder.spool import Spool

__all__ = [
    "BLOCK",
    "FrameLayout",
    "FrameReader",
    "FrameState",
    "FrameWriter",
    "Journal",
    "Output",
    "ResultState",
    "ResultsFile",
    "ResultsLayout",
    "Ring",
    "Spool",
    "boot_id",
    "create_frames",
    "create_results",
    "has_rebooted",
    "mask_of",
    "open_frames",
    "open_results",
    "positions_lost_to_power",
    "provenance",
    "read_journal",
    "revisions",
    "runs_of",
]
