import fcntl
import os
import uuid
from pathlib import Path

import structlog

from livestrain_daemon.errors import NotAScan, Unavailable
from livestrain_daemon.scanfolder import files
from livestrain_daemon.scanfolder.layout import FrameLayout
from livestrain_daemon.scanfolder.provenance import boot_id
from livestrain_daemon.scanfolder.recovery import mismatching
from livestrain_daemon.scanfolder.tenants import (
    RingFacts,
    Tenant,
    facts_path,
    read_facts,
    tenants_of,
    write_facts,
)
from livestrain_wire.messages import Run

_TOUCH = bytes(1 << 22)
_log = structlog.get_logger(__name__)


class Ring:
    """
    A file of fixed size that the frames of scans go through when they are not recorded.

    Made and filled with zeros once, because fresh pages are slow on some machines; then used again for every scan, and
    after a restart.

    Parameters
    ----------
    path
        On a local disk or in memory (tmpfs).
    capacity_bytes
        Its size; another one than before makes it anew [bytes].

    Raises
    ------
    Unavailable
        If another process has it open.
    StorageError
        If it cannot be made; with the numbers, if the space is not there.
    """

    def __init__(self, path: Path, capacity_bytes: int) -> None:
        self.path = path.resolve()
        self.capacity_bytes = capacity_bytes
        self._lock = _locked(self.path.with_name(self.path.name + ".lock"))
        try:
            self.id = self._take_over() or self._make()
        except BaseException:
            self.close()
            raise

    def holds(self) -> list[tuple[FrameLayout, list[Run]]]:
        """The scans whose frames are in the ring, oldest first, and which positions of each."""
        found = []
        for tenant in tenants_of(self.path, read_facts(self.path)):
            found.append((tenant.layout, tenant.stored))
            tenant.close()
        return found

    def close(self) -> None:
        """Let go of the ring; the frames stay."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _take_over(self) -> str | None:
        try:
            facts = read_facts(self.path)
            size = self.path.stat().st_size
        except (NotAScan, OSError):
            return None
        fits = size == facts.capacity_bytes == self.capacity_bytes
        rebooted = facts.boot_id != boot_id()
        for tenant in tenants_of(self.path, facts) if rebooted or not fits else ():
            if fits:
                _move_out_the_lost(tenant)
            else:
                tenant.forget(tenant.stored)
            tenant.close()
        if not fits:
            return None
        if rebooted:
            write_facts(self.path, RingFacts(facts.id, facts.capacity_bytes, boot_id(), facts.tenants))
        return facts.id

    def _make(self) -> str:
        self.path.unlink(missing_ok=True)
        facts_path(self.path).unlink(missing_ok=True)
        files.require_space(self.path.parent, self.capacity_bytes, str(self.path))
        with files.published(self.path) as partial:
            descriptor = files.open_file(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            try:
                os.ftruncate(descriptor, self.capacity_bytes)
                if not files.reserve(partial):
                    _log.warning("space was not reserved: the file system cannot", path=str(self.path))
                zeros = memoryview(_TOUCH)
                for offset in range(0, self.capacity_bytes, len(zeros)):
                    files.write_at(descriptor, zeros[: self.capacity_bytes - offset], offset, self.path)
            finally:
                os.close(descriptor)
        identity = uuid.uuid4().hex
        write_facts(self.path, RingFacts(identity, self.capacity_bytes, boot_id(), ()))
        return identity


def _locked(path: Path) -> int:
    descriptor = files.open_file(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise Unavailable(f"{path.with_suffix('')}: is used by another daemon") from error
    return descriptor


def _move_out_the_lost(tenant: Tenant) -> None:
    """After a loss of power the ledger may know frames that never reached the disk."""
    lost = mismatching(tenant.layout, tenant.stored)
    tenant.forget(lost)
    if lost:
        _log.warning("frames in the ring were lost with the power", folder=str(tenant.layout.folder), runs=lost)
