class WrongMessage(ValueError):
    """Bytes that are not what the detector sends; ``kind`` is the fault to count."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind
