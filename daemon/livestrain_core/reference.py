"""What strain is measured against, where the scan itself says it."""

import numpy as np

from livestrain_core.errors import NoReference
from livestrain_core.types import Float64, Vectors


def median_reference(g: Vectors) -> Float64:
    """
    Median lattice of the positions that have one.

    Parameters
    ----------
    g : (n, 2, 2)
        Lattice vectors [px], NaN where there is none.

    Returns
    -------
    (2, 2)
        Component-wise median of g1, g2 [px].

    Raises
    ------
    NoReference
        No position is finite.
    """
    good = np.isfinite(g).all(axis=(1, 2))
    if not good.any():
        raise NoReference(f"none of {len(g)} positions has a lattice")
    return np.asarray(np.median(g[good], axis=0), np.float64)
