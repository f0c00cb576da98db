class Unavailable(Exception):
    """No daemon answers; names the endpoint."""


class RequestRefused(Exception):
    """The daemon cannot meet a request, and why."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(f"{text} ({reason})")
        self.reason = reason
        """One of the protocol's reasons, for programs."""
        self.text = text
        """One line for people."""


class UnexpectedReply(Exception):
    """The daemon's answer is of another kind than the request asks for."""


class BadCondition(ValueError):
    """Text that is not a condition such as ``e_xx > 0.02``."""


class BadRegion(ValueError):
    """Text that is not a region such as ``0:16,0:64``."""
