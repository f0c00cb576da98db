"""
The verbs `simulate` and `replay` of the command line.

What renders and sends is imported when a verb runs, so that listing the verbs stays quick.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from livestrain_simulator.options import (
    CONTROL,
    INTAKE,
    DetectorOptions,
    Dose,
    DtypeName,
    FaultOptions,
    Flyback,
    LatticeName,
    Loop,
    OrderName,
    Radius,
    SenderName,
    SendingOptions,
    Spacing,
    SpecimenName,
    StoredOrder,
    rate_of,
    refuse_what_does_nothing,
    sides_of,
    spread,
)
from livestrain_simulator.outcome import exit_codes, say

if TYPE_CHECKING:
    from livestrain_simulator.delivery import Delivery, DetectorName, EmulatedDetector, Report
    from livestrain_simulator.emulators.faults import Faults

simulate_app = typer.Typer(add_completion=False, rich_markup_mode=None)
replay_app = typer.Typer(add_completion=False, rich_markup_mode=None)


@simulate_app.command("simulate")
@spread
def simulate_verb(
    context: typer.Context,
    sending: SendingOptions,
    detector: DetectorOptions,
    faults: FaultOptions,
    scan: Annotated[str, typer.Option(help="Scan positions, ROWSxCOLUMNS.")] = "64x64",
    shape: Annotated[str, typer.Option(help="Pixels of a frame, ROWSxCOLUMNS or one side.")] = "128",
    specimen: Annotated[SpecimenName, typer.Option(help="What is in the beam.")] = SpecimenName.si_sige,
    lattice: Annotated[LatticeName, typer.Option(help="Lattice of the disks.")] = LatticeName.square,
    dose: Dose = 1e5,
    spacing: Spacing = None,
    radius: Radius = None,
    nonuniformity: Annotated[float, typer.Option(min=0, max=0.9, help="Contrast inside the disks.")] = 0.3,
    seed: Annotated[int, typer.Option(min=0, help="Decides every count, and every fault by chance.")] = 0,
    dtype: Annotated[DtypeName, typer.Option(help="Pixel type.")] = DtypeName.uint16,
    order: Annotated[OrderName, typer.Option(help="Order of the frames.")] = OrderName.raster,
    flyback: Flyback = 0,
    loop: Loop = None,
    rate: Annotated[str, typer.Option(help="Frames per second, or max: as fast as accepted.")] = "max",
    truth: Annotated[Path | None, typer.Option(help="Write the true strain to this .npz file.")] = None,
    probe: Annotated[Path | None, typer.Option("--vacuum-probe", help="Write the probe to this .npy file.")] = None,
    times: Annotated[Path | None, typer.Option(help="Write when each frame was sent to this .npy file [ns].")] = None,
) -> None:
    """Simulate a detector: render the frames of a scan with known strain, and send them."""
    with exit_codes(_interrupted(detector)):
        refuse_what_does_nothing(context)
        from livestrain_simulator.simulate import Simulation, optics, simulate

        beam = {"dose": dose, "nonuniformity": nonuniformity, "dtype": dtype.value, "seed": seed}
        disks, camera = optics(sides_of(shape, "--shape"), spacing, radius, lattice.value, **beam)
        simulation = Simulation(
            specimen.value, sides_of(scan, "--scan"), disks, camera, order.value, flyback, loop, truth, probe
        )
        delivery = replace(_delivery(sending, detector, faults, rate, seed), times=times)
        simulate(simulation, delivery, _told, _said(delivery, sending))


@replay_app.command("replay")
@spread
def replay_verb(
    context: typer.Context,
    sending: SendingOptions,
    detector: DetectorOptions,
    faults: FaultOptions,
    file: Annotated[
        Path,
        typer.Argument(
            help="A recorded scan: HDF5, .npy, .mib, .blo, EMPAD .xml; with the extra formats .dm4 and more."
        ),
    ],
    dataset: Annotated[str | None, typer.Option(help="Dataset in an HDF5 file; default: the largest.")] = None,
    scan_shape: Annotated[str | None, typer.Option(help="Scan positions, ROWSxCOLUMNS.")] = None,
    order: Annotated[StoredOrder, typer.Option(help="How the stored frames run.")] = StoredOrder.raster,
    flyback: Flyback = 0,
    rate: Annotated[str, typer.Option(help="Frames per second; max; real: one frame per dwell time.")] = "max",
    dwell_us: Annotated[float | None, typer.Option(help="Dwell time for --rate real [us].")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides every fault by chance.")] = 0,
) -> None:
    """Replay a recorded scan: send the frames of a file as a detector would."""
    with exit_codes(_interrupted(detector)):
        refuse_what_does_nothing(context)
        from livestrain_simulator.replay import replay

        real_time = rate == "real"
        delivery = _delivery(sending, detector, faults, "max" if real_time else rate, seed)
        sides = sides_of(scan_shape, "--scan-shape") if scan_shape else None
        tell = _said(delivery, sending)
        replay(file, delivery, dataset, sides, order.value, flyback, dwell_us, real_time, _told, tell)


def _delivery(
    sending: SendingOptions, detector: DetectorOptions, faults: FaultOptions, rate: str, seed: int
) -> "Delivery":
    from livestrain_simulator.delivery import Delivery
    from livestrain_simulator.send import Sending

    return Delivery(
        sending.endpoint,
        sending.wait,
        sending.scan_id,
        Sending(sending.encoding.value, sending.frames_per_message, rate_of(rate), faults.burst),
        _faults(faults, seed),
        faults.stall_seconds,
        sending.scans,
        detector=_emulated(detector),
    )


def _emulated(options: DetectorOptions) -> "EmulatedDetector | None":
    from livestrain_simulator.delivery import EmulatedDetector

    if options.send_as is SenderName.native:
        return None
    name = cast("DetectorName", options.send_as.value)
    return EmulatedDetector(name, options.host, options.stream_port, options.control_port, options.arm.value)


def _faults(options: FaultOptions, seed: int) -> "Faults":
    from livestrain_simulator.emulators.faults import KINDS, Among, Faults

    asked = {kind: getattr(options, kind) for kind in KINDS}
    among = {kind: Among.parse(text, f"--{kind.replace('_', '-')}") for kind, text in asked.items() if text is not None}
    return Faults(among, options.abort_at, options.short_by, options.late_header, options.rearm, seed)


def _interrupted(options: DetectorOptions) -> str:
    if options.send_as is SenderName.native:
        return "interrupted: the scan ends as aborted"
    return f"interrupted: {options.send_as.value} has stopped, as if it were off"


def _told(line: str) -> None:
    typer.echo(line, err=True)


def _said(delivery: "Delivery", options: SendingOptions) -> "Callable[[Report], None]":
    """Says what was sent of each scan, and what the daemon has made of it, where it can be asked."""
    from livestrain_simulator.named import Fate, fate_of

    control = CONTROL if options.control is None and delivery.endpoint == INTAKE else options.control
    asked = control if delivery.detector is None else None
    began = time.time_ns()

    def tell(report: "Report") -> None:
        nonlocal began
        say(report, options.json, fate_of(asked, report.sent.scan_id, began) if asked else Fate())
        began = time.time_ns()

    return tell


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command("simulate")(simulate_verb)
    app.command("replay")(replay_verb)
    app()
