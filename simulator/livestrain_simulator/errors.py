class NobodyListens(RuntimeError):
    """No receiver took the frames within the time given."""


class CannotListen(RuntimeError):
    """An emulated detector cannot have the address that it was given."""


class NotReplayable(ValueError):
    """A recorded scan that cannot be sent as asked: says what was found and what would do."""
