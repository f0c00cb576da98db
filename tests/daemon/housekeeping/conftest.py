from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from daemon.desk import Desk
from daemon.housekeeping.kept import Kept
from livestrain_daemon.retention import Limits


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Callable[..., Kept]]:
    with ExitStack() as stack:
        desk = stack.enter_context(Desk(tmp_path))

        def make(named: Collection[str] = (), **limits: int) -> Kept:
            one = Kept(desk, Limits(**limits), named)
            stack.enter_context(closing(one.keeper))
            return one

        yield make
