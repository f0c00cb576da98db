from collections.abc import Iterator

import pytest

from helpers.rig import RenderedScan, Rig, running


@pytest.fixture(scope="session")
def scan() -> RenderedScan:
    return RenderedScan()


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A daemon for all tests of a module that leave it as they found it; each uses a scan id of its own."""
    with running(tmp_path_factory.mktemp("rig")) as shared:
        yield shared
