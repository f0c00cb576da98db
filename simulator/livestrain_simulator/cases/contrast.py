"""
Contrast inside the disks, in several physical ways.

Coordinates are those of a disk: distance from its centre over its radius, (row, column). What happens in a disk changes
slowly over the scan, as thickness and tilt do.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import pi

import numpy as np

from livestrain_simulator.cases.case import Case, Float64

CONTRAST = 21
"""Stream of random numbers."""
WAVES, LINES = 8, 3
"""Plane waves and lines that a disk can have."""


@dataclass(frozen=True)
class Look:
    """Contrast of m disks at one scan position; it adds to an intensity of 1, times the case's nonuniformity."""

    waves: Float64
    """(m, WAVES, 4) wave vector (row, column) [rad per radius], phase [rad], amplitude."""
    lines: Float64
    """(m, LINES, 6) normal (row, column), offset, width [radius], depth; 1 at the end makes it a step."""
    rocking: Float64
    """(m, 5) tilt per radius (row, column), tilt in the middle [extinction units], thickness, amplitude."""


class Looks:
    """
    The contrast of every disk at every position.

    Parameters
    ----------
    case
        Gives the way the contrast comes about, and the seed.
    vectors : (m, 2)
        Bragg vectors of the disks [px].
    """

    def __init__(self, case: Case, vectors: Float64) -> None:
        self._case = case
        self._vectors = vectors
        self._models = [MODELS[self._name(j)] for j in range(len(vectors))]

    def at(self, row: float, column: float) -> Look:
        """The contrast at a place of the scan, each coordinate from -1 to 1."""
        count = len(self._vectors)
        look = Look(np.zeros((count, WAVES, 4)), np.zeros((count, LINES, 6)), np.zeros((count, 5)))
        for j, model in enumerate(self._models):
            random = self._case.generator(CONTRAST, j)
            # thickness and tilt of the foil drift over the scan, otherwise for each disk
            drift = float(random.uniform(-1, 1) * row + random.uniform(-1, 1) * column)
            model(_Disk(look, j, self._vectors[j], drift), random)
        return look

    def _name(self, j: int) -> str:
        if self._case.contrast != "mixed":
            return self._case.contrast
        names = sorted(MODELS)
        return names[int(self._case.generator(CONTRAST, j, 1).integers(len(names)))]


@dataclass(frozen=True)
class _Disk:
    look: Look
    j: int
    vector: Float64
    drift: float


def _fringes(disk: _Disk, random: np.random.Generator) -> None:
    """Straight fringes across the Bragg vector with an overtone, sliding with thickness."""
    direction = _direction(disk.vector, random, 0.3)
    number = random.uniform(0.6, 2.2) * pi
    phase = random.uniform(0, 2 * pi) + 2.5 * disk.drift
    overtone = random.uniform(0.0, 0.5)
    disk.look.waves[disk.j, 0] = (*(number * direction), phase, 1 - 0.5 * overtone)
    disk.look.waves[disk.j, 1] = (*(2.0 * number * direction), 2 * phase + random.uniform(-1, 1), 0.5 * overtone)


def _rocking(disk: _Disk, random: np.random.Generator) -> None:
    """The rocking curve of two beams: the excitation error runs along the Bragg vector (Kossel-Moellenstedt)."""
    direction = _direction(disk.vector, random, 0.15)
    tilt = random.uniform(0.8, 2.5)
    middle = random.uniform(-1.5, 1.5) + 0.8 * disk.drift
    thickness = random.uniform(0.5, 1.8) + 0.1 * disk.drift
    disk.look.rocking[disk.j] = (*(tilt * direction), middle, thickness, random.choice([-1.0, 1.0]))


def _field(disk: _Disk, random: np.random.Generator) -> None:
    """A random smooth field: many beams, no direction preferred."""
    vectors = random.standard_normal((WAVES, 2)) * random.uniform(1.2, 3.0)
    turning = random.uniform(-2.0, 2.0, WAVES)
    phases = random.uniform(0, 2 * pi, WAVES) + turning * disk.drift
    amplitudes = random.uniform(0.3, 1.0, WAVES)
    # the sum of independent waves seldom exceeds twice its standard deviation
    amplitudes /= 2.0 * np.sqrt(0.5 * (amplitudes**2).sum())
    disk.look.waves[disk.j] = np.column_stack([vectors, phases, amplitudes])


def _wedge(disk: _Disk, random: np.random.Generator) -> None:
    """A slope over the disk, and an edge in it: bend and the shadow of a step."""
    direction = _direction(disk.vector, random, pi)
    slope = random.uniform(0.2, 0.5)
    # a slope is a wave too long to show its end
    disk.look.waves[disk.j, 0] = (*(0.2 * direction), -pi / 2, slope / 0.2)
    normal = _direction(disk.vector, random, pi)
    offset = random.uniform(-0.6, 0.6) + 0.4 * disk.drift
    disk.look.lines[disk.j, 0] = (*normal, offset, random.uniform(0.1, 0.3), 1 - slope, 1.0)


def _lines(disk: _Disk, random: np.random.Generator) -> None:
    """One to three narrow dark lines, as those of higher-order Laue zones."""
    for line in range(int(random.integers(1, LINES + 1))):
        normal = _direction(disk.vector, random, pi)
        offset = random.uniform(-0.8, 0.8) + 0.3 * disk.drift
        disk.look.lines[disk.j, line] = (*normal, offset, random.uniform(0.06, 0.2), random.uniform(0.5, 1.0), 0.0)


def _direction(vector: Float64, random: np.random.Generator, scatter: float) -> Float64:
    """A unit vector along the Bragg vector, turned by up to `scatter`; any one for the direct beam."""
    length = float(np.hypot(vector[0], vector[1]))
    angle = np.arctan2(vector[1], vector[0]) if length > 0 else random.uniform(0, 2 * pi)
    angle += random.uniform(-scatter, scatter)
    return np.array([np.cos(angle), np.sin(angle)])


MODELS: dict[str, Callable[[_Disk, np.random.Generator], None]] = {
    "fringes": _fringes,
    "rocking": _rocking,
    "field": _field,
    "wedge": _wedge,
    "lines": _lines,
}
"""How contrast comes about, by name; `mixed` draws one of them for each disk."""
