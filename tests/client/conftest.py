from collections.abc import Iterator

import pytest

from helpers.wire_daemon import WireDaemon


@pytest.fixture
def daemon() -> Iterator[WireDaemon]:
    """A daemon whose snapshots come in several chunks."""
    with WireDaemon(largest_chunk=50) as daemon:
        yield daemon
