"""Which scans must go so that the spool stays within its limits; a decision, nothing is touched."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from livestrain_wire.messages import ScanEntry

Why = Literal["count", "size", "free", "room", "asked"]
"""Too many scans; too large together; too little space free; none for a new scan; somebody asked for it."""
OVER = ("ended", "unfinished")
"""States of scans that nobody works on."""


@dataclass(frozen=True)
class Limits:
    """What the spool may hold; None: as much as there is."""

    scans: int | None = None
    """Ended scans that may go, and the newest."""
    size_bytes: int | None = None
    """All scans together."""
    free_bytes: int | None = None
    """Space that is kept free on the disk."""

    @property
    def any(self) -> bool:
        """Whether anything is ever removed by itself."""
        return (self.scans, self.size_bytes, self.free_bytes) != (None, None, None)


@dataclass(frozen=True)
class Verdict:
    """What must go, the oldest first, and what cannot be met."""

    remove: tuple[tuple[ScanEntry, Why], ...] = ()
    unmet: tuple[tuple[Why, str], ...] = ()
    """Limits that are not kept, and why, in a line each."""


def removable(entries: Sequence[ScanEntry], held: Collection[str]) -> list[ScanEntry]:
    """
    The scans that may be removed, the oldest first.

    Parameters
    ----------
    entries
        All scans, the newest first.
    held
        Ids of scans that somebody still works on.

    Returns
    -------
    list of ScanEntry
        Those that have ended, but the newest of them, and those that were left unfinished before it; none that is
        retained, held, or cannot be read.
    """
    newest = next((index for index, entry in enumerate(entries) if entry.state == "ended"), len(entries))
    over = (entry for entry in entries[newest + 1 :] if entry.state in OVER)
    return [entry for entry in over if not entry.retained and entry.scan_id not in held][::-1]


def decide(
    entries: Sequence[ScanEntry], held: Collection[str], limits: Limits, free_bytes: int, wanted_bytes: int = 0
) -> Verdict:
    """
    What must go.

    Parameters
    ----------
    entries
        All scans, the newest first.
    held
        Ids of scans that somebody still works on.
    limits
        Of the spool.
    free_bytes
        Space on the disk that is free, or becomes free when other programs let go of what was removed [bytes].
    wanted_bytes
        Space that a new scan needs; 0: there is none [bytes].

    Notes
    -----
    Nothing is removed in vain: where not even all that may go would make the space that is wanted, all of it stays.
    """
    rest = removable(entries, held)
    gone: list[tuple[ScanEntry, Why]] = []
    unmet: list[tuple[Why, str]] = []

    def drop(count: int, why: Why) -> None:
        gone.extend((entry, why) for entry in rest[:count])
        del rest[:count]

    def make_free(wanted: int, why: Why, what: str) -> None:
        short = wanted - free_bytes - _freed(gone)
        count = _enough(rest, short)
        if count is None:
            text = f"{what} needs {short} bytes more, the scans that may be removed have {_size(rest)}"
            unmet.append((why, text))
        else:
            drop(count, why)

    if limits.scans is not None:
        newest = next((entry for entry in entries if entry.state == "ended"), None)
        # it counts, and is not among those that may go; all others that must stay do not count
        kept = len(rest) + (newest is not None and not newest.retained)
        drop(max(0, kept - limits.scans), "count")
    if limits.size_bytes is not None:
        excess = _size(entries) - _freed(gone) - limits.size_bytes
        count = _enough(rest, excess)
        drop(len(rest) if count is None else count, "size")
        if count is None:
            left = _size(entries) - _freed(gone) - limits.size_bytes
            unmet.append(("size", f"the scans that must stay take {left} bytes more than spool.keep_mib allows"))
    make_free(limits.free_bytes or 0, "free", "spool.keep_free_mib")
    make_free(wanted_bytes, "room", "the new scan")
    return Verdict(tuple(gone), tuple(unmet))


def _size(entries: Sequence[ScanEntry]) -> int:
    return sum(entry.size_bytes for entry in entries)


def _freed(gone: Sequence[tuple[ScanEntry, Why]]) -> int:
    return _size([entry for entry, _ in gone])


def _enough(entries: Sequence[ScanEntry], size: int) -> int | None:
    """How many of these, from the first on, have so many bytes together; None where all have fewer."""
    total = 0
    for count, entry in enumerate(entries):
        if total >= size:
            return count
        total += entry.size_bytes
    return len(entries) if total >= size else None
