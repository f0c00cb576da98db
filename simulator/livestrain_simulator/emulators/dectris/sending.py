"""The messages of one series in the order in which they leave, with what goes wrong on purpose."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any, Literal, TypeAlias

from livestrain_simulator.emulators.dectris import legacy, stream2
from livestrain_simulator.emulators.dectris.series import FrameSource, Series

Form: TypeAlias = Literal["legacy", "cbor"]
FaultPlan: TypeAlias = Callable[[int], Sequence[str]]
"""What happens to an image, by its number; to the start of the series, `HEADER`; to its end, the number of images."""

HEADER = -1
WRONG_SERIES = 1_000_000
"""Added to the number of a series, it belongs to nobody."""
_FORMS: dict[Form, ModuleType] = {"legacy": legacy, "cbor": stream2}


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What to do next."""

    number: int
    """Of the image, or `HEADER`, or the number of images for the end."""
    actions: tuple[str, ...]
    """What is done to it: drop, duplicate, reorder, corrupt, truncate, foreign, stall, abort, rearm."""
    messages: tuple[list[bytes], ...]
    """To be sent, each of one part or of several."""


def no_faults(number: int) -> tuple[str, ...]:
    """Nothing goes wrong."""
    del number
    return ()


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

    def outgoing(self, finished: Callable[[], bool]) -> Iterator[Outgoing]:
        """All in order, until `finished`: then the end. What is reordered goes with what follows it."""
        held: list[list[bytes]] = []
        for number in range(HEADER, self.series.frames + 1):
            if 0 <= number < self.series.frames and finished():
                continue
            actions = tuple(self.plan(number))
            messages = [] if "drop" in actions else self._messages(number, actions)
            if "reorder" in actions:
                held += messages
                messages = []
            elif messages:
                messages, held = [*messages, *held], []
            yield Outgoing(number, actions, tuple(messages))
        if held:
            yield Outgoing(self.series.frames, (), tuple(held))

    def _messages(self, number: int, actions: tuple[str, ...]) -> list[list[bytes]]:
        message = self._message(self.series, number)
        split = self.split_header and number == HEADER and self.form == "legacy"
        messages = [[part] for part in message] if split else [message]
        if "foreign" in actions:
            # an image of a series that nobody began, beside the right one
            other = replace(self.series, number=self.series.number + WRONG_SERIES, unique_id="nobody-knows-it")
            messages.append(self._message(other, number))
        if "corrupt" in actions:
            messages = [[b"\xff" * 16 + parts[0][16:], *parts[1:]] for parts in messages]
        if "truncate" in actions:
            messages = [_truncated(parts) for parts in messages]
        return messages * 2 if "duplicate" in actions else messages

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


def _truncated(parts: list[bytes]) -> list[bytes]:
    """Half of the largest part."""
    longest = max(range(len(parts)), key=lambda at: len(parts[at]))
    return [part[: len(part) // 2] if at == longest else part for at, part in enumerate(parts)]
