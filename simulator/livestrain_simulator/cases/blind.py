"""A set of cases drawn from a seed: other lattices, doses, contrast, strain and faults each time."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from livestrain_simulator.cases.case import Case, ContrastName, LatticeName

BETWEEN = {"square": 90.0, "hexagonal": 60.0}
INFINITE = float("inf")


def blind_set(seed: int) -> list[Case]:
    """
    Cases that nobody has tuned anything to.

    Parameters
    ----------
    seed
        Draws spacings, radii, edges, angles, contrast and noise; the mix of kinds stays.

    Returns
    -------
    list of Case
        Names: lattice and number of disks, dose as a power of ten, nonuniformity in tenths, contrast, and what is
        special. Cases with a fault have the same seed and optics as `base`.
    """
    random = np.random.default_rng((seed, 1))
    draw = _Draw(random, seed)
    small, large = (128, 128), (256, 256)
    base = draw.case("base_d5_u5_mixed", "square", small, contrast="mixed")
    return [
        base,
        replace(base, name="base_d5_u5_mixed_hot", faults=("hot",)),
        replace(base, name="base_d5_u5_mixed_stop", faults=("stop",)),
        replace(base, name="base_d5_u5_mixed_gap", faults=("gap",)),
        replace(base, name="base_d4_u5_mixed", dose=1e4),
        replace(base, name="base_d6_u5_mixed", dose=1e6),
        replace(base, name="base_d5_u5_mixed_step", strain="step", largest=0.05),
        draw.case("sq_d5_u0", "square", small, nonuniformity=0.0),
        draw.case("sq_d5_u5_fringes", "square", small, contrast="fringes"),
        draw.case("sq_d5_u9_fringes", "square", small, contrast="fringes", nonuniformity=0.9),
        draw.case("hex_d5_u9_rocking", "hexagonal", small, contrast="rocking", nonuniformity=0.9),
        draw.case("obl_d5_u9_lines", "oblique", small, contrast="lines", nonuniformity=0.9),
        draw.case("sq_d6_u5_field", "square", small, contrast="field", dose=1e6),
        draw.case("hex_d4_u0", "hexagonal", small, dose=1e4, nonuniformity=0.0),
        draw.case("hex_d5_u5_wedge", "hexagonal", small, contrast="wedge", vacuum_noise=True),
        draw.case("hexlarge_d5_u0", "hexagonal", large, nonuniformity=0.0, disks=37),
        draw.case("hexlarge_d5_u5_rocking", "hexagonal", large, contrast="rocking", disks=37),
        draw.case("sqlarge_d5_u5_field", "square", large, contrast="field"),
        draw.case("obllarge_d5_u5_mixed", "oblique", large, contrast="mixed", sizes=_LARGE),
        draw.case("sqfine_d5_u5_lines", "square", small, contrast="lines", sizes=_SMALL, disks=25),
        draw.case("oblwide_d5_u5_fringes", "oblique", (128, 192), contrast="fringes"),
        draw.case("sq_d5_u5_wedge_turn", "square", small, contrast="wedge", strain="rotation", largest=0.1),
        draw.case("sq_inf_u0_e5", "square", small, dose=INFINITE, nonuniformity=0.0, largest=0.05),
        draw.case("hex_inf_u0_step", "hexagonal", small, dose=INFINITE, nonuniformity=0.0, strain="step", largest=0.05),
    ]


def detect_set(seed: int) -> list[Case]:
    """Cases for finding disks without a lattice: single crystals, polycrystals and a bullseye aperture."""
    draw = _Draw(np.random.default_rng((seed, 2)), seed + 1000)
    small, large = (128, 128), (256, 256)
    return [
        draw.case("single_d5_u5_mixed", "square", small, contrast="mixed"),
        draw.case("single_hex_d5_u0", "hexagonal", small, nonuniformity=0.0),
        draw.case("singlelarge_d5_u5_mixed", "square", large, contrast="mixed"),
        draw.case("poly2_d5_u5_mixed", "square", small, contrast="mixed", grains=2, disks=13, sizes=_FAR_APART),
        draw.case("poly3large_d5_u5_mixed", "hexagonal", large, contrast="mixed", grains=3, disks=19, sizes=_FAR_APART),
        draw.case(
            "bullseye_d5_u5_field", "square", large, contrast="field", aperture="bullseye", disks=13, sizes=_LARGE
        ),
    ]


class _Sizes(NamedTuple):
    """How large disks are, and how far apart."""

    fill: tuple[float, float]
    """Radius over spacing, from and to."""
    scale: float
    """Spacing, over that of the usual number of disks."""


_USUAL = _Sizes((0.2, 0.34), 1.0)
_LARGE = _Sizes((0.34, 0.42), 1.25)
_SMALL = _Sizes((0.2, 0.25), 0.65)
_FAR_APART = _Sizes((0.1, 0.14), 1.0)
"""With room for the disks of other grains between them."""


class _Draw:
    """Optics and lattices that disks of a frame can have."""

    def __init__(self, random: np.random.Generator, seed: int) -> None:
        self._random = random
        self._seed = seed
        self._count = 0

    def case(
        self,
        name: str,
        lattice: LatticeName,
        shape: tuple[int, int],
        contrast: ContrastName = "fringes",
        sizes: _Sizes = _USUAL,
        **more: object,
    ) -> Case:
        """The next case; `more` are fields of it that are not drawn."""
        random = self._random
        self._count += 1
        # as many disks as asked for shall fit, or nearly
        shells = 3.1 if more.get("disks") == 37 else 2.3
        spacing = sizes.scale * min(shape) / 2 / (shells + sizes.fill[1]) * random.uniform(0.88, 1.02)
        radius = spacing * random.uniform(*sizes.fill)
        oblique = lattice == "oblique"
        case = Case(
            name,
            shape,
            lattice,
            spacing_px=round(float(spacing), 2),
            angle_deg=round(float(random.uniform(0, 90)), 1),
            ratio=round(float(random.uniform(1.05, 1.3)), 3) if oblique else 1.0,
            between_deg=round(float(random.uniform(65, 85)), 1) if oblique else BETWEEN[lattice],
            radius_px=round(float(radius), 2),
            edge_px=round(float(random.uniform(0.5, 1.2)), 2),
            contrast=contrast,
            seed=100_000 * self._seed + self._count,
        )
        return replace(case, **more)  # type: ignore[arg-type]
