class NoCases(ValueError):
    """A folder without a case to measure, or a file that is none."""

    exit_code = 3


class NoPeer(RuntimeError):
    """A peer that is not installed."""

    exit_code = 69
