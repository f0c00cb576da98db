class WireError(ValueError):
    """Bytes that are not a message: says what was expected and what was found."""


class UnknownMessage(WireError):
    """A well-formed message of a type that this end does not know; to be counted, not feared."""


class NewerProtocol(WireError):
    """A message of a newer major protocol version, which this end cannot read."""


class WrongLength(ValueError):
    """A length within packed pixels that makes no sense; ``kind`` is the fault to count."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind
