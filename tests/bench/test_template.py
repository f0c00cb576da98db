"""How well disks of patterned and of plain apertures are measured with an image as the template, and without."""

from dataclasses import replace

import numpy as np

from livestrain_bench import ours
from livestrain_bench.case import Given, LatticeTruth
from livestrain_bench.scoring import Score, score
from livestrain_core.types import Template
from livestrain_simulator.cases.bound import NAMES, bound
from livestrain_simulator.cases.case import Case
from livestrain_simulator.cases.render import Rendering

BULLSEYE = Case(
    "bullseye",
    (100, 100),
    spacing_px=26.0,
    radius_px=9.0,
    edge_px=0.8,
    disks=9,
    aperture="bullseye",
    contrast="field",
    scan_shape=(5, 6),
    vacuum_noise=True,
    seed=11,
)
ROUND = replace(BULLSEYE, aperture="round")


def scored(case: Case, *templates: Template) -> list[Score]:
    """Scores of the same frames with each template."""
    rendering = Rendering(case)
    given = Given(np.stack(list(rendering.frames())).astype(np.uint16), rendering.usable, rendering.vacuum_probe())
    limits = bound(rendering, 6, positions=2)
    truth = LatticeTruth(
        rendering.field.reshape(-1, 4),
        rendering.reference,
        rendering.hk,
        rendering.centres.reshape(-1, 2),
        np.array([limits[name] for name in NAMES[2:]]),
    )
    found = []
    for template in templates:
        prepared = ours.prepare(given, "precise", template)
        assert not isinstance(prepared, str)
        measured = ours.run(given.frames, prepared)
        found.append(score(measured.g, measured.covariance, truth))
    return found


def test_disks_of_a_bullseye_aperture_are_measured_near_the_bound_with_its_image_and_not_with_a_flat_disk() -> None:
    flat, image = scored(BULLSEYE, "disk", "image")
    assert image.failed == 0
    assert image.bound_ratio < 1.7
    assert 0.6 < image.z_rms < 1.4
    assert flat.rms_normal_1e4 > 1.5 * image.rms_normal_1e4


def test_the_image_of_a_plain_disk_is_about_as_good_a_template_as_a_flat_disk() -> None:
    flat, image = scored(ROUND, "disk", "image")
    assert image.rms_normal_1e4 < 1.1 * flat.rms_normal_1e4
    assert image.z_rms < 1.2 * flat.z_rms
