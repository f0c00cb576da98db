"""Which disks could be found at all, and which were."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from livestrain_bench.case import Case, Float64

DETECTABLE = 6.0
"""
Expected counts of a detectable disk over their standard deviation, background and its estimate included. A disk is
tested for at about a thousand places that do not overlap; 0.1 chance findings among them allow a threshold of 3.8, and
98 % of the disks are above that from 3.8 + 2.1 on.
"""
LEAST_VISIBLE = 0.75
"""Part of a detectable disk on usable pixels."""
SEPARATE_RADII = 2.0
"""Disks nearer to each other overlap; neither counts as detectable, nor is what is found there false [radii]."""
MATCH_RADII = 0.5
"""What is found so near a true disk is this disk [radii]."""


@dataclass(frozen=True)
class Findings:
    """How many of the disks of a scan were found."""

    recall: float
    """Part of the detectable disks."""
    detectable_per_frame: float
    false_per_frame: float
    """Found where no disk is, or a second time."""
    position_rms_px: float
    """Root mean square distance of the found ones from the truth, per axis [px]."""


def detectable(case: Case) -> NDArray[np.bool_]:
    """
    Disks that counting statistics let anybody find.

    Parameters
    ----------
    case
        Frames and truth.

    Returns
    -------
    (n, m)
        True where the expected counts of the disk stand out of background and noise, most of the disk is visible, and
        no other disk overlaps it.

    Notes
    -----
    With s the expected counts of the visible part of a disk, b those of the background under it and q the area of the
    disk over that of the ring around it from which b is estimated, the significance is s / sqrt(s + b (1 + q)).
    """
    truth = case.truth
    out = np.zeros(truth.electrons.shape, np.bool_)
    for i, frame in enumerate(case.given.frames):
        positions = truth.positions[i]
        there = np.isfinite(positions[:, 0])
        free = truth.usable & ~_covered(frame.shape, positions[there], truth.radius_px + 2 * truth.edge_px)
        for j in np.flatnonzero(there & (truth.visible[i] >= LEAST_VISIBLE)).tolist():
            if _nearest_other(positions, j) < SEPARATE_RADII * truth.radius_px:
                continue
            area = np.pi * truth.radius_px**2 * truth.visible[i, j]
            ring = free & _covered(frame.shape, positions[j : j + 1], truth.radius_px + 2 * truth.edge_px + 3)
            count = max(int(ring.sum()), 1)
            signal = truth.electrons[i, j] * truth.visible[i, j]
            background = area * float(frame[ring].sum()) / count
            out[i, j] = signal > DETECTABLE * np.sqrt(signal + background * (1 + area / count))
    return out


def compare(found: Float64, case: Case, wanted: NDArray[np.bool_]) -> Findings:
    """
    Compare what was found with the truth.

    Parameters
    ----------
    found : (n, k, 2)
        Positions, NaN beyond what was found [px].
    case
        The truth.
    wanted : (n, m)
        The detectable disks.

    Returns
    -------
    Findings
        Each found position counts for one disk, each disk for one found position, the nearest pairs first.
    """
    hits = false = 0
    squares: list[float] = []
    for i, padded in enumerate(found):
        places = padded[np.isfinite(padded[:, 0])]
        positions = case.truth.positions[i]
        there = np.flatnonzero(np.isfinite(positions[:, 0]))
        pairs = _pairs(places, positions[there], MATCH_RADII * case.truth.radius_px)
        chosen = there[[b for _, b in pairs]] if pairs else there[:0]
        hits += int(wanted[i, chosen].sum())
        squares += [float(((places[a] - positions[there[b]]) ** 2).sum()) / 2 for a, b in pairs if wanted[i, there[b]]]
        alone = np.setdiff1d(np.arange(len(places)), [a for a, _ in pairs])
        false += sum(not _in_overlap(places[a], positions, case.truth.radius_px) for a in alone)
    frames = len(found)
    total = int(wanted.sum())
    return Findings(
        hits / total if total else float("nan"),
        total / frames,
        false / frames,
        float(np.sqrt(np.mean(squares))) if squares else float("nan"),
    )


def _pairs(places: Float64, positions: Float64, reach: float) -> list[tuple[int, int]]:
    """Nearest pairs first, each member once."""
    if not (len(places) and len(positions)):
        return []
    distance = np.linalg.norm(places[:, None] - positions[None], axis=2)
    pairs: list[tuple[int, int]] = []
    for flat in np.argsort(distance, axis=None):
        a, b = (int(value) for value in np.unravel_index(flat, distance.shape))
        if distance[a, b] > reach:
            break
        if all(a != x and b != y for x, y in pairs):
            pairs.append((a, b))
    return pairs


def _in_overlap(place: Float64, positions: Float64, radius: float) -> bool:
    """Whether a place is on a disk that another one overlaps."""
    distance = np.linalg.norm(positions - place, axis=1)
    on = np.flatnonzero(np.nan_to_num(distance, nan=np.inf) < SEPARATE_RADII * radius)
    return any(_nearest_other(positions, j) < SEPARATE_RADII * radius for j in on.tolist())


def _nearest_other(positions: Float64, j: int) -> float:
    distance = np.linalg.norm(positions - positions[j], axis=1)
    distance[j] = np.inf
    return float(np.nanmin(distance))


def _covered(shape: tuple[int, ...], positions: Float64, radius: float) -> NDArray[np.bool_]:
    """Pixels within a radius of any of the positions."""
    out = np.zeros(shape, np.bool_)
    reach = int(np.ceil(radius))
    for r, c in positions:
        rows = np.arange(max(int(r) - reach, 0), min(int(r) + reach + 2, shape[0]))
        columns = np.arange(max(int(c) - reach, 0), min(int(c) + reach + 2, shape[1]))
        near = np.hypot(rows[:, None] - r, columns[None] - c) <= radius
        out[rows[:, None], columns[None]] |= near
    return out
