from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what may still come."""

    silence_seconds: float = 10.0
    """A series that is not heard of for so long is over [s]."""
    settle_seconds: float = 0.5
    """A series of which everything has come, or of which the detector may say that it is over, is looked after so soon
    after its last frame [s]."""
    header_seconds: float = 1.0
    """What a series begins with may come so long after its first frames, where they wait for it [s]."""
