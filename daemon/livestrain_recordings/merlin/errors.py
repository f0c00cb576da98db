class WrongMessage(ValueError):
    """Bytes that are not what a Merlin sends; ``kind`` is the fault to count."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class NotAMib(OSError):
    """A file that is not what a Merlin writes; names it."""
