"""A thread for what takes too long for the main loop, which takes the outcomes when it turns."""

from collections import deque
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


class Background:
    """
    Does one piece of work after the other.

    Parameters
    ----------
    name
        Of the thread.
    """

    def __init__(self, name: str) -> None:
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._outcomes: deque[Callable[[], None]] = deque()
        self.waiting = 0
        """Pieces of work whose outcome has not been taken."""
        # the process does not wait for it: whatever it does may be left half done
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[], T], done: Callable[[T | Exception], None]) -> None:
        """
        Have work done.

        Parameters
        ----------
        work
            Done in the thread.
        done
            Called by `turn` with what it gives, or raises.
        """

        def do() -> None:
            try:
                outcome: T | Exception = work()
            except Exception as error:  # whoever wanted the work knows what its failure means
                outcome = error
            self._outcomes.append(partial(done, outcome))

        self.waiting += 1
        self._work.put(do)

    def turn(self) -> None:
        """Take the outcomes that are there."""
        while self._outcomes:
            self.waiting -= 1
            self._outcomes.popleft()()

    def close(self, seconds: float = 5.0) -> None:
        """Wait so long at most for what has been submitted [s]."""
        self._work.put(None)
        self._thread.join(seconds)

    def _run(self) -> None:
        while (do := self._work.get()) is not None:
            do()
