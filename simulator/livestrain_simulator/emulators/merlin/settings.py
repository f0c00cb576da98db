"""What can be asked of a Merlin, and set, by name; and its return codes."""

from dataclasses import dataclass

OK = 0
BUSY = 1
UNKNOWN = 2
OUT_OF_RANGE = 3

SOFT_TRIGGER = 5
"""Of TRIGGERSTART."""
RAW_FORMAT = 2
"""Of FILEFORMAT."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A number that can be set."""

    default: float
    least: float
    most: float
    among: tuple[float, ...] = ()
    """The values that there are, if not all."""
    whole: bool = True

    def accepts(self, value: float) -> bool:
        """Whether the setting can have this value."""
        return (
            self.least <= value <= self.most
            and (not self.among or value in self.among)
            and (not self.whole or value == int(value))
        )


SETTINGS = {
    "NUMFRAMESTOACQUIRE": Setting(1, 0, 1e9),
    "NUMFRAMESPERTRIGGER": Setting(1, 1, 1e9),
    "ACQUISITIONTIME": Setting(1.0, 1e-3, 1e7, whole=False),
    "ACQUISITIONPERIOD": Setting(1.0, 0.0, 1e7, whole=False),
    "TRIGGERSTART": Setting(0, 0, SOFT_TRIGGER),
    "TRIGGERSTOP": Setting(0, 0, SOFT_TRIGGER),
    "COUNTERDEPTH": Setting(12, 1, 24, (1, 6, 12, 24)),
    "CONTINUOUSRW": Setting(0, 0, 1),
    "FILEENABLE": Setting(0, 0, 1),
    "FILEFORMAT": Setting(0, 0, RAW_FORMAT, (0, RAW_FORMAT)),
    "RUNHEADLESS": Setting(0, 0, 1),
    "STEMSCANX": Setting(0, 0, 1 << 20),
    "STEMSCANY": Setting(0, 0, 1 << 20),
}


def written(value: float) -> str:
    """A value as the detector writes it."""
    return f"{value:.0f}" if value == int(value) else f"{value:g}"
