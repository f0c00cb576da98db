from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from livestrain_core.corrections import in_electrons
from livestrain_core.disks import track
from livestrain_core.dynamical import Contrast
from livestrain_core.indexing import LOUDEST, deformation, deformations, explained
from livestrain_core.lattice import Lattice, LatticeFit, Reason, fit_lattice, refuse_singular, shortest
from livestrain_core.probe import Probe
from livestrain_core.recover import LARGEST_ROTATION, LARGEST_STRAIN, Recovered, recover, tolerance_px
from livestrain_core.types import Disks, Estimator, Float64, Frames, Indices, Point, Usable

# tracking follows strain and rotation up to about this; what it says beyond is checked
FOLLOWED_STRAIN = 0.06
FOLLOWED_ROTATION = 0.08
# of the disks found a lattice uses this part, and their distance from it stays below the larger of these
LEAST_USED = 0.7
LARGEST_RESIDUAL_PX = 0.5
LARGEST_RESIDUAL_RADII = 0.06
# a fit of fewer disks than this, or than this part of the plan's, is checked
FEWEST_USED = 5
LEAST_SEEN = 0.25
# a lattice is that of the detected disks if it explains this part of them by weight, and so many
LEAST_EXPLAINED = 0.4
FEWEST_EXPLAINED = 3
# a recovered lattice replaces the tracked one if it explains so much more, or the same and has so many more disks
BETTER = 1.2
# a tracked lattice that explains and uses so much of the detected disks needs no second one
CERTAIN = 0.8
# recovered lattices are rounded before tracking starts from them: frames of one grain then share what is prepared
CENTRE_STEP_PX = 1.0
VECTOR_STEP_PX = 0.25
SEARCH_PX = 3.0


class Tracking(IntEnum):
    """How the lattice of a position was found."""

    TRACKED = 0
    """Disks were where the plan has them."""
    FOUND_AGAIN = 1
    """Disks were detected on the whole frame, a lattice found through them, and tracked from there."""
    NOT_FOUND = 2
    """Neither; `Reason` says why."""


@dataclass(frozen=True)
class Sought:
    """Disks and lattices of n frames."""

    disks: Disks
    fit: LatticeFit
    tracking: NDArray[np.uint8]
    """(n,) value of `Tracking`."""


def find_lattices(
    frames: Frames,
    usable: Usable | None,
    lattice: Lattice,
    hk: Indices,
    probe: Probe,
    search_px: float,
    *,
    estimator: Estimator = "precise",
    contrast: Contrast | None = None,
    saturation: float | None = None,
) -> Sought:
    """
    Disks and lattice of each frame, also where tracking gets lost.

    Parameters
    ----------
    frames : (n, rows, columns)
        Patterns [counts].
    usable : (rows, columns), optional
        False where a pixel must not be looked at.
    lattice
        Lattice of the plan [px].
    hk : (m, 2)
        Indices of its disks.
    probe
        Radius and edge of a disk [px].
    search_px
        Half the side of the window around each predicted position [px].
    estimator, contrast, saturation
        See `disks.track`.

    Returns
    -------
    Sought
        Each frame depends on itself and the plan alone.

    Raises
    ------
    SingularLattice
        The lattice of the plan spans no plane.

    Notes
    -----
    All frames are tracked from the plan's lattice. Where the outcome is doubtful, disks are detected on the whole
    frame, the lattice through them is tracked likewise, and the one that explains the detected disks stays.
    """
    refuse_singular(lattice)
    frames = np.ascontiguousarray(frames)
    spacing = shortest(np.array([lattice.g1, lattice.g2]))

    def tracked(some: Frames, start: Lattice, reach_px: float) -> _Tracked:
        disks = track(
            some,
            usable,
            start,
            hk,
            probe,
            reach_px,
            estimator=estimator,
            contrast=contrast,
            saturation=saturation,
            spacing_px=spacing,
        )
        return _Tracked(disks, fit_lattice(disks, hk))

    first = tracked(frames, lattice, search_px)
    tracking = np.where(first.fit.reason == Reason.FITTED, Tracking.TRACKED, Tracking.NOT_FOUND).astype(np.uint8)
    doubt = np.flatnonzero(doubtful(first.disks, first.fit, lattice, probe))
    if len(doubt):
        recovered = recover(in_electrons(frames[doubt], contrast, saturation), usable, probe, lattice)
        judge = _Judge(recovered, _rows(lattice), tolerance_px(probe, lattice), 1.5 * _residual_px(probe))
        for j, i in enumerate(doubt.tolist()):
            before = judge.agreement(first.fit, i, j)
            certain = before >= CERTAIN and first.fit.disks_used[i] >= CERTAIN * recovered.disks.count[j]
            start = None if certain else _rounded(recovered.lattice(j))
            if start is not None:
                again = tracked(frames[i : i + 1], start, SEARCH_PX)
                if _better(judge.agreement(again.fit, 0, j), again.fit, before, first.fit.disks_used[i]):
                    first.replace(i, again)
                    tracking[i] = Tracking.FOUND_AGAIN
                    continue
            if before == 0.0 and first.fit.reason[i] == Reason.FITTED:
                first.forget(i)
                tracking[i] = Tracking.NOT_FOUND
    return Sought(first.disks, first.fit, tracking)


def doubtful(disks: Disks, fit: LatticeFit, lattice: Lattice, probe: Probe) -> NDArray[np.bool_]:
    """
    Frames in which tracking may have followed something else than the disks meant.

    Parameters
    ----------
    disks
        Tracked disks of n frames.
    fit
        The lattices through them.
    lattice
        Lattice of the plan [px].
    probe
        Radius and edge of a disk [px].

    Returns
    -------
    (n,)
        True where there is no lattice, where it leaves out or misses many of the disks found, has few disks, or is
        strained or turned by more than tracking can follow.
    """
    found, used = (disks.score > 0).sum(axis=1), fit.disks_used.astype(np.float64)
    few = (used < FEWEST_USED) | (used < LEAST_SEEN * disks.score.shape[1]) | (used < LEAST_USED * found)
    vectors = np.stack([fit.centre, fit.g1, fit.g2], axis=1)
    turn, strain = deformations(vectors, _rows(lattice))
    # NaN is not followed either
    followed = (
        (np.abs(turn) <= FOLLOWED_ROTATION) & (strain <= FOLLOWED_STRAIN) & (fit.residual_px <= _residual_px(probe))
    )
    return np.asarray(few | ~followed, np.bool_)


@dataclass(frozen=True)
class _Tracked:
    """Disks of some frames, and the lattices through them."""

    disks: Disks
    fit: LatticeFit

    def replace(self, i: int, other: "_Tracked") -> None:
        """Put what was found in another single frame in place of frame i."""
        for target, source in ((self.disks, other.disks), (self.fit, other.fit)):
            for field in fields(target):
                getattr(target, field.name)[i] = getattr(source, field.name)[0]

    def forget(self, i: int) -> None:
        """Leave frame i without a lattice: the disks found were not those of one."""
        for field in fields(self.fit):
            values = getattr(self.fit, field.name)
            values[i] = np.nan if values.dtype.kind == "f" else 0
        self.fit.reason[i] = Reason.LOST


@dataclass(frozen=True)
class _Judge:
    """Disks detected in doubtful frames, against which lattices are held."""

    recovered: Recovered
    near: Float64
    """(3, 2) centre, g1, g2 of the plan [px]."""
    tolerance_px: float
    residual_px: float
    """Distance of its disks from a lattice that is to be believed, at most [px]."""

    def agreement(self, fit: LatticeFit, i: int, j: int) -> float:
        """Part of the disks of doubtful frame j that fit i explains; zero where it is not to be believed."""
        if fit.reason[i] != Reason.FITTED or not fit.residual_px[i] <= self.residual_px:
            return 0.0
        vectors = np.array([fit.centre[i], fit.g1[i], fit.g2[i]])
        turn, strain = deformation(vectors[1], vectors[2], self.near)
        if not (strain <= LARGEST_STRAIN and abs(turn) <= LARGEST_ROTATION):
            return 0.0
        disks, count = self.recovered.disks, int(self.recovered.disks.count[j])
        place = disks.position[j, :count].astype(np.float64)
        weight = np.minimum(disks.score[j, :count].astype(np.float64), LOUDEST)
        on, part = (
            explained(place, w, vectors[0], vectors[1], vectors[2], self.tolerance_px) for w in (np.ones(count), weight)
        )
        part /= max(float(weight.sum()), 1e-12)
        # at low doses tracking finds disks that are too faint to be detected
        faint = count <= FEWEST_EXPLAINED and fit.disks_used[i] >= FEWEST_USED
        return float(part) if part >= LEAST_EXPLAINED and (on > FEWEST_EXPLAINED - 1 or faint) else 0.0


def _better(after: float, fit: LatticeFit, before: float, used_before: int) -> bool:
    """Whether a lattice found again replaces the tracked one."""
    more = fit.disks_used[0] >= BETTER * used_before
    return after > 0.0 and (after >= BETTER * before or (bool(more) and after >= before / BETTER))


def _residual_px(probe: Probe) -> float:
    return max(LARGEST_RESIDUAL_PX, LARGEST_RESIDUAL_RADII * probe.radius_px)


def _rows(lattice: Lattice) -> Float64:
    return np.array([lattice.centre, lattice.g1, lattice.g2], np.float64)


def _rounded(lattice: Lattice | None) -> Lattice | None:
    if lattice is None:
        return None
    centre = _to_steps(lattice.centre, CENTRE_STEP_PX)
    return Lattice(centre, _to_steps(lattice.g1, VECTOR_STEP_PX), _to_steps(lattice.g2, VECTOR_STEP_PX))


def _to_steps(vector: Point, step: float) -> Point:
    return round(vector[0] / step) * step, round(vector[1] / step) * step
