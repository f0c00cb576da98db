"""A simulated scan: rendered and sent a block at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestrain_simulator import order as orders
from livestrain_simulator.delivery import Acquisition, Delivery, Report, Tell, new_scan_id, no_news
from livestrain_simulator.emulators.choice import deliver
from livestrain_simulator.lattice import Lattice, LatticeKind
from livestrain_simulator.patterns import Camera, Renderer, vacuum_probe
from livestrain_simulator.specimen import SPECIMENS, write_truth
from livestrain_wire.messages import Order, ScanStart

BEAM_KEV = 300.0
# the 220 reflection of silicon, 0.192 nm, at 300 kV
BRAGG_MRAD = 10.25
STEP_NM = 1.0
STANDARD = {128: (22.0, 6.0), 256: (46.0, 13.0)}
"""Spacing and radius of the disks on detectors of these sides [px]."""


@dataclass(frozen=True)
class Simulation:
    """A scan to simulate."""

    specimen: str = "si_sige"
    scan_shape: tuple[int, int] = (64, 64)
    lattice: Lattice = field(default_factory=Lattice)
    camera: Camera = field(default_factory=Camera)
    order: Order = "raster"
    flyback_frames: int = 0
    loop: int | None = None
    """Render only so many frames and send them again and again."""
    truth: Path | None = None
    vacuum_probe: Path | None = None


def optics(
    shape: tuple[int, int], spacing_px: float | None, radius_px: float | None, kind: LatticeKind, **others: Any
) -> tuple[Lattice, Camera]:
    """A lattice and a camera for a detector of this shape: what is not given fits its size."""
    scale = min(shape) / 128
    spacing, radius = STANDARD.get(min(shape), (22 * scale, 6 * scale))
    lattice = Lattice(kind, spacing if spacing_px is None else spacing_px)
    return lattice, Camera(shape, radius if radius_px is None else radius_px, **others)


def simulate(
    simulation: Simulation, delivery: Delivery, say: Callable[[str], None] = no_news, tell: Tell = no_news
) -> Report:
    """
    Render a scan and send it, a block at a time, once or several times; the report of the last.

    Parameters
    ----------
    simulation
        What is rendered.
    delivery
        Where and how to send it.
    say
        Takes a line on where a detector listens.
    tell
        Takes the report of each scan.

    Raises
    ------
    NobodyListens
        If frames are not accepted within the waiting time.
    """
    specimen = SPECIMENS[simulation.specimen](simulation.scan_shape, simulation.lattice)
    camera = simulation.camera
    renderer = Renderer(specimen, camera)
    if simulation.truth:
        write_truth(simulation.truth, specimen, renderer.centres, radius_px=camera.radius_px, dose=camera.dose)
    if simulation.vacuum_probe:
        with simulation.vacuum_probe.open("wb") as file:
            np.save(file, vacuum_probe(camera))
    positions = _acquisition(simulation)

    def blocks() -> Iterator[NDArray[Any]]:
        renderer.clipped = 0
        return _looped(renderer, positions, simulation.loop) if simulation.loop else renderer.blocks(positions)

    def clipped(report: Report) -> Report:
        return replace(report, clipped=report.clipped + renderer.clipped)

    explicit = positions if simulation.order == "explicit" else None
    acquisition = Acquisition(_start(simulation, delivery), len(positions), blocks, explicit)
    return clipped(deliver(acquisition, delivery, say, lambda report: tell(clipped(report))))


def _acquisition(simulation: Simulation) -> orders.Positions:
    if simulation.order == "explicit":
        return orders.shuffled(simulation.scan_shape, simulation.camera.seed)
    return orders.acquisition(simulation.scan_shape, simulation.order, simulation.flyback_frames)


def _start(simulation: Simulation, delivery: Delivery) -> ScanStart:
    camera, lattice = simulation.camera, simulation.lattice
    pixel_mrad = BRAGG_MRAD / lattice.spacing_px
    return ScanStart(
        scan_id=delivery.scan_id or new_scan_id("sim"),
        scan_shape=simulation.scan_shape,
        frame_shape=camera.shape,
        dtype=camera.dtype,
        order=simulation.order,
        flyback_frames=simulation.flyback_frames,
        step_nm=STEP_NM,
        energy_kev=BEAM_KEV,
        semiangle_mrad=camera.radius_px * pixel_mrad,
        pixel_size_mrad=pixel_mrad,
        metadata={
            "source": "livestrain simulator",
            "specimen": simulation.specimen,
            "lattice": lattice.kind,
            "dose_electrons": camera.dose,
            "seed": camera.seed,
        },
    )


def _looped(renderer: Renderer, positions: orders.Positions, loop: int) -> Iterator[NDArray[Any]]:
    """The first `loop` frames, again and again, from the same memory."""
    block = renderer.frames(positions[:loop])
    for first in range(0, len(positions), len(block)):
        yield block[: len(positions) - first]
