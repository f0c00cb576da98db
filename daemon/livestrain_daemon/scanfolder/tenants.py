"""The scans whose frames are in a ring: noted beside it, looked up in their ledgers."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import structlog

from livestrain_daemon.errors import NotAScan, StorageError
from livestrain_daemon.scanfolder import files
from livestrain_daemon.scanfolder.layout import FrameLayout, FrameState, open_frames
from livestrain_daemon.scanfolder.ledger import FrameLedger, Slots
from livestrain_daemon.scanfolder.runs import runs_of
from livestrain_wire.messages import Run

_log = structlog.get_logger(__name__)


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
    """
    Replace what is written beside a ring, at once.

    Raises
    ------
    StorageError
        If it could not be written; then the old facts still hold.
    """
    path = facts_path(ring)
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(json.dumps(vars(facts)), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {files.reason(error)}") from error


class Tenant:
    """
    A scan that has left frames in a ring, and is no longer written.

    No lock is held: whoever changes an old scan in another program must not keep a new one from being stored.
    """

    def __init__(self, layout: FrameLayout) -> None:
        self.layout = layout
        self._descriptor = files.open_file(layout.path, os.O_RDWR)
        try:
            self.slots = Slots(layout, FrameLedger(self._descriptor, layout))
        except BaseException:
            self.close()
            raise

    @property
    def stored(self) -> list[Run]:
        """The positions whose frames are in the ring."""
        return runs_of(self.slots.ledger.states == FrameState.STORED)

    def forget(self, runs: list[Run]) -> None:
        """Mark these positions as recycled."""
        self.slots.ledger.mark(runs, FrameState.RECYCLED)
        self.slots.look_again()

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def tenants_of(ring: Path, facts: RingFacts) -> Iterator[Tenant]:
    """Those scans that still exist and have frames in this ring; the caller closes them."""
    for folder in facts.tenants:
        try:
            layout = open_frames(Path(folder))
            if layout.ring_id != facts.id or layout.frames_path != ring:
                continue
            tenant = Tenant(layout)
        except StorageError as error:
            if Path(folder).exists():
                _log.warning("a scan in the ring was left alone", folder=folder, reason=str(error))
            continue
        if np.any(tenant.slots.ledger.states == FrameState.STORED):
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
    others = tuple(folder for folder in facts.tenants if folder != str(layout.folder))
    tenants = list(tenants_of(ring, replace(facts, tenants=others)))
    folders = (*(str(tenant.layout.folder) for tenant in tenants), str(layout.folder))
    try:
        write_facts(ring, replace(facts, tenants=folders))
    except BaseException:
        for tenant in tenants:
            tenant.close()
        raise
    return tenants
