class ControlRefused(Exception):
    """The detector has answered a command with a return code other than 0."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code
