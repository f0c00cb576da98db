"""The messages of one series in the order in which they leave, with what goes wrong on purpose."""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any, Literal, TypeAlias

from livestrain_simulator.emulators.dectris import legacy, stream2
from livestrain_simulator.emulators.dectris.series import FrameSource, Series
from livestrain_simulator.emulators.faults import (
    HEADER,
    STALE_FRAMES,
    UNSENT,
    Action,
    FaultPlan,
    SecondCopy,
    is_whole,
    no_faults,
)

Form: TypeAlias = Literal["legacy", "cbor"]
Message: TypeAlias = list[bytes]
"""Its parts."""

WRONG_SERIES = 1_000_000
"""Added to the number of a series, it belongs to nobody."""
IMAGE_PARTS, PIXELS_AT = 4, 2
"""Parts of an image of stream v1, and the one with the pixels."""
_FORMS: dict[Form, ModuleType] = {"legacy": legacy, "cbor": stream2}


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What to do next."""

    number: int
    """Of the image, or `HEADER`, or the number of images for the end."""
    actions: tuple[Action, ...]
    """What is done to it."""
    messages: tuple[Message, ...]
    """To be sent, each of one part or of several."""
    starts: bool = False
    """The start of the series is among them."""
    whole: tuple[tuple[int, int], ...] = ()
    """Images that they bring undamaged and before the end of the series: number, and how often."""
    behind: int = 0
    """Undamaged ones behind the end."""


@dataclass
class _Held:
    """What leaves later than it should."""

    start: list[Message] = field(default_factory=list)
    reordered: list[Message] = field(default_factory=list)
    whole: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Script:
    """What is sent of one series."""

    series: Series
    source: FrameSource
    form: Form
    """Which stream."""
    plan: FaultPlan = no_faults
    split_header: bool = False
    """Send each part of the header of stream v1 as a message of its own."""
    period: int = 0
    """After so many images the source begins again, and what is packed is kept; 0 if it never does."""
    kept: dict[Hashable, Any] = field(default_factory=dict)
    """Packed images; may be handed from one series to the next."""
    second_copy: SecondCopy | None = None
    """Changes the pixels of the second copy of an image."""

    def outgoing(self, finished: Callable[[], bool]) -> Iterator[Outgoing]:
        """All in order, until `finished`: then the end. What is reordered goes with what follows it."""
        held = _Held()
        for number in range(HEADER, self.series.frames + 1):
            is_image = 0 <= number < self.series.frames
            if is_image and finished():
                continue
            actions = tuple(self.plan(number))
            messages = [] if UNSENT.intersection(actions) else self._messages(number, actions)
            if number == HEADER and "late_header" in self.plan(0):
                held.start, messages = messages, []
            start: list[Message] = []
            if is_image and "late_header" not in actions:
                start, held.start = held.start, []
            whole = [(number, 1 + ("duplicate" in actions))] if is_image and messages and is_whole(actions) else []
            behind = 0
            starts = bool(start) or (number == HEADER and bool(messages) and "reorder" not in actions)
            if "reorder" in actions:
                held.reordered += messages
                held.whole += whole
                messages, whole = [], []
            elif messages:
                messages, held.reordered = [*messages, *held.reordered], []
                # behind the end they belong to no series any more
                if number < self.series.frames:
                    whole += held.whole
                else:
                    behind = sum(times for _, times in held.whole)
                held.whole = []
            yield Outgoing(number, actions, (*start, *messages), starts, tuple(whole), behind)
        if held.reordered:
            yield Outgoing(self.series.frames, (), tuple(held.reordered), whole=tuple(held.whole))

    def stale(self, first: int) -> list[Message]:
        """A few images from one on, to be sent when the series is over."""
        beyond = min(first + STALE_FRAMES, self.series.frames)
        return [self._message(self.series, number) for number in range(first, beyond)]

    def _messages(self, number: int, actions: tuple[Action, ...]) -> list[Message]:
        message = self._message(self.series, number)
        split = self.split_header and number == HEADER and self.form == "legacy"
        messages = [[part] for part in message] if split else [message]
        if "corrupt" in actions:
            messages = [[b"\xff" * 16 + parts[0][16:], *parts[1:]] for parts in messages]
        if "truncate" in actions:
            messages = [_truncated(parts) for parts in messages]
        if "duplicate" in actions:
            second = self.second_copy if 0 <= number < self.series.frames else None
            messages = [*messages, *(messages if second is None else [self._again(number, second)])]
        if "second_series" in actions:
            # an image of a series that nobody began, beside the right one
            other = replace(self.series, number=self.series.number + WRONG_SERIES, unique_id="nobody-knows-it")
            messages.append(self._message(other, number))
        return messages

    def _again(self, number: int, second_copy: SecondCopy) -> Message:
        """The second copy of an image."""
        made = _FORMS[self.form]
        images = {channel: second_copy(image) for channel, image in self.source(number).items()}
        message: Message = made.image_message(self.series, number, made.packed(self.series, images))
        return message

    def _message(self, series: Series, number: int) -> list[bytes]:
        made = _FORMS[self.form]
        if number == HEADER:
            message: list[bytes] = made.start_message(series)
        elif number == series.frames:
            message = made.end_message(series)
        else:
            message = made.image_message(series, number, self._packed(number))
        return message

    def _packed(self, number: int) -> object:
        made = _FORMS[self.form]
        if not self.period:
            return made.packed(self.series, self.source(number))
        key = (self.form, self.series.compression, number % self.period)
        if key not in self.kept:
            self.kept[key] = made.packed(self.series, self.source(number))
        return self.kept[key]


def _truncated(parts: Message) -> Message:
    """Half of the pixels, or of the largest part of what is no image of stream v1."""
    cut = PIXELS_AT if len(parts) == IMAGE_PARTS else max(range(len(parts)), key=lambda at: len(parts[at]))
    return [part[: len(part) // 2] if at == cut else part for at, part in enumerate(parts)]
