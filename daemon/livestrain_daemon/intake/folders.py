"""Scan folders, as the intake makes them and finds them again."""

import shutil
from collections.abc import Callable
from pathlib import Path

from livestrain_daemon.config import SpoolConfig
from livestrain_daemon.errors import StorageError
from livestrain_daemon.intake.faults import Faults
from livestrain_daemon.intake.gate import Gate
from livestrain_daemon.intake.openscan import OpenScan, bytes_needed
from livestrain_daemon.intake.payload import Block
from livestrain_daemon.intake.placement import Placement, placement_of
from livestrain_daemon.intake.room import Room
from livestrain_daemon.scanfolder.creation import create_frames
from livestrain_daemon.scanfolder.files import free_bytes
from livestrain_daemon.scanfolder.frames import FrameWriter
from livestrain_daemon.scanfolder.layout import FRAMES_FILE, FrameLayout, open_frames
from livestrain_daemon.scanfolder.listed import Table, read_positions, write_positions
from livestrain_daemon.scanfolder.marked import store_unusable
from livestrain_daemon.scanfolder.provenance import provenance
from livestrain_daemon.scanfolder.recovery import positions_lost_to_power
from livestrain_daemon.scanfolder.ring import Ring
from livestrain_daemon.scanfolder.spool import Spool
from livestrain_wire.messages import Message, ScanStart

MOST_POSITIONS = 1 << 26
"""A scan of more positions is refused: what is known of each is kept in memory."""
LONGEST_NUMBERED = 58
"""An id that is used again is cut to so many characters, to leave room for -2, -3, ..."""
MIB = 1 << 20

Teller = Callable[[str], Callable[[str, str], None]]
"""For a scan id: what tells main of the first fault of a kind."""


class ScanFolders:
    """
    Makes the folders of new scans and opens those of unfinished ones.

    Parameters
    ----------
    largest
        Frames of one message, unpacked, at most [bytes].
    gate
        Decides when a slot of the ring may be overwritten.
    tell
        Sends a message to main.
    room
        Has old scans removed for one that does not fit; None: it is refused.
    """

    def __init__(
        self,
        config: SpoolConfig,
        spool: Spool,
        ring: Ring | None,
        largest: int,
        gate: Gate,
        tell: Callable[[Message], None],
        room: Room | None = None,
    ) -> None:
        self._config = config
        self._room = room
        self._gate = gate
        self._tell = tell
        self._spool = spool
        self._ring = ring
        self._largest = largest

    def lay_out(
        self, start: ScanStart, table: Table | None, unusable: Block | None = None
    ) -> tuple[FrameLayout, Placement]:
        """
        The folder of a new scan, with its frames file.

        Parameters
        ----------
        start
            What the sender or the detector says of it.
        table
            With explicit order: the flat position of every frame.
        unusable : (1, rows, columns)
            Not zero where the detector says that a pixel must not be looked at.

        Raises
        ------
        StorageError
            If there is no space for it, with the numbers.
        ValueError
            If it makes no sense.
        """
        placement = placement_of(start, table)
        if placement.positions > MOST_POSITIONS:
            raise ValueError(f"expected at most {MOST_POSITIONS} scan positions, found {placement.positions}")
        self._check_space(start)
        folder = self._spool.new_folder(self._name(start.scan_id))
        try:
            if table is not None:
                write_positions(folder, table)
            if unusable is not None and unusable.any():
                store_unusable(folder, unusable[0] != 0)
            layout = create_frames(folder, start, provenance(), self._ring)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self._spool.remember(folder)
        return layout, placement

    def open(self, layout: FrameLayout, placement: Placement, teller: Teller) -> OpenScan:
        """
        A scan to be written, in a ring only after the one before has been closed.

        Raises
        ------
        StorageError
            If its files cannot be opened.
        """
        faults = Faults(teller(layout.folder.name))
        return OpenScan(layout, placement, FrameWriter(layout), faults, self._largest, self._gate, self._tell)

    def resume(self, folder: Path, teller: Teller) -> OpenScan:
        """
        An unfinished scan: all that is stored stays.

        Raises
        ------
        StorageError
            If the folder is not a scan's, or cannot be written to.
        ValueError
            If its explicit positions make no sense.
        """
        layout = open_frames(folder)
        # the ledger lies there, and is written with every frame
        written_ns = (folder / FRAMES_FILE).stat().st_mtime_ns
        table = read_positions(folder) if layout.start.order == "explicit" else None
        placement = placement_of(layout.start, table)
        lost = positions_lost_to_power(folder)
        scan = self.open(layout, placement, teller)
        try:
            scan.expect_again(lost)
        except BaseException:
            scan.writer.close()
            raise
        scan.interrupted_ns = written_ns
        return scan

    def unfinished(self) -> tuple[ScanStart, Path] | None:
        """The scan that the end of an earlier daemon interrupted: its start and its folder."""
        folder = self._spool.unfinished()
        if folder is None:
            return None
        try:
            return open_frames(folder).start, folder
        except StorageError:
            return None

    def _name(self, sender_id: str) -> str:
        """The id, cut where a number behind it would make it too long."""
        return sender_id[:LONGEST_NUMBERED] if self._spool.is_taken(sender_id) else sender_id

    def _check_space(self, start: ScanStart) -> None:
        frames, others = bytes_needed(start)
        needed = others + (frames if self._ring is None else 0)
        reserve = self._config.reserve_mib * MIB
        free = free_bytes(self._config.folder)
        if needed + reserve > free and self._room is not None:
            self._room.make(needed + reserve)
            free = free_bytes(self._config.folder)
        if needed + reserve > free:
            raise StorageError(
                f"{self._config.folder}: scan {start.scan_id} needs {needed} bytes with its results, "
                f"and {reserve} must stay free (spool.reserve_mib), found {free} free"
            )
