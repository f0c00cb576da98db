"""What is sent of one scan, in order, with what goes wrong on purpose."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from livestrain_simulator.emulators.asi.forms import POSSIBLE, Frame, Kind, image
from livestrain_simulator.emulators.asi.tpx3 import chunk
from livestrain_simulator.emulators.faults import UNSENT, Action, FaultPlan, SecondCopy

FrameSource: TypeAlias = Callable[[int], Frame | None]
"""The frame of a number, counted from 0 in each scan; None if there is none any more."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that leave together."""

    data: bytes
    numbers: tuple[int, ...]
    """Frames that they are."""
    actions: tuple[Action, ...]
    """What has been done to them."""


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next."""

    number: int
    """Of the frame that it is about."""
    actions: tuple[Action, ...]
    pieces: tuple[Piece, ...]


class Script:
    """
    The steps of a scan.

    Parameters
    ----------
    kind
        How frames are sent.
    source
        Them.
    plan
        What goes wrong.
    measurement
        What the scan is called.
    chunk_frames
        So many frames go into one chunk; one to which something happens has a chunk of its own.
    second_copy
        Changes the pixels of the second copy of a frame.
    """

    def __init__(
        self,
        kind: Kind,
        source: FrameSource,
        plan: FaultPlan,
        measurement: str,
        chunk_frames: int,
        second_copy: SecondCopy | None = None,
    ) -> None:
        self._kind = kind
        self._source = source
        self._plan = plan
        self._measurement = measurement
        self._second_copy = second_copy
        self._chunk_frames = chunk_frames if kind.form == "tpx3" else 1
        self._run: list[Frame] = []
        self._held: list[Piece] = []
        self.clipped = 0
        """Pixels that held more than the detector can count."""

    def steps(self, frames: int) -> Iterator[Step]:
        """What to do for so many frames; without end if that is 0."""
        number = 0
        while number < frames or not frames:
            actions = tuple(action for action in self._plan(number) if action in POSSIBLE[self._kind.form])
            frame = self._source(number)
            if frame is None:
                break
            counts, clipped = self._kind.counted(frame)
            self.clipped += clipped
            if actions:
                if self._run:
                    yield Step(number, (), self._released(number))
                yield Step(number, actions, self._faulty(number, counts, actions))
            else:
                self._run.append(counts)
                full = len(self._run) == self._chunk_frames
                yield Step(number, (), self._released(number + 1) if full else ())
            number += 1
        yield Step(number, (), (*self._released(number), *self._let_go()))

    def _released(self, before: int) -> tuple[Piece, ...]:
        """The healthy frames before a number, and what was held back for them to come first."""
        run, self._run = self._run, []
        if not run:
            return ()
        piece = Piece(self._data(before - len(run), run, ()), tuple(range(before - len(run), before)), ())
        return piece, *self._let_go()

    def _faulty(self, number: int, frame: Frame, actions: tuple[Action, ...]) -> tuple[Piece, ...]:
        if UNSENT.intersection(actions):
            return ()
        piece = Piece(self._data(number, [frame], actions), (number,), actions)
        pieces = [piece]
        if "duplicate" in actions:
            again = frame if self._second_copy is None else self._second_copy(frame)
            pieces.append(Piece(self._data(number, [again], actions), (number,), actions))
        if "reorder" in actions:
            self._held += pieces
            return ()
        return *pieces, *self._let_go()

    def _let_go(self) -> tuple[Piece, ...]:
        held, self._held = tuple(self._held), []
        return held

    def _data(self, first: int, frames: list[Frame], actions: tuple[Action, ...]) -> bytes:
        if self._kind.form == "tpx3":
            return chunk(self._kind, frames, actions)
        return image(self._kind, first, frames[0], self._measurement, actions)
