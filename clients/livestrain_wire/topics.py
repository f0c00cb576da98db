"""Topics of the publisher: ``scan-id/kind/name``, so that a prefix subscribes to a scan, or to a kind of it."""

from typing import NamedTuple

from livestrain_wire.errors import WireError

NO_SCAN = "_"
"""Stands for the scan id in topics of the daemon itself (heartbeat, events outside a scan)."""


class Topic(NamedTuple):
    """The three parts of a topic."""

    scan_id: str
    kind: str
    name: str

    def encode(self) -> bytes:
        """The topic as the first part of a published message."""
        return f"{self.scan_id}/{self.kind}/{self.name}".encode()


def decode_topic(part: bytes) -> Topic:
    """
    The topic in these bytes.

    Raises
    ------
    WireError
        If they are not ``scan-id/kind/name``.
    """
    try:
        pieces = part.decode().split("/")
    except UnicodeDecodeError as error:
        raise WireError("expected a topic in UTF-8, found other bytes") from error
    if len(pieces) != 3 or not all(pieces[:2]):
        raise WireError(f"expected a topic scan-id/kind/name, found {part[:60]!r}")
    return Topic(*pieces)


def vector_map_topic(scan_id: str) -> Topic:
    """Where a scan's Bragg vector map is published."""
    return Topic(scan_id, "image", "bragg_vectors")
