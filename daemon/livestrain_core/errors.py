class NoProbe(ValueError):
    """An image holds no bright disk that could be measured."""


class SingularLattice(ValueError):
    """Two vectors that should span a lattice are zero, parallel or not finite."""


class NoReference(ValueError):
    """No position carries a finite lattice from which a reference could be taken."""
