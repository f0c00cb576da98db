from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from livestrain_daemon.scanfolder import files
from livestrain_daemon.scanfolder.checksum import checksums_into
from livestrain_daemon.scanfolder.journal import read_journal
from livestrain_daemon.scanfolder.layout import FrameLayout, FrameState, open_frames
from livestrain_daemon.scanfolder.provenance import boot_id
from livestrain_daemon.scanfolder.reader import FrameReader
from livestrain_daemon.scanfolder.runs import mask_of, runs_of
from livestrain_wire.messages import Run

_CHUNK_BYTES = 1 << 24


def positions_lost_to_power(folder: Path) -> list[Run]:
    """
    Positions whose ledger says stored, but whose frames never reached the disk.

    Looked for only where the machine has been started again since the scan began: what a killed process has written
    is safe in the page cache. Then every stored frame that no "synced" line of the journal covers is compared with its
    checksum.

    Returns
    -------
    list of (first position, count)
        To be marked as expected again.

    Raises
    ------
    NotAScan
        If the folder holds no scan, or a damaged one.
    """
    if not has_rebooted(folder):
        return []
    layout = open_frames(folder)
    journal = read_journal(folder)
    synced = [run for line in journal if line["kind"] == "synced" for run in line["runs"]]
    with FrameReader(layout) as reader:
        doubtful = (reader.ledger() == FrameState.STORED) & ~mask_of(synced, layout.positions)
    return mismatching(layout, runs_of(doubtful))


def _boots(journal: list[dict[str, Any]]) -> Iterator[str]:
    """The boots of the machine that the journal tells of."""
    for line in journal:
        made = line.get("provenance")
        for fields in (line, made if isinstance(made, dict) else {}):
            if "boot_id" in fields:
                yield str(fields["boot_id"])


def has_rebooted(folder: Path) -> bool:
    """
    True where the machine has been started again since the scan began.

    Raises
    ------
    NotAScan
        If the folder holds no scan, or a damaged one.
    """
    boots = {open_frames(folder).boot_id, *_boots(read_journal(folder))}
    return boots != {boot_id()}


def mismatching(layout: FrameLayout, runs: list[Run]) -> list[Run]:
    """
    Positions whose frames do not have the checksum that was stored for them.

    Parameters
    ----------
    runs
        The positions to look at.
    """
    chunk = max(1, _CHUNK_BYTES // layout.frame_bytes)
    frames = np.empty((min(chunk, layout.positions), *layout.frame_shape), dtype=layout.dtype)
    found = np.empty(len(frames), dtype=np.uint64)
    wrong = np.zeros(layout.positions, dtype=np.bool_)
    with FrameReader(layout) as reader:
        for start, total in runs:
            for first in range(start, start + total, len(frames)):
                count = min(len(frames), start + total - first)
                block = reader.read(first, count, frames)
                checksums_into(found[:count], files.bytes_of(block), layout.frame_bytes)
                wrong[first : first + count] = found[:count] != reader.checksums(first, count)
    return runs_of(wrong)
