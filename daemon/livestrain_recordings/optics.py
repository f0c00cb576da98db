"""What a file's attributes tell of the microscope, in the terms of a scan."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite

from livestrain_recordings.recording import Fact

KNOWN: dict[str, tuple[str, Callable[[float], float]]] = {
    "energy_kev": ("energy_kev", float),
    "semiangle_mrad": ("semiangle_mrad", float),
    "pixel_size_mrad": ("pixel_size_mrad", float),
    "step_nm": ("step_nm", float),
    "step_angstrom": ("step_nm", lambda angstrom: angstrom / 10),
}
"""Attributes with a field of their own at the start of a scan, and how its unit is reached."""


@dataclass(frozen=True)
class Told:
    """Attributes of a file, sorted."""

    optics: dict[str, float]
    """Fields of the start of a scan: energy_kev, semiangle_mrad, pixel_size_mrad, step_nm."""
    rest: dict[str, Fact]
    """All that has no such field."""


def sorted_facts(facts: Mapping[str, Fact]) -> Told:
    """
    Attributes that a scan has a field for, and the rest.

    Parameters
    ----------
    facts
        As a `Recording` has them; a known one that is not a positive number is left among the rest.
    """
    told = Told({}, {})
    for name, value in facts.items():
        known = KNOWN.get(name)
        if known and isinstance(value, (int, float)) and isfinite(value) and value > 0:
            told.optics.setdefault(known[0], known[1](value))
        else:
            told.rest[name] = value
    return told
