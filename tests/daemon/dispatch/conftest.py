from collections.abc import Iterator

import pytest

from daemon.dispatch.puppet import Puppet


@pytest.fixture
def puppet() -> Iterator[Puppet]:
    one = Puppet()
    yield one
    one.close()
