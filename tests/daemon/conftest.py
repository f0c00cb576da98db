from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Desk(tmp_path) as one:
        yield one
