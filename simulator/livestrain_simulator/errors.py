class NobodyListens(RuntimeError):
    """No receiver took the frames within the time given."""


class NotReplayable(ValueError):
    """A file whose content cannot be sent as frames: says what was found and what would do."""


class NoFrames(NotReplayable):
    """A file that holds no frames."""
