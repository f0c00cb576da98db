"""What a file can be wrong about; a file that cannot be read at all is an `OSError` that names it."""


class UnusableRecording(ValueError):
    """A file whose content cannot be used as frames: says what was found and what would do."""


class NoFrames(UnusableRecording):
    """A file that holds no frames."""


class ExtraMissing(UnusableRecording):
    """A file that takes a library which is not installed: says which extra has it."""
