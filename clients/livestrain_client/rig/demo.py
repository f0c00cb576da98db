"""The demonstration: a daemon, a simulated detector and a view of the maps, from start to a compared result."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from livestrain_client.cli.output import as_json
from livestrain_client.errors import RequestRefused, Unavailable
from livestrain_client.figure import strain_figure
from livestrain_client.live import Live
from livestrain_client.requests import Control
from livestrain_client.rig.asked import MOST_ELECTRONS, check_rate, check_sides, new_folder
from livestrain_client.rig.processes import (
    READY_SECONDS,
    DaemonProcess,
    Ports,
    complain_if_failed,
    end,
    end_on_sigterm,
    free_ports,
    simulator,
)
from livestrain_client.saving import save_maps
from livestrain_client.view import LiveView, Screen, measured_values
from livestrain_client.writable import check_writable
from livestrain_wire.messages import StageCounts
from livestrain_wire.written import MOST_PIXELS, MOST_POSITIONS

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False, rich_markup_mode=None)

STRAINS = ("e_xx", "e_yy", "e_xy")
STAGE = "diffraction"
ROTATION_LIMIT = 5e-3
"""The multilayer bends by a few mrad: the usual scale of three degrees would not show it [rad]."""
SILENCE_SECONDS = 60.0
"""A scan that has not ended so long after the last news never will [s]."""


@dataclass(frozen=True)
class Outcome:
    """What a demonstration has measured."""

    positions: int
    analysed: int
    failed: int
    missing: int
    dropped: int
    seconds: float
    """From the first map value to the end of the scan [s]."""
    frames_per_second: float
    strain_rms: dict[str, float] = field(default_factory=dict)
    """Root mean square of measured minus true strain, by component."""
    theta_rms_mrad: float = float("nan")
    file: str = ""
    """The results file."""


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Folder for the scan, the maps and the picture.")] = Path("demo-output"),
    headless: Annotated[bool, typer.Option(help="Draw nothing while the scan runs.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the outcome to this file.")] = None,
    scan: Annotated[str, typer.Option(help="Scan positions, ROWSxCOLUMNS.")] = "64x64",
    shape: Annotated[str, typer.Option(help="Pixels of a frame, ROWSxCOLUMNS or one side.")] = "128",
    rate: Annotated[str, typer.Option(help="Frames per second, or max.")] = "500",
    dose: Annotated[float, typer.Option(min=0, max=MOST_ELECTRONS, help="Electrons per frame.")] = 1e5,
    seed: Annotated[int, typer.Option(min=0, help="Decides every count.")] = 0,
) -> None:
    """Stream a Si/SiGe multilayer scan with known strain, watch its maps fill, compare them with the truth."""
    sides = (
        "--scan",
        check_sides(scan, "--scan", MOST_POSITIONS),
        "--shape",
        check_sides(shape, "--shape", MOST_PIXELS),
    )
    arguments = [*sides, "--rate", check_rate(rate), "--dose", str(dose), "--seed", str(seed)]
    if json_file is not None:
        check_writable(json_file)
    folder = new_folder(output)
    console = Console(stderr=headless)
    end_on_sigterm()
    try:
        shown = None if headless or not console.is_terminal else console
        outcome = _run(folder, arguments, shown, console)
    except Unavailable as error:
        typer.echo(f"livestrain demo: {error}", err=True)
        raise typer.Exit(69) from error
    except KeyboardInterrupt as error:
        typer.echo(f"livestrain demo: interrupted; what there is of the scan is in {folder}", err=True)
        raise typer.Exit(130) from error
    if json_file is not None:
        json_file.write_text(as_json(asdict(outcome), indent=2) + "\n")
    _show(console, outcome, folder)
    if outcome.analysed == 0:
        raise typer.Exit(3)


def _run(folder: Path, arguments: list[str], screen: Console | None, console: Console) -> Outcome:
    began = time.monotonic()
    ports = free_ports()
    truth_file, probe_file = folder / "truth.npz", folder / "vacuum-probe.npy"
    files = ["--truth", str(truth_file), "--vacuum-probe", str(probe_file)]
    log = folder / "simulator.log"
    with DaemonProcess(folder / "spool", ports, folder / "daemon.log", {"workers__spares": "0"}) as daemon:
        console.print("starting (a minute or two longer where kernels are still to be compiled) ...")
        # both start at once: the detector waits until the daemon takes its frames
        detector = simulator(ports, log, [*arguments, *files, "--scan-id", "demo", "--wait", str(READY_SECONDS)])
        try:
            daemon.wait_until_ready()
            with Live(ports.maps_endpoint, ports.control_endpoint) as live:
                first, last = _follow(live, screen, lambda: complain_if_failed(detector, log))
                truth = dict(np.load(truth_file))
                _measure_against_the_substrate(live, ports, truth)
                text = f"first map pixels {first - began:.1f} s after the start, the last {last - first:.1f} s later"
                console.print(text, highlight=False)
                return _outcome(live, truth, last - first, folder)
        finally:
            detector.terminate()
            end(detector, 5.0)


def _follow(live: Live, screen: Console | None, check: Callable[[], None]) -> tuple[float, float]:
    """Keeps the maps up to date until the scan is final; returns when the first value came, and when the last."""
    view = LiveView(live, limits={"theta": ROTATION_LIMIT})
    first: float | None = None
    news = time.monotonic()
    with Screen(view, screen) if screen else nullcontext() as shown:
        while not live.final:
            updates = live.poll(0.1)
            if shown is not None:
                shown.show(updates)
            if updates:
                news = time.monotonic()
            if first is None and any(state.known.any() for state in live.maps.values()):
                first = time.monotonic()
            check()
            if live.stale and time.monotonic() - news > SILENCE_SECONDS:
                raise Unavailable("the daemon has fallen silent")
    last = time.monotonic()
    return (last if first is None else first), last


def _measure_against_the_substrate(live: Live, ports: Ports, truth: dict[str, NDArray[Any]]) -> None:
    """Re-references the map to the rows that are unstrained by construction, as a user would do with a mouse."""
    unstrained = np.all([np.abs(truth[name]) < 1e-6 for name in (*STRAINS, "theta")], axis=0).all(axis=1)
    if not unstrained.any() or "e_xx" not in live.maps:
        return
    first = int(np.argmax(unstrained))
    last = first + int(np.argmin(np.append(unstrained[first:], False)))
    before = live.maps["e_xx"].reference_revision
    try:
        with Control(ports.control_endpoint) as control:
            control.reference(region=(first, 0, last, truth["e_xx"].shape[1]))
    except RequestRefused as error:
        raise Unavailable(f"the reference was not changed: {error}") from error
    deadline = time.monotonic() + SILENCE_SECONDS
    while time.monotonic() < deadline:
        live.poll(0.1)
        states = [live.maps[name] for name in (*STRAINS, "theta")]
        if live.final and all(state.reference_revision > before and state.in_step for state in states):
            return
    raise Unavailable("the maps were not sent again after the change of the reference")


def _outcome(live: Live, truth: dict[str, NDArray[Any]], seconds: float, folder: Path) -> Outcome:
    progress, plan, scan = live.progress, live.plan, live.scan
    if progress is None or plan is None or scan is None:
        raise Unavailable("the daemon has told of no scan")
    counts = progress.stages.get(STAGE, StageCounts())
    maps = {name: measured_values(live.maps[name]) for name in (*STRAINS, "theta") if name in live.maps}
    rms = {name: _rms(maps[name] - truth[name]) for name in maps}
    save_maps(live, folder)
    if maps:
        shown_truth = {name: truth[name] for name in maps}
        title = f"Si/SiGe multilayer, {scan.start.scan_shape[0]} x {scan.start.scan_shape[1]} positions"
        strain_figure(maps, folder / "strain.png", title, shown_truth, scan.start.step_nm)
    return Outcome(
        positions=progress.positions,
        analysed=counts.analysed,
        failed=counts.failed,
        missing=counts.missing,
        dropped=counts.dropped,
        seconds=seconds,
        frames_per_second=counts.analysed / seconds if seconds else 0.0,
        strain_rms={name: rms[name] for name in STRAINS if name in rms},
        theta_rms_mrad=1e3 * rms.get("theta", float("nan")),
        file=str(Path(scan.folder) / f"results-{plan.revision:04d}.h5"),
    )


def _rms(difference: NDArray[Any]) -> float:
    measured = difference[np.isfinite(difference)]
    return float(np.sqrt(np.mean(measured**2))) if measured.size else float("nan")


def _show(console: Console, outcome: Outcome, folder: Path) -> None:
    if outcome.strain_rms:
        table = Table("against the substrate", "measured - true (rms)")
        for name, value in outcome.strain_rms.items():
            table.add_row(name, f"{100 * value:.3f} %")
        table.add_row("theta", f"{outcome.theta_rms_mrad:.2f} mrad")
        console.print(table)
    else:
        console.print(
            "no lattice was found, so there is no strain; daemon.log and journal.jsonl say why", soft_wrap=True
        )
    console.print(
        f"{outcome.analysed} of {outcome.positions} positions analysed, {outcome.failed} failed, "
        f"{outcome.missing} missing, {outcome.dropped} dropped"
    )
    if (folder / "strain.png").exists():
        console.print(f"picture      {folder / 'strain.png'}", soft_wrap=True)
    console.print(f"scan folder  {Path(outcome.file).parent}", soft_wrap=True)
    console.print("\nOpen it in Python (python from .venv/bin):\n", highlight=False)
    console.print(_snippet(outcome, folder), highlight=False, soft_wrap=True, markup=False)


def _snippet(outcome: Outcome, folder: Path) -> str:
    strain = (
        '    g1 = results["maps/g1"][...]  # (scan_rows, scan_columns, 2): lattice vectors (row, column) [px]',
        f'    e_xx = np.load("{folder / "maps.npz"}")["e_xx"]',
    )
    return "\n".join(
        (
            "    import h5py, numpy as np",
            f'    results = h5py.File("{outcome.file}")',
            f'    frames = h5py.File("{Path(outcome.file).parent / "frames.h5"}")["frames"]',
            '    print(frames[0, 0].sum(), results["maps/total"][0, 0])',
            *(strain if outcome.strain_rms else ()),
        )
    )
