from typing import Protocol


class Sender(Protocol):
    """Sends the same scan again and again, each time under another name."""

    @property
    def port(self) -> int:
        """Where it is bound, or what it is connected to."""
        ...

    def prepare(self) -> None:
        """Make what is sent next, before the time is taken."""
        ...

    def send(self) -> None:
        """Send a scan; returns when the last message has been handed to the system."""
        ...

    def close(self) -> None:
        """Send nothing more."""
        ...
