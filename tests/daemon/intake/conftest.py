from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.frames_out import FramesOut
from helpers.intake_process import IntakeProcess


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IntakeProcess]:
    """One intake for many tests; each uses scan ids of its own and ends its scans."""
    with IntakeProcess(tmp_path_factory.mktemp("intake")) as process:
        yield process


@pytest.fixture
def out(shared: IntakeProcess) -> Iterator[FramesOut]:
    with FramesOut(shared.endpoint) as sender:
        yield sender


@pytest.fixture
def intake(tmp_path: Path) -> Iterator[IntakeProcess]:
    with IntakeProcess(tmp_path) as process:
        yield process
