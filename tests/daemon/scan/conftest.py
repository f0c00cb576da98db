import pytest

from daemon.desk import EVERYTHING, Desk


@pytest.fixture
def analysed(desk: Desk) -> Desk:
    """A desk with a scan of every frame, analysed to the end, heard by nobody."""
    desk.planned()
    desk.store(*EVERYTHING)
    desk.end()
    desk.finish()
    desk.heard()
    return desk
