"""What a detector pixel is in mrad and in 1/nm, from what is known of the beam or of the specimen."""

from math import sqrt

PLANCK_J_S = 6.62607015e-34
ELECTRON_KG = 9.1093837015e-31
ELEMENTARY_CHARGE_C = 1.602176634e-19
LIGHT_M_S = 299792458.0


def electron_wavelength_nm(voltage_kv: float) -> float:
    """
    Relativistic wavelength of the beam's electrons.

    Parameters
    ----------
    voltage_kv
        Accelerating voltage [kV].

    Returns
    -------
    float
        lambda = h / sqrt(2 m e U (1 + e U / (2 m c^2))) [nm].
    """
    energy = ELEMENTARY_CHARGE_C * voltage_kv * 1e3
    momentum = sqrt(2 * ELECTRON_KG * energy * (1 + energy / (2 * ELECTRON_KG * LIGHT_M_S**2)))
    return PLANCK_J_S / momentum * 1e9


def mrad_per_pixel(semiangle_mrad: float, radius_px: float) -> float:
    """Pixel size from the convergence semi-angle, which is the radius of a disk [mrad/px]."""
    return semiangle_mrad / radius_px


def per_nm_per_pixel(spacing_nm: float, vector_px: float) -> float:
    """
    Pixel size from a known lattice spacing.

    Parameters
    ----------
    spacing_nm
        Distance d of the lattice planes that a lattice vector belongs to [nm].
    vector_px
        Its length |g|, elliptic distortion taken out [px].

    Returns
    -------
    float
        |g| = 1/d, without a factor 2 pi [1/nm per px].
    """
    return 1.0 / (spacing_nm * vector_px)


def mrad_from_per_nm(per_nm: float, voltage_kv: float) -> float:
    """Angle of a spatial frequency, lambda q [mrad]; the other way round, divide."""
    return 1e3 * electron_wavelength_nm(voltage_kv) * per_nm
