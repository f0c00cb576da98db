"""`bench disks`: strain of cases with known truth, ours and a peer's."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial

import numpy as np

from livestrain_bench import ours
from livestrain_bench.case import Case, LatticeTruth
from livestrain_bench.ours import EstimatorName
from livestrain_bench.scoring import Score, score
from livestrain_bench.timing import interleaved, speedup
from livestrain_core.errors import NoProbe
from livestrain_core.types import Template

PEER = "libertem"


@dataclass(frozen=True)
class PeerResult:
    """What a peer reached on the same frames in the same run."""

    score: Score
    fps: float
    speedup: float
    """How many times as fast ours was [1]."""
    error_ratio: float
    """Our error of e00 and e11 over the peer's [1]."""


@dataclass(frozen=True)
class Result:
    """What came out for one case."""

    case: str
    estimator: EstimatorName
    score: Score
    fps: float
    """Frames per second on one thread; NaN if there was no lattice."""
    template: Template = "disk"
    reason: str = ""
    """Why there was no lattice."""
    peer: dict[str, PeerResult] = field(default_factory=dict)
    """By the name of the method."""

    def facts(self) -> dict[str, object]:
        """Everything, as plain values."""
        out: dict[str, object] = {"case": self.case, "estimator": self.estimator, "template": self.template}
        out |= asdict(self.score) | {"fps": self.fps, "reason": self.reason}
        out["peer"] = {
            name: asdict(result.score)
            | {"fps": result.fps, "speedup": result.speedup, "error_ratio": result.error_ratio}
            for name, result in self.peer.items()
        }
        return out


def bench(
    case: Case,
    lattice: LatticeTruth,
    estimator: EstimatorName,
    peer: bool,
    rounds: int,
    template: Template = "disk",
) -> Result:
    """
    Measure a case.

    Parameters
    ----------
    case
        What is given, and the truth.
    lattice
        The truth about its lattice.
    estimator
        Which of ours.
    peer
        Whether LiberTEM does it too, in turn with ours.
    rounds
        How often everything is timed; the best time counts.
    template
        What our disks are compared with; peers have methods of their own.

    Returns
    -------
    Result
        Errors and speed.
    """
    frames = case.given.frames
    tasks: dict[str, Callable[[], object]] = {}
    prepared, reason = _prepared(case, estimator, template)
    if prepared is not None:
        measured = ours.run(frames, prepared)
        own = score(measured.g, measured.covariance, lattice)
        tasks["ours"] = partial(ours.run, frames, prepared)
    else:
        own = score(np.full((len(frames), 2, 2), np.nan), None, lattice)
    scores = _peer_tasks(case, lattice, tasks) if peer else {}
    times = interleaved(tasks, rounds)
    peers = {}
    for name, theirs in scores.items():
        ratio = speedup(times["ours"], times[name]) if "ours" in times else float("nan")
        error_ratio = own.rms_normal_1e4 / theirs.rms_normal_1e4 if theirs.rms_normal_1e4 else float("nan")
        peers[name] = PeerResult(theirs, len(frames) / min(times[name]), ratio, error_ratio)
    fps = len(frames) / min(times["ours"]) if "ours" in times else float("nan")
    return Result(case.name, estimator, own, fps, template, reason, peers)


def _prepared(case: Case, estimator: EstimatorName, template: Template) -> tuple[ours.Prepared | None, str]:
    try:
        prepared = ours.prepare(case.given, estimator, template)
    except NoProbe as error:
        return None, str(error)
    return (None, prepared) if isinstance(prepared, str) else (prepared, "")


def _peer_tasks(case: Case, lattice: LatticeTruth, tasks: dict[str, Callable[[], object]]) -> dict[str, Score]:
    """Score LiberTEM's methods, and add them to what is timed."""
    from livestrain_bench import libertem  # noqa: PLC0415 - an optional library

    frames = case.given.frames
    prepared = libertem.prepare(case, lattice)
    scores = {}
    for match in libertem.MATCHES:
        name = f"{PEER}_fast_{match}"
        scores[name] = score(libertem.run(frames, prepared, match), None, lattice)
        tasks[name] = partial(libertem.run, frames, prepared, match)
    return scores
