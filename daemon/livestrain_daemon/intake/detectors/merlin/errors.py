from livestrain_daemon.errors import DaemonError


class WrongMessage(ValueError):
    """Bytes that are not what a Merlin sends; ``kind`` is the fault to count."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class ControlRefused(Exception):
    """The detector has answered a command with a return code other than 0."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class NotAMib(DaemonError):
    """A file that is not what a Merlin writes; names it."""
