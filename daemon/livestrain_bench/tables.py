"""Results for people, and for machines."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from livestrain_bench.detect import DetectResult
    from livestrain_bench.disks import Result
    from livestrain_bench.scoring import Score

WIDTH = 160
"""Columns of text in a file."""


def as_json(value: Any) -> str:
    """Plain values as JSON; what is not finite becomes null."""
    return json.dumps(_plain(value), allow_nan=False)


def disks_table(results: "Sequence[Result]") -> Table:
    """One line per case and method: errors, and how they compare."""
    table = Table(box=None, pad_edge=False)
    for name in ("case", "method"):
        table.add_column(name, no_wrap=True)
    for name in ("e00, e11", "e01", "theta", "/ bound", "z", "bias", "failed", "frames/s", "faster", "error"):
        table.add_column(name, justify="right", no_wrap=True)
    for result in results:
        table.add_row(result.case, result.estimator, *_cells(result.score), _rate(result.fps), "", "")
        for name, peer in result.peer.items():
            more = (_rate(peer.fps), _number(peer.speedup, "x"), _number(peer.error_ratio, "x", 2))
            table.add_row("", f"  {name}", *_cells(peer.score), *more)
    return table


def explain_disks(console: Console) -> None:
    """What the columns are."""
    console.print(
        "\ne00, e11, e01, bias [1e-4], theta [mrad]: root mean square errors, mean error of e00 and e11; / bound: e00, "
        "e11 over the Cramer-Rao bound with unknown quadratic contrast; z: error over standard error; faster, error: "
        "ours against the method of that line, timed in turn.",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def detect_table(results: "Sequence[DetectResult]") -> Table:
    """One line per case."""
    table = Table(box=None, pad_edge=False)
    table.add_column("case", no_wrap=True)
    for name in ("detectable", "recall", "false", "off", "frames/s", "peer", "faster"):
        table.add_column(name, justify="right", no_wrap=True)
    for result in results:
        found = result.findings
        peer = next(iter(result.peer.values()), None)
        table.add_row(
            result.case,
            _number(found.detectable_per_frame),
            f"{100 * found.recall:.2f} %",
            _number(found.false_per_frame, digits=3),
            _number(found.position_rms_px, digits=3),
            _rate(result.fps),
            _rate(peer.fps) if peer else "",
            _number(peer.speedup, "x") if peer else "",
        )
    return table


def explain_detect(console: Console) -> None:
    """What the columns are."""
    console.print(
        "\ndetectable: disks per frame that counting statistics let anybody find; recall: part of them found; false: "
        "found per frame where no disk is; off: root mean square distance per axis [px]; peer: frames/s of LiberTEM's "
        "whole-frame correlation, told where the disks are; faster: ours against it, timed in turn.",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def console() -> Console:
    """Standard output, wide enough for a table where it is no terminal."""
    found = Console()
    return found if found.is_terminal else Console(width=WIDTH)


def _cells(score: "Score") -> tuple[str, ...]:
    return (
        _number(score.rms_normal_1e4),
        _number(score.rms_shear_1e4),
        _number(score.rms_theta_mrad, digits=2),
        _number(score.bound_ratio, digits=2),
        _number(score.z_rms, digits=2),
        _number(score.bias_1e4),
        f"{100 * score.failed:.1f} %",
    )


def _rate(fps: float) -> str:
    return f"{fps:,.0f}" if math.isfinite(fps) else "-"


def _number(value: float, unit: str = "", digits: int = 1) -> str:
    return f"{value:.{digits}f}{unit}" if math.isfinite(value) else "-"


def _plain(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
    return value
