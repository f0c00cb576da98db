"""Who owns which slot of a ring: known from the ledgers of the scans whose frames are in it."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from livestrain_daemon.errors import NotAScan, StorageError
from livestrain_daemon.scanfolder import files
from livestrain_daemon.scanfolder.layout import FrameLayout, FrameState, open_frames
from livestrain_daemon.scanfolder.runs import runs_of
from livestrain_wire.messages import Run

NOBODY = -1


@dataclass(frozen=True)
class RingFacts:
    """What is written beside a ring."""

    id: str
    capacity_bytes: int
    boot_id: str
    tenants: tuple[str, ...]
    """Scan folders that have, or had, frames in the ring; oldest first."""


def facts_path(ring: Path) -> Path:
    """The file beside a ring that says whose frames are in it."""
    return ring.with_name(ring.name + ".json")


def read_facts(ring: Path) -> RingFacts:
    """
    What is written beside a ring.

    Raises
    ------
    NotAScan
        If there is no such ring, or its facts are damaged.
    """
    path = facts_path(ring)
    try:
        fields = json.loads(path.read_bytes())
        tenants = tuple(str(folder) for folder in fields["tenants"])
        return RingFacts(str(fields["id"]), int(fields["capacity_bytes"]), str(fields["boot_id"]), tenants)
    except FileNotFoundError as error:
        raise NotAScan(f"{ring}: is no ring of frames: {path.name} does not exist") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotAScan(f"{path}: is damaged: {error!s:.200}") from error


def write_facts(ring: Path, facts: RingFacts) -> None:
    """Replace what is written beside a ring, at once."""
    path = facts_path(ring)
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(json.dumps(vars(facts)), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {files.reason(error)}") from error


class Tenant:
    """One scan with frames in a ring: its ledger, and the position in each of its slots."""

    def __init__(self, layout: FrameLayout) -> None:
        self.layout = layout
        self._descriptor = files.open_shared(layout.path, os.O_RDWR)
        self._ledger = np.empty(layout.positions, dtype=np.uint8)
        files.read_at(self._descriptor, files.bytes_of(self._ledger), layout.ledger_offset, layout.path)
        self._owners = owners_of(self._ledger, layout.slots)

    @property
    def stored(self) -> npt.NDArray[np.bool_]:
        """True where the ring holds the position's frame, (positions,)."""
        mask: npt.NDArray[np.bool_] = self._ledger == FrameState.STORED
        return mask

    def move_out(self, first_byte: int, end_byte: int) -> list[Run]:
        """
        Mark what lies in these bytes of the ring as recycled, before it is overwritten.

        Returns
        -------
        list of (first position, count)
            What was marked.
        """
        size = self.layout.frame_bytes
        slots = self._owners[first_byte // size : -(-end_byte // size)]
        leaving = slots[slots != NOBODY]
        if not leaving.size:
            return []
        mask = np.zeros(self.layout.positions, dtype=np.bool_)
        mask[leaving] = True
        return self.forget(mask)

    def forget(self, mask: npt.NDArray[np.bool_]) -> list[Run]:
        """
        Mark these positions as recycled.

        Parameters
        ----------
        mask : (positions,)
            Of stored positions.
        """
        runs = runs_of(mask)
        self._ledger[mask] = FrameState.RECYCLED
        self._owners[np.flatnonzero(mask) % self.layout.slots] = NOBODY
        raw = memoryview(self._ledger)
        for first, count in runs:
            offset = self.layout.ledger_offset + first
            files.write_at(self._descriptor, raw[first : first + count], offset, self.layout.path)
        return runs

    def move_out_all(self) -> list[Run]:
        """Mark everything as recycled."""
        return self.forget(self.stored)

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def owners_of(ledger: npt.NDArray[np.uint8], slots: int) -> npt.NDArray[np.int64]:
    """
    The position whose frame each slot holds.

    Parameters
    ----------
    ledger : (positions,)
        No two stored positions share a slot.

    Returns
    -------
    (slots,)
        NOBODY where there is none.
    """
    owners = np.full(slots, NOBODY, dtype=np.int64)
    stored = np.flatnonzero(ledger == FrameState.STORED)
    owners[stored % slots] = stored
    return owners


def tenants_of(ring: Path, facts: RingFacts) -> Iterator[Tenant]:
    """Those scans that still exist and have frames in this ring."""
    for folder in facts.tenants:
        try:
            layout = open_frames(Path(folder))
        except NotAScan:
            # deleted meanwhile, or damaged: nobody can ask for its frames any more
            continue
        if layout.ring_id != facts.id or layout.frames_path != ring:
            continue
        tenant = Tenant(layout)
        if tenant.stored.any():
            yield tenant
        else:
            tenant.close()


def enter(layout: FrameLayout) -> list[Tenant]:
    """
    Note that this scan's frames go to its ring from now on.

    Returns
    -------
    list of Tenant
        The other scans with frames there.
    """
    ring = layout.frames_path
    facts = read_facts(ring)
    others = [tenant for tenant in tenants_of(ring, facts) if tenant.layout.folder != layout.folder]
    folders = (*(str(tenant.layout.folder) for tenant in others), str(layout.folder))
    try:
        write_facts(ring, replace(facts, tenants=folders))
    except BaseException:
        for tenant in others:
            tenant.close()
        raise
    return others
