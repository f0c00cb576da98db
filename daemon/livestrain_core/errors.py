class NoProbe(ValueError):
    """An image holds no bright disk that could be measured."""


class NoVacuumProbe(NoProbe):
    """The image that was given as the vacuum probe shows no disk."""


class SingularLattice(ValueError):
    """Two vectors that should span a lattice are zero, parallel or not finite."""


class NoReference(ValueError):
    """No position carries a finite lattice from which a reference could be taken."""


class NoDescan(ValueError):
    """The centres of a scan lie on no plane that could be found."""


class EllipseUnknown(ValueError):
    """What was measured cannot tell the detector's elliptic distortion."""
