from dataclasses import dataclass, fields, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from livestrain_core.corrections import in_electrons
from livestrain_core.disks import track
from livestrain_core.indexing import LOUDEST, deformation, deformations, explained
from livestrain_core.lattice import Lattice, LatticeFit, fit_lattice, refuse_singular, shortest
from livestrain_core.probe import Probe
from livestrain_core.reason import Reason
from livestrain_core.recover import LARGEST_ROTATION, LARGEST_STRAIN, Recovered, recover, tolerance_px
from livestrain_core.target import Target
from livestrain_core.types import Disks, Float64, Frames, Point, Usable

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


def find_lattices(frames: Frames, usable: Usable | None, target: Target) -> Sought:
    """
    Disks and lattice of each frame, also where tracking gets lost.

    Parameters
    ----------
    frames : (n, rows, columns)
        Patterns [counts].
    usable : (rows, columns), optional
        False where a pixel must not be looked at.
    target
        Which disks, and how they are measured.

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
    refuse_singular(target.lattice)
    frames = np.ascontiguousarray(frames)
    plan = replace(target, spacing_px=shortest(np.array([target.lattice.g1, target.lattice.g2])))
    first = _tracked(frames, usable, plan)
    tracking = np.where(first.fit.reason == Reason.FITTED, Tracking.TRACKED, Tracking.NOT_FOUND).astype(np.uint8)
    doubt = np.flatnonzero(doubtful(first.disks, first.fit, plan.lattice, plan.probe))
    if len(doubt):
        electrons = in_electrons(frames[doubt], plan.contrast, plan.saturation)
        recovered = recover(electrons, usable, plan.probe, plan.lattice)
        for j, i in enumerate(doubt.tolist()):
            judge = _Judge(recovered, j, plan)
            tracking[i] = _reconsidered(frames[i : i + 1], usable, plan, first.one(i), judge)
    return Sought(first.disks, first.fit, tracking)


def _tracked(frames: Frames, usable: Usable | None, target: Target) -> "_Tracked":
    disks = track(frames, usable, target)
    return _Tracked(disks, fit_lattice(disks, target.indices))


def _reconsidered(frame: Frames, usable: Usable | None, plan: Target, first: "_Tracked", judge: "_Judge") -> Tracking:
    """Put the lattice through the detected disks in place of that of a doubtful frame, if it is the better one."""
    before = judge.agreement(first.fit)
    certain = before >= CERTAIN and first.fit.disks_used[0] >= CERTAIN * judge.detected
    start = None if certain else _rounded(judge.lattice)
    if start is not None:
        again = _tracked(frame, usable, replace(plan, lattice=start, search_px=SEARCH_PX))
        if _better(judge.agreement(again.fit), again.fit, before, first.fit.disks_used[0]):
            first.become(again)
            return Tracking.FOUND_AGAIN
    if before == 0.0 and first.fit.reason[0] == Reason.FITTED:
        first.forget()
    return Tracking.TRACKED if first.fit.reason[0] == Reason.FITTED else Tracking.NOT_FOUND


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

    def one(self, i: int) -> "_Tracked":
        """Frame i alone, as a view."""
        disks, fit = (
            {f.name: getattr(part, f.name)[i : i + 1] for f in fields(part)} for part in (self.disks, self.fit)
        )
        return _Tracked(Disks(**disks), LatticeFit(**fit))

    def become(self, other: "_Tracked") -> None:
        """Take over what was found another time."""
        for target, source in ((self.disks, other.disks), (self.fit, other.fit)):
            for field in fields(target):
                getattr(target, field.name)[...] = getattr(source, field.name)

    def forget(self) -> None:
        """Be without a lattice: the disks found were not those of one."""
        for field in fields(self.fit):
            values = getattr(self.fit, field.name)
            values[...] = np.nan if values.dtype.kind == "f" else 0
        self.fit.reason[...] = Reason.LOST


class _Judge:
    """
    The disks detected in a doubtful frame, against which its lattices are held.

    Parameters
    ----------
    recovered
        What was detected in some frames, and the lattices through it.
    j
        Which of them it is.
    plan
        Which disks were meant.
    """

    def __init__(self, recovered: Recovered, j: int, plan: Target) -> None:
        self.detected = int(recovered.disks.count[j])
        self.lattice = recovered.lattice(j)
        self._place = recovered.disks.position[j, : self.detected].astype(np.float64)
        self._weight = np.minimum(recovered.disks.score[j, : self.detected].astype(np.float64), LOUDEST)
        self._near = _rows(plan.lattice)
        self._tolerance_px = tolerance_px(plan.probe, plan.lattice)
        # distance of its disks from a lattice that is to be believed, at most
        self._residual_px = 1.5 * _residual_px(plan.probe)

    def agreement(self, fit: LatticeFit) -> float:
        """Part of the detected disks that the lattice of a frame explains; zero where it is not to be believed."""
        if fit.reason[0] != Reason.FITTED or not fit.residual_px[0] <= self._residual_px:
            return 0.0
        centre, g1, g2 = (np.asarray(v[0], np.float64) for v in (fit.centre, fit.g1, fit.g2))
        turn, strain = deformation(g1, g2, self._near)
        if not (strain <= LARGEST_STRAIN and abs(turn) <= LARGEST_ROTATION):
            return 0.0
        on, part = (
            explained(self._place, weight, centre, g1, g2, self._tolerance_px)
            for weight in (np.ones(self.detected), self._weight)
        )
        part /= max(float(self._weight.sum()), 1e-12)
        # at low doses tracking finds disks that are too faint to be detected
        faint = self.detected <= FEWEST_EXPLAINED and fit.disks_used[0] >= FEWEST_USED
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
