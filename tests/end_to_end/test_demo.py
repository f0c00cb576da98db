import json
import subprocess
from pathlib import Path

import h5py

from livestrain_client.rig.processes import livestrain


def test_the_demonstration_measures_what_it_simulates(tmp_path: Path) -> None:
    outcome_file = tmp_path / "outcome.json"
    arguments = ("--headless", "--json", str(outcome_file), "--output", str(tmp_path / "out"), "--rate", "max")
    done = subprocess.run(
        livestrain("demo", *arguments, "--scan", "32x24"), capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    outcome = json.loads(outcome_file.read_text())
    assert (outcome["positions"], outcome["analysed"]) == (32 * 24, 32 * 24)
    assert (outcome["failed"], outcome["missing"], outcome["dropped"]) == (0, 0, 0)
    # three times what was seen at this dose
    assert all(value < 1.5e-3 for value in outcome["strain_rms"].values())
    assert outcome["theta_rms_mrad"] < 1.0
    with h5py.File(outcome["file"]) as results:
        assert results["maps/g1"].shape == (32, 24, 2)
    (picture,) = (tmp_path / "out").rglob("strain.png")
    assert picture.read_bytes()[:4] == b"\x89PNG"
