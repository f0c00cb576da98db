"""Faults of a campaign: each alone, then mixtures by chance."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from livestrain_simulator.emulators.faults import EXCLUSIVE, KINDS, Action, Among, FaultPlan, Faults, Kind

Fault: TypeAlias = Kind | Literal["abort_at", "rearm", "short_by", "late_header", "bad_length", "disconnect"]
"""All that can be asked for by flag, and what only a plan can say."""
ENDS: tuple[Fault, ...] = ("abort_at", "rearm", "short_by")
BY_CONNECTION: tuple[Fault, ...] = ("bad_length", "disconnect")
"""What can happen to a stream of bytes."""
RUNS_ALONE = 3
"""How often each fault is made without any other."""


@dataclass(frozen=True)
class Case:
    """What goes wrong in one scan."""

    faults: Faults = field(default_factory=Faults)
    besides: Mapping[int, Action] = field(default_factory=dict)
    """What no flag asks for, by frame."""

    def plan(self, frames: int) -> FaultPlan:
        """What happens to each frame of a scan."""
        plan = self.faults.plan(0, frames)
        if not self.besides:
            return plan
        return lambda number: _with(tuple(plan(number)), self.besides.get(number))


def alone(seed: int, frames: int, fault: Fault, run: int) -> Case:
    """One fault and no other: in some frames, in the first one and another one, in the last."""
    random = np.random.default_rng((seed, run, 78))
    somewhere = int(random.integers(1, frames - 1))
    number, few = (somewhere, 1, frames - 1)[run], (int(random.integers(2, 6)), 1, 3)[run]
    match fault:
        case "abort_at":
            return Case(Faults(abort_at=number))
        case "rearm":
            return Case(Faults(rearm=number))
        case "short_by":
            return Case(Faults(short_by=few))
        case "late_header":
            return Case(Faults(late_header=few))
        case "bad_length" | "disconnect":
            return Case(besides={number: fault})
    numbers = (range(1), range(somewhere, somewhere + 1)) if run == 1 else (range(frames - 1, frames),)
    return Case(Faults({fault: Among(0.25) if run == 0 else Among(numbers=numbers)}, seed=seed))


def mixture(seed: int, frames: int, possible: Iterable[Fault], whole_scans: tuple[Kind, ...] = EXCLUSIVE) -> Case:
    """Faults by chance, of those that a detector can make."""
    random = np.random.default_rng((seed, 77))
    rates = {kind: float(random.uniform(0.0, 0.19)) * bool(random.random() < 0.5) for kind in KINDS}
    rates["stall"] *= 0.1
    if random.random() < 0.1:
        # whole scans may be lost, too
        rates |= dict.fromkeys(EXCLUSIVE, 0.0) | {whole_scans[random.integers(len(whole_scans))]: 1.0}
    end = random.random()
    ends: dict[str, int] = {}
    if end < 0.15:
        ends["abort_at"] = int(random.integers(frames))
    elif end < 0.35:
        ends["rearm"] = int(random.integers(frames))
    elif end < 0.5:
        ends["short_by"] = int(random.integers(1, 6))
    if random.random() < 0.2:
        ends["late_header"] = int(random.integers(1, 8))
    if random.random() < 0.03:
        ends["late_header"] = frames
    besides: dict[int, Action] = {}
    if random.random() < 0.1:
        besides |= {int(number): "bad_length" for number in random.integers(1, frames, 2)}
    if random.random() < 0.05:
        besides[int(random.integers(1, frames))] = "disconnect"
    allowed = set(possible)
    among = {kind: Among(rate) for kind, rate in rates.items() if kind in allowed and rate}
    faults = Faults(among, seed=seed, **{name: value for name, value in ends.items() if name in allowed})
    return Case(faults, {number: action for number, action in besides.items() if action in allowed})


def _with(actions: tuple[Action, ...], besides: Action | None) -> tuple[Action, ...]:
    """A frame is damaged in one way at most, and what is not sent has no connection to lose."""
    if besides is None or {"abort", "rearm"}.intersection(actions):
        return actions
    if besides == "bad_length":
        return actions if set(EXCLUSIVE).intersection(actions) or "short" in actions else (*actions, besides)
    return (*actions, besides)
