import numpy as np
import pytest

from livestrain_core.errors import NoReference
from livestrain_core.reference import median_reference

REFERENCE = np.array([[21.0, 4.0], [-4.0, 21.5]])


def test_the_median_reference_ignores_positions_without_lattice() -> None:
    g = np.stack([REFERENCE, np.full((2, 2), np.nan), REFERENCE + 1, REFERENCE - 1])
    np.testing.assert_allclose(median_reference(g), REFERENCE)


def test_a_median_of_nothing_is_refused() -> None:
    with pytest.raises(NoReference, match="none of 3"):
        median_reference(np.full((3, 2, 2), np.nan))
