"""Scans that are not in progress, by the names that their senders have for them."""

from collections import OrderedDict
from typing import Literal, TypeAlias

Fate: TypeAlias = Literal["late", "refused", "not_armed"]
"""Why nothing more is taken of a scan: it has ended, was refused, or came while the daemon was not armed."""

REMEMBERED = 64
"""Scan ids that are remembered."""


class Strays:
    """Remembers what became of the latest scans, so that what still comes of them is known as such."""

    def __init__(self) -> None:
        self._fates: OrderedDict[str, Fate] = OrderedDict()

    def remember(self, sender_id: str, fate: Fate) -> None:
        """Nothing more is taken of a scan."""
        self.forget(sender_id)
        self._fates[sender_id] = fate
        while len(self._fates) > REMEMBERED:
            self._fates.popitem(last=False)

    def forget(self, sender_id: str) -> None:
        """A scan of this name has been opened."""
        self._fates.pop(sender_id, None)

    def __contains__(self, sender_id: str) -> bool:
        return sender_id in self._fates

    def fault(self, sender_id: str, current: str | None) -> tuple[str, str]:
        """
        Kind of fault and a line for frames that belong to no open scan.

        Parameters
        ----------
        sender_id
            Of their scan.
        current
            Name of the scan in progress, if there is one.
        """
        kind = self._fates.get(sender_id, "unknown_scan")
        in_progress = f"scan {current}" if current else "no scan"
        text = {
            "late": f"expected nothing more of scan {sender_id}, which has ended, found frames",
            "refused": f"scan {sender_id} was refused; its frames are thrown away",
            "not_armed": f"scan {sender_id} is ignored, because the daemon is not armed",
            "unknown_scan": f"expected frames of {in_progress}, found scan {sender_id}, which has not been started",
        }[kind]
        return kind, text
