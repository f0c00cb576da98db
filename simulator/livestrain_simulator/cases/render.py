"""The frames of a case, and everything true about them."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, isinf

import numpy as np
from numpy.typing import NDArray

from livestrain_simulator.cases.case import Case, Float64, indices, inside
from livestrain_simulator.cases.contrast import LINES, WAVES, Look, Looks
from livestrain_simulator.cases.fields import centres, deformation, strain_field
from livestrain_simulator.cases.kernels import EDGE_WIDTHS, draw_disk

BRIGHTNESS, NOISE, FAULTS, GRAINS, VACUUM = 31, 32, 33, 34, 35
"""Streams of random numbers."""
CENTRAL_SHARE = 0.35
"""Of the electrons in disks, in the direct beam, on average."""
VACUUM_ELECTRONS = 1e6
BROKEN = 20
"""Hot pixels, and as many dead ones."""


@dataclass(frozen=True)
class Pattern:
    """One expected pattern."""

    positions: Float64
    """(m, 2) centres of the disks [px]; NaN where there is none."""
    electrons: Float64
    """(m,) counts in each."""
    look: Look


class Rendering:
    """
    Renders the frames of a case.

    A frame depends on the case and its scan position alone.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self.field = strain_field(case)
        """(scan_rows, scan_columns, 4) e00, e11, e01, theta."""
        self.deformation = deformation(self.field)
        """(scan_rows, scan_columns, 2, 2)."""
        self.reference = np.ascontiguousarray(case.vectors().T)
        """(2, 2) G0, with g1 and g2 as columns [px]."""
        self.columns = np.swapaxes(np.linalg.inv(self.deformation), -1, -2) @ self.reference
        """(scan_rows, scan_columns, 2, 2) G = F^-T G0 [px]."""
        self.centres = centres(case)
        """(scan_rows, scan_columns, 2) [px]."""
        rows = np.swapaxes(self.columns, -1, -2)
        flat = (rows.reshape(-1, 2, 2), self.centres.reshape(-1, 2))
        if case.grains:
            self.positions = _grain_positions(case, *flat)
            self.hk = np.zeros((self.positions.shape[1], 2), np.int64)
        else:
            self.hk = indices(case, *flat)
            self.positions = flat[1][:, None] + self.hk @ flat[0]
        self.electrons = self._brightness()
        """(positions, m) counts in each disk."""
        self.usable = _usable(case)
        """(rows, columns) False where a fault hides or falsifies the counts."""
        self._looks = Looks(case, self.hk @ case.vectors() if not case.grains else self.positions[0] - case.middle)
        self._levels = case.generator(FAULTS, 1).uniform(0.3, 3.0, (2 * BROKEN,)) * 0.04 * case.electrons

    def pattern(self, position: int) -> Pattern:
        """What the disks at a flat scan position look like."""
        rows, columns = self.case.scan_shape
        row = 2 * (position // columns) / max(rows - 1, 1) - 1
        column = 2 * (position % columns) / max(columns - 1, 1) - 1
        return Pattern(self.positions[position], self.electrons[position], self._looks.at(row, column))

    def expected(self, position: int) -> Float64:
        """Mean counts at a flat position, before faults, (rows, columns)."""
        image = self.background(position)
        pattern = self.pattern(position)
        for j in np.flatnonzero(np.isfinite(pattern.positions[:, 0])).tolist():
            patch, corner, total = self.disk(pattern, j)
            _add(image, patch * (pattern.electrons[j] / total), corner)
        return image

    def disk(self, pattern: Pattern, j: int, shift: tuple[float, float] = (0.0, 0.0)) -> tuple[Float64, Float64, float]:
        """Disk j of a pattern on a patch of its own, moved by a shift: the patch, its corner and its sum."""
        case = self.case
        half = ceil(case.radius_px + EDGE_WIDTHS * case.edge_px) + 1
        corner = np.floor(pattern.positions[j] + 0.5) - half
        patch = np.empty((2 * half + 1, 2 * half + 1))
        optics = np.array([case.radius_px, case.edge_px, case.nonuniformity, float(case.aperture == "bullseye")])
        look = pattern.look
        at = pattern.positions[j] - corner + np.array(shift)
        total = draw_disk(patch, at, optics, look.waves[j], look.lines[j], look.rocking[j])
        return patch, corner, total

    def background(self, position: int) -> Float64:
        """Mean counts between the disks, (rows, columns)."""
        case = self.case
        row, column = np.ogrid[: case.shape[0], : case.shape[1]]
        centre = self.centres.reshape(-1, 2)[position]
        distance = np.hypot(row - centre[0], column - centre[1]) / min(case.shape)
        profile = np.exp(-distance / 0.24) + 0.04 + 0.3 / (1 + (distance / 0.15) ** 2)
        return np.asarray(case.background * case.electrons * profile / profile.sum())

    def frame(self, position: int) -> NDArray[np.uint16] | NDArray[np.float32]:
        """The frame at a flat position, as the detector gives it."""
        expected = self.expected(position)
        random = self.case.generator(NOISE, position)
        exact = isinf(self.case.dose)
        counts = expected if exact else random.poisson(expected).astype(np.float64)
        counts[~self.usable] = 0.0
        if "hot" in self.case.faults:
            hot = _broken(self.case)[:BROKEN]
            counts[hot[:, 0], hot[:, 1]] = self._levels[:BROKEN] if exact else random.poisson(self._levels[:BROKEN])
        return counts.astype(np.float32) if exact else np.minimum(counts, 65535).astype(np.uint16)

    def frames(self) -> Iterator[NDArray[np.uint16] | NDArray[np.float32]]:
        """All frames, in raster order."""
        for position in range(len(self.positions)):
            yield self.frame(position)

    def visible(self) -> Float64:
        """Part of each disk on usable pixels, (positions, m)."""
        there = np.isfinite(self.positions[..., 0])
        if self.usable.all():
            return there.astype(np.float64)
        out = np.zeros(self.electrons.shape)
        flat = _flat(len(self.hk))
        for i, positions in enumerate(self.positions):
            for j in np.flatnonzero(there[i]).tolist():
                patch, corner, total = self.disk(Pattern(positions, self.electrons[i], flat), j)
                out[i, j] = (patch * on_frame(self.usable, corner, patch.shape)).sum() / total
        return out

    def vacuum_probe(self) -> NDArray[np.float32]:
        """The probe without a specimen in the middle of the detector, (rows, columns) [counts]."""
        case = self.case
        pattern = Pattern(case.middle[None], np.ones(1), _flat(1))
        patch, corner, total = self.disk(pattern, 0)
        image = np.zeros(case.shape)
        _add(image, patch * (VACUUM_ELECTRONS / total), corner)
        return (case.generator(VACUUM).poisson(image) if case.vacuum_noise else image).astype(np.float32)

    def _brightness(self) -> Float64:
        """Electrons in each disk: falling with distance, drifting over the scan by thickness."""
        case = self.case
        random = case.generator(BRIGHTNESS)
        count = self.positions.shape[1]
        there = np.isfinite(self.positions[..., 0])
        distance = np.linalg.norm(self.positions - self.centres.reshape(-1, 1, 2), axis=2)
        fall = np.exp(-((np.nan_to_num(distance) / (0.32 * min(case.shape))) ** 2))
        base = random.uniform(0.15, 1.0, count)
        rows, columns = np.indices(case.scan_shape).reshape(2, -1, 1) / max(max(case.scan_shape) - 1, 1)
        beat = random.uniform(1.0, 4.0, (2, count))
        weight = base * fall * (1 + 0.5 * np.cos(beat[0] * rows + beat[1] * columns + random.uniform(0, 6.3, count)))
        weight = np.where(there, weight, 0.0)
        others = weight[:, 1:].sum(axis=1)
        weight[:, 0] = CENTRAL_SHARE / (1 - CENTRAL_SHARE) * others * (1 + 0.2 * np.cos(3 * rows[:, 0]))
        total = (1 - case.background) * case.electrons
        return np.asarray(total * weight / weight.sum(axis=1, keepdims=True))


def on_frame(values: NDArray[np.bool_], corner: Float64, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """A part of a frame-sized mask; False outside the frame."""
    out = np.zeros(shape, np.bool_)
    frame, patch = _overlap(values.shape, corner, shape)
    out[patch] = values[frame]
    return out


def _add(image: Float64, patch: Float64, corner: Float64) -> None:
    frame, part = _overlap(image.shape, corner, patch.shape)
    image[frame] += patch[part]


def _overlap(
    frame: tuple[int, ...], corner: Float64, patch: tuple[int, ...]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    first = [int(value) for value in corner]
    low = [max(a, 0) for a in first]
    high = [max(min(a + side, limit), b) for a, side, limit, b in zip(first, patch, frame, low, strict=True)]
    whole = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    return whole, tuple(slice(a - o, b - o) for a, b, o in zip(low, high, first, strict=True))


def _flat(count: int) -> Look:
    return Look(np.zeros((count, WAVES, 4)), np.zeros((count, LINES, 6)), np.zeros((count, 5)))


def _grain_positions(case: Case, vectors: Float64, centre: Float64) -> Float64:
    """Positions of the disks of several lattices, turned at random in each frame, NaN where one is off the frame."""
    random = case.generator(GRAINS)
    span = np.arange(-8, 9)
    hk = np.stack(np.meshgrid(span, span, indexing="ij"), axis=-1).reshape(-1, 2)
    distance = np.linalg.norm(hk @ case.vectors(), axis=1)
    hk = hk[np.argsort(distance, kind="stable")][1 : case.disks]
    angle = random.uniform(0, 2 * np.pi, (len(vectors), case.grains))
    turn = np.stack([np.stack([np.cos(angle), np.sin(angle)], -1), np.stack([-np.sin(angle), np.cos(angle)], -1)], -2)
    around = (hk @ vectors[:, None] @ turn).reshape(len(vectors), -1, 2)
    positions = centre[:, None] + np.concatenate([np.zeros((len(vectors), 1, 2)), around], axis=1)
    return np.asarray(np.where(inside(case, positions)[..., None], positions, np.nan))


def _usable(case: Case) -> NDArray[np.bool_]:
    usable = np.ones(case.shape, np.bool_)
    random = case.generator(FAULTS)
    middle = case.middle
    if "gap" in case.faults:
        row, column = (int(value) for value in middle + random.integers(-3, 4, 2))
        usable[row - 1 : row + 3] = False
        usable[:, column - 1 : column + 3] = False
    if "stop" in case.faults:
        r, c = np.ogrid[: case.shape[0], : case.shape[1]]
        at = middle + random.uniform(-2, 2, 2)
        usable &= np.hypot(r - at[0], c - at[1]) > case.radius_px + 2.0
        angle = random.uniform(0, 2 * np.pi)
        along = (r - at[0]) * np.cos(angle) + (c - at[1]) * np.sin(angle)
        across = (c - at[1]) * np.cos(angle) - (r - at[0]) * np.sin(angle)
        usable &= ~((along > 0) & (np.abs(across) < 2.0))
    if "hot" in case.faults:
        broken = _broken(case)
        usable[broken[:, 0], broken[:, 1]] = False
    return usable


def _broken(case: Case) -> NDArray[np.int64]:
    """Hot pixels, then dead ones (2 BROKEN, 2)."""
    random = case.generator(FAULTS, 2)
    places = random.choice(case.shape[0] * case.shape[1], 2 * BROKEN, replace=False)
    return np.stack(np.unravel_index(places, case.shape), axis=1).astype(np.int64)
