"""The order of the tests, and what their processes inherit."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

LONGEST = ("end_to_end", "docs", "bench")
"""Folders whose modules take longest. They come first, so that no process is left alone with one of them at the end."""

_HERE = Path(__file__).parent

# a shell ignores interrupts in what it starts in the background, and so would all that is started here
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def logs_as_at_the_start() -> Iterator[None]:
    """A command that is run in this process sets up logs for a process of its own."""
    yield
    structlog.reset_defaults()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _place(item.path.relative_to(_HERE).parts[0]))


def _place(folder: str) -> int:
    return LONGEST.index(folder) if folder in LONGEST else len(LONGEST)
