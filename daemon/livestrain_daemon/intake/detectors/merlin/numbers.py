"""Numbers of frames, which have six digits."""

MILLION = 1_000_000
"""Numbers have six digits, and begin again behind them."""


def unwrapped(number: int, latest: int) -> int:
    """
    The number of a frame, counted on where six digits begin again.

    Parameters
    ----------
    number
        As it came.
    latest
        The largest one before, unwrapped.
    """
    if number >= MILLION:
        return number
    turns = (latest - number + MILLION // 2) // MILLION
    return number + max(turns, 0) * MILLION
