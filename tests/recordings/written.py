"""Files that rosettasciio writes."""

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import pytest

WRITERS = {".blo": "blockfile", ".emd": "emd", ".hspy": "hspy", ".tvips": "tvips", ".zspy": "zspy"}
UNITS = ("nm", "nm", "1/nm", "1/nm")

needs_rosettasciio = pytest.mark.skipif(
    importlib.util.find_spec("rsciio") is None, reason="rosettasciio (the extra formats) is not installed"
)


def signal(data: Any) -> dict[str, Any]:
    """As rosettasciio's writers take one."""
    tem = {"beam_energy": 200.0, "convergence_angle": 1.5, "camera_length": 20.0}
    axes = [
        {
            "_type": "UniformDataAxis", "name": name, "units": units, "size": size, "scale": 0.5, "offset": 0.0,
            "navigate": index < data.ndim - 2, "is_binned": False, "index_in_array": index,
        }
        for index, (name, units, size) in enumerate(zip(("y", "x", "ky", "kx"), UNITS, data.shape, strict=False))
    ]  # fmt: skip
    return {
        "data": data,
        "axes": axes,
        "metadata": {
            "General": {"title": "made"},
            "Signal": {"signal_type": "electron_diffraction"},
            "Acquisition_instrument": {"TEM": tem},
        },
        "original_metadata": {},
        "attributes": {"_lazy": False, "ragged": False},
        "package_info": {"package": "none", "package_version": "0"},
        "learning_results": {},
        "tmp_parameters": {},
        "models": {},
    }


def write(path: Path, data: Any, **options: Any) -> Path:
    """Through the writer of rosettasciio; of some formats the name of the file gets a number."""
    module = pytest.importorskip(f"rsciio.{WRITERS[path.suffix]}", exc_type=ImportError)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            module.file_writer(str(path), signal(data), **options)
        except ModuleNotFoundError as error:
            pytest.skip(f"rosettasciio cannot write {path.suffix}: {error}")
    return next(iter(sorted(path.parent.glob(f"*{path.suffix}"))))
