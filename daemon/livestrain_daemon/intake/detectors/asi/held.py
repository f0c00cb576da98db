"""Chunks of a TPX3 that came before the start of their scan."""

from dataclasses import dataclass, field

from livestrain_daemon.intake.detectors.asi.tpx3 import HEADER_BYTES, Chunk

HELD_BYTES = 1 << 25
"""Of chunks that wait for the start of their scan."""


@dataclass(slots=True)
class HeldChunks:
    """What waits, and what is lost between it."""

    chunks: list[tuple[Chunk, bytes | None]] = field(default_factory=list)
    """None where a chunk is lost but for its header."""
    size: int = 0
    since: float = 0.0
    """When the first of them came [s]."""
    adrift: bool = False
    """It is not known how many frames are lost behind them."""
    behind: bool = False
    """Chunks came after those that are lost."""

    @property
    def frames(self) -> int:
        """In all of them that are whole."""
        return sum(chunk.frames for chunk, body in self.chunks if body is not None)

    @property
    def misleading(self) -> bool:
        """Nobody knows which frames of the scan come behind them."""
        # bytes that were no message before the very first frame do no harm
        return self.adrift and (bool(self.chunks) or self.behind)

    def has_room(self, size: int) -> bool:
        """Whether so many bytes more may wait."""
        return self.size + size <= HELD_BYTES

    def add(self, chunk: Chunk, body: memoryview | None, now: float) -> None:
        """Let a chunk wait; None if nothing but its header is known."""
        if not self.chunks:
            self.since = now
        self.chunks.append((chunk, None if body is None else bytes(body)))
        self.size += HEADER_BYTES + (0 if body is None else len(body))
