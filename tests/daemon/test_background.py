from pathlib import Path
from threading import current_thread

from helpers.waiting import wait_until
from livestrain_daemon.background import Background


def test_work_is_done_in_its_own_thread_and_told_in_order_when_it_is_asked_for() -> None:
    background = Background("beside")
    told: list[object] = []
    for number in range(3):
        background.submit(lambda number=number: (number, current_thread().name), told.append)  # type: ignore[misc]
    assert (told, background.waiting) == ([], 3)

    def all_told() -> bool:
        background.turn()
        return background.waiting == 0

    wait_until(all_told, what="the outcomes")
    assert told == [(0, "beside"), (1, "beside"), (2, "beside")]
    background.close()


def test_a_failure_is_told_and_the_thread_goes_on(tmp_path: Path) -> None:
    background = Background("beside")
    told: list[object] = []
    background.submit((tmp_path / "nothing").read_text, told.append)
    background.submit(lambda: 1 // 0, told.append)
    background.submit(lambda: "done", told.append)
    # what has been submitted is done before the end
    background.close(20)
    background.turn()
    assert [type(outcome) for outcome in told] == [FileNotFoundError, ZeroDivisionError, str]
