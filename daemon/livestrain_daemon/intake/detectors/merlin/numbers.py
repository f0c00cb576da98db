"""Numbers of frames, which have six digits and may be damaged."""

from dataclasses import dataclass

MILLION = 1_000_000
"""Numbers have six digits, and begin again behind them."""
TURN_FRAMES = 100_000
"""They do so only between the last and the first so many."""
BEHIND_FRAMES = 1000
"""A frame may come so late."""
AHEAD_FRAMES = 32
"""A number further ahead is believed once a second one comes near it: it may be one of the next scan."""


@dataclass(slots=True)
class Reached:
    """How far an acquisition is, as numbers from 1 that go on behind six digits."""

    latest: int = 0
    """The last one that is believed."""
    doubted: int | None = None
    """One far from it, which may be damaged, or the first behind many that are lost."""

    def unwrapped(self, number: int) -> int:
        """The number of a frame, counted on where six digits begin again."""
        found = unwrapped(number, self.latest)
        if self.doubted is None or _near(found, self.latest):
            return found
        beside = unwrapped(number, self.doubted)
        return beside if _near(beside, self.doubted) else found

    def expects(self, unwrapped_number: int) -> bool:
        """Whether a number is near the last one that is believed."""
        return _near(unwrapped_number, self.latest)

    def confirms(self, unwrapped_number: int) -> bool:
        """Whether a number is near the doubted one, which is right then."""
        return self.doubted is not None and _near(unwrapped_number, self.doubted)


def unwrapped(number: int, latest: int) -> int:
    """
    The number of a frame, counted on where six digits begin again.

    Parameters
    ----------
    number
        As it came.
    latest
        One shortly before, unwrapped.
    """
    if number >= MILLION:
        return number
    turns, digits = divmod(latest, MILLION)
    if digits >= MILLION - TURN_FRAMES and number < TURN_FRAMES:
        turns += 1
    elif turns and digits < TURN_FRAMES and number >= MILLION - TURN_FRAMES:
        turns -= 1
    return number + turns * MILLION


def gone_on(number: int, before: int) -> int:
    """
    How far an acquisition is at a frame behind an outage of less than a million of them.

    Parameters
    ----------
    number
        Of the frame, as it came.
    before
        How far the acquisition was, unwrapped.

    Returns
    -------
    int
        As far as before, or at the beginning of the million that the frame is in.
    """
    if number >= MILLION:
        return before
    turns = max(-(-(before - BEHIND_FRAMES - number) // MILLION), 0)
    return max(before, turns * MILLION)


def _near(number: int, other: int) -> bool:
    return -BEHIND_FRAMES <= number - other <= AHEAD_FRAMES
