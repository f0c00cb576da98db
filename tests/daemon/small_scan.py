"""A small scan of a specimen with known strain, stored in a real folder."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_daemon.messages import OpenRevisionTask
from livestrain_daemon.plan import CalibrationPlan, DetectorPlan, Plan, stages_for
from livestrain_daemon.scanfolder import FrameLayout, FrameWriter, ResultsFile, create_frames, open_results, provenance
from livestrain_daemon.worker.tasks import Tasks
from livestrain_simulator.lattice import Lattice
from livestrain_simulator.patterns import Camera, Renderer
from livestrain_simulator.specimen import gradient
from livestrain_wire.messages import ScanStart

SCAN = (18, 20)
"""360 positions: a whole block and a part of one."""
POSITIONS = SCAN[0] * SCAN[1]
CAMERA = Camera(shape=(64, 64), radius_px=4.0, dose=4e4, descan_px=(0.4, -0.3))
LATTICE = Lattice(spacing_px=14.0, reach=1.5)
SPECIMEN = gradient(SCAN, LATTICE, largest=0.01)

Frames = NDArray[Any]


@cache
def frames() -> Frames:
    """All frames, (positions, rows, columns)."""
    rendered = Renderer(SPECIMEN, CAMERA).frames(np.arange(POSITIONS))
    rendered.flags.writeable = False
    return rendered


def start(scan_id: str = "small", **more: Any) -> ScanStart:
    """The start of the scan."""
    fields = {"scan_id": scan_id, "scan_shape": SCAN, "frame_shape": CAMERA.shape, "dtype": "uint16", **more}
    return ScanStart.model_validate(fields)


def new_folder(folder: Path, **more: Any) -> FrameLayout:
    """A scan folder without frames."""
    folder.mkdir(parents=True)
    return create_frames(folder, start(folder.name, **more), provenance(), None)


def stored_scan(folder: Path, without: tuple[int, ...] = ()) -> FrameLayout:
    """A scan folder with all frames, or all but some."""
    layout = new_folder(folder)
    with FrameWriter(layout) as writer:
        for position in range(POSITIONS):
            if position not in without:
                writer.write(position, frames()[position])
    return layout


def known_calibration() -> CalibrationPlan:
    """What a calibration would find, were it perfect."""
    g1, g2 = LATTICE.vectors().tolist()
    return CalibrationPlan(
        centre=CAMERA.centre,
        radius_px=CAMERA.radius_px,
        edge_px=CAMERA.edge_px,
        g1=(g1[0], g1[1]),
        g2=(g2[0], g2[1]),
        hk=tuple((int(h), int(k)) for h, k in LATTICE.indices()),
        search_px=3.0,
    )


def known_plan(revision: int = 1, **more: Any) -> Plan:
    """A plan with this calibration and two virtual detectors."""
    calibration = known_calibration()
    detectors = (
        DetectorPlan(name="bright_field", outer=1.0),
        DetectorPlan(name="ring", inner=10, outer=20, unit="px", centre=(31.5, 31.5)),
    )
    fields = {"calibration": calibration, "detectors": detectors, "stages": stages_for(calibration), **more}
    return Plan(revision=revision, **fields)


def lay_out(folder: Path, plan: Plan) -> None:
    """Makes the results file of a plan, as a worker does."""
    Tasks().run(OpenRevisionTask(number=1, folder=str(folder), plan=plan.model_dump(mode="json")), b"")


def bits(folder: Path, revision: int = 1) -> dict[str, bytes]:
    """The bytes of every map and of every block."""
    layout = open_results(folder, revision)
    with ResultsFile(layout) as results:
        return {
            name: b"".join(results.read_block(name, block).tobytes() for block in range(layout.blocks))
            if output.per_block
            else results.read(name, 0, layout.positions).tobytes()
            for name, output in layout.outputs.items()
        }
