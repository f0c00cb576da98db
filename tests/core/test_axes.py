import numpy as np
import pytest
from numpy.typing import NDArray

from livestrain_core.axes import g1_axes
from livestrain_core.errors import SingularLattice

Float64 = NDArray[np.float64]
REFERENCE = np.array([[21.0, 4.0], [-4.0, 21.5]])


def test_the_axes_along_g1_take_g1_to_axis_0() -> None:
    np.testing.assert_allclose(g1_axes(REFERENCE) @ REFERENCE[0], [np.hypot(*REFERENCE[0]), 0.0], atol=1e-12)
    bent = np.array([[1.05, 0.02], [0.02, 0.97]])
    true = np.array([[20.0, 3.0], [-3.0, 20.0]])
    np.testing.assert_allclose(g1_axes(true @ bent.T, bent), g1_axes(true), atol=1e-12)


@pytest.mark.parametrize("reference", [np.zeros((2, 2)), np.ones((2, 2)), np.full((2, 2), np.nan)])
def test_a_reference_without_a_direction_has_no_axes(reference: Float64) -> None:
    with pytest.raises(SingularLattice):
        g1_axes(reference)
