class Names:
    """Names of series, no two of them the same one after the other."""

    def __init__(self) -> None:
        self._base = ""
        self._repeats = 0

    def next(self, base: str) -> str:
        """The name of a series that would be called ``base``."""
        self._repeats = self._repeats + 1 if base == self._base else 1
        self._base = base
        return base if self._repeats == 1 else f"{base}-{self._repeats}"
