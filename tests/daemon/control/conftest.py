from collections.abc import Iterator

import pytest

from daemon.control.window import Window, after_a_scan
from daemon.desk import Desk


@pytest.fixture
def window(desk: Desk) -> Iterator[Window]:
    """Before the first scan."""
    one = Window(desk)
    yield one
    one.close()


@pytest.fixture
def analysed(window: Window) -> Window:
    """After a scan."""
    return after_a_scan(window)


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    """The same for tests that leave it as it is."""
    with Desk(tmp_path_factory.mktemp("desk")) as desk:
        one = Window(desk)
        yield after_a_scan(one)
        one.close()
