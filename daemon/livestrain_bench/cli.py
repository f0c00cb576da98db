"""The verbs of the command line that measure disks, strain and workers."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class EstimatorOption(StrEnum):
    """How lattices are fitted."""

    fast = "fast"
    precise = "precise"


class TemplateOption(StrEnum):
    """What disks are compared with."""

    disk = "disk"
    image = "image"


class PeerOption(StrEnum):
    """Others that can do the same work."""

    libertem = "libertem"


Cases = Annotated[Path, typer.Option(help="Folder of case files.", exists=True, file_okay=False)]
Only = Annotated[str, typer.Option(help="Cases whose name contains this.")]
Estimator = Annotated[EstimatorOption, typer.Option(help="How lattices are fitted.")]
Peer = Annotated[PeerOption | None, typer.Option(help="Who does the same work beside us.")]
Template = Annotated[TemplateOption, typer.Option(help="Compare with a flat disk, or the vacuum probe's image.")]
Repeats = Annotated[int, typer.Option(min=1, help="Rounds of timing: the best rates and the median ratio count.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@app.command("disks")
def disks_verb(
    cases: Cases,
    estimator: Estimator = EstimatorOption.fast,
    template: Template = TemplateOption.disk,
    peer: Peer = None,
    only: Only = "",
    repeats: Repeats = 5,
    json: Json = False,
) -> None:
    """Strain of synthetic scans with known truth: errors against the Cramer-Rao bound, and speed on one thread."""
    from livestrain_bench.case import case_files, read_case
    from livestrain_bench.disks import bench
    from livestrain_bench.errors import NoCases
    from livestrain_bench.tables import as_json, console, disks_table, explain_disks

    files = case_files(cases, only)
    results = []
    for path in files:
        case = read_case(path)
        if case.lattice is None:
            typer.echo(f"{case.name}: a polycrystal has no strain here; see bench detect", err=True)
            continue
        typer.echo(f"{case.name} ...", err=True)
        results.append(bench(case, case.lattice, estimator.value, peer is not None, repeats, template.value))
    if not results:
        raise NoCases(f"{cases} has no case of a single crystal")
    if json:
        typer.echo(as_json({"cases": [result.facts() for result in results]}))
        return
    out = console()
    out.print(disks_table(results), highlight=False)
    explain_disks(out)


@app.command("workers")
def workers_verb(
    cases: Cases,
    estimator: Estimator = EstimatorOption.fast,
    workers: Annotated[int, typer.Option(min=2, max=256, help="Processes at a time.")] = 2,
    only: Only = "",
    repeats: Repeats = 5,
    json: Json = False,
) -> None:
    """Disks and strain in several processes at a time, against one of them alone."""
    from livestrain_bench.case import case_files
    from livestrain_bench.tables import as_json
    from livestrain_bench.workers import scaling

    found = [(path, scaling(path, estimator.value, workers, repeats)) for path in case_files(cases, only)]
    if json:
        facts = [{"case": path.stem, "estimator": estimator.value, **one.facts()} for path, one in found]
        typer.echo(as_json({"cases": facts}))
        return
    for path, one in found:
        typer.echo(
            f"{path.stem:28} 1: {one.fps_one:,.0f} frames/s   {one.workers}: {one.fps_all:,.0f} frames/s   "
            f"{one.gain:.2f} x"
        )


@app.command("analyse")
def analyse_verb(
    cases: Cases,
    estimator: Estimator = EstimatorOption.precise,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes that analyse.")] = 1,
    frames: Annotated[int, typer.Option(min=256, help="Frames of the file, rounded up to whole rows.")] = 32768,
    folder: Annotated[Path | None, typer.Option(help="Where the file and its scans go for the time.")] = None,
    only: Only = "",
    repeats: Repeats = 5,
    json: Json = False,
) -> None:
    """A file analysed by `livestrain analyse`, against its workers alone on frames that are stored already."""
    from livestrain_bench.analysing import analysing
    from livestrain_bench.case import case_files
    from livestrain_bench.tables import as_json

    found = [
        (path, analysing(path, estimator.value, workers, frames, repeats, folder)) for path in case_files(cases, only)
    ]
    if json:
        facts = [{"case": path.stem, "estimator": estimator.value, **one.facts()} for path, one in found]
        typer.echo(as_json({"cases": facts}))
        return
    for path, one in found:
        typer.echo(
            f"{path.stem:28} {one.workers} workers alone: {one.fps_own:,.0f} frames/s "
            f"({one.fps_processor:,.0f} per second of processor time)   file: {one.fps_file:,.0f} "
            f"frames/s   {one.ratio:.2f} x = busy {one.busy:.2f} x slowed to {one.slowed:.2f}"
        )


@app.command("detect")
def detect_verb(
    cases: Cases,
    peer: Peer = None,
    only: Only = "",
    repeats: Repeats = 5,
    json: Json = False,
) -> None:
    """Disks found without a lattice: recall, false findings, and speed on one thread."""
    from livestrain_bench.case import case_files, read_case
    from livestrain_bench.detect import bench_detect
    from livestrain_bench.errors import NoCases
    from livestrain_bench.tables import as_json, console, detect_table, explain_detect

    results = []
    for path in case_files(cases, only):
        case = read_case(path)
        if case.given.frames.dtype.kind == "f":
            typer.echo(f"{case.name}: without counting noise there is no significance", err=True)
            continue
        typer.echo(f"{case.name} ...", err=True)
        results.append(bench_detect(case, peer is not None, repeats))
    if not results:
        raise NoCases(f"{cases} has no case with counting noise")
    if json:
        typer.echo(as_json({"cases": [result.facts() for result in results]}))
        return
    out = console()
    out.print(detect_table(results), highlight=False)
    explain_detect(out)
