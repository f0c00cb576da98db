"""A scan of known values, as the wire daemon in tests serves it."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from livestrain_wire.messages import (
    ApplyCalibrationRequest,
    BraggVectorMapReply,
    BraggVectorMapRequest,
    CalibrateReply,
    CalibrateRequest,
    FrameReply,
    FrameRequest,
    MapInfo,
    Message,
    PatternReply,
    PatternRequest,
    PlanChanged,
    PlanReply,
    PlanRequest,
    Progress,
    ReanalyseRequest,
    Request,
    Run,
    ScanEnded,
    ScanEntry,
    ScansReply,
    ScansRequest,
    ScanStart,
    ScanStarted,
    VectorMapInfo,
)


@dataclass
class WireScan:
    """A scan as the daemon knows it."""

    start: ScanStart
    maps: dict[str, NDArray[Any]]
    infos: tuple[MapInfo, ...]
    started: ScanStarted
    revision: int = 1
    reference_revision: int = 1
    plan: PlanChanged | None = None
    progress: Progress | None = None
    ended: ScanEnded | None = None
    known: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    """(positions,), true where acknowledged under the current plan revision."""

    def truth(self, name: str, revision: int | None = None, reference: int | None = None) -> NDArray[Any]:
        """(scan_rows, scan_columns, ...) every value of a map, acknowledged or not."""
        info = next(info for info in self.infos if info.name == name)
        values = self.maps[name] + np.asarray(self.revision if revision is None else revision, info.dtype)
        if info.derived:
            values = values - np.asarray(self.reference_revision if reference is None else reference, info.dtype) / 8
        truth: NDArray[Any] = values.astype(info.dtype)
        return truth

    def payload(self, info: MapInfo, runs: tuple[Run, ...]) -> bytes:
        """The values of these runs, one after another."""
        flat = self.truth(info.name).reshape(-1, *info.shape)
        return b"".join(flat[first : first + count].tobytes() for first, count in runs)

    def known_runs(self, first: int, count: int) -> tuple[Run, ...]:
        """The acknowledged positions among these, as runs."""
        known = np.concatenate([[False], self.known[first : first + count], [False]])
        edges = np.flatnonzero(known[1:] != known[:-1])
        return tuple((first + int(a), int(b - a)) for a, b in zip(edges[::2], edges[1::2], strict=True))


def vector_map_info(sampling: int = 1, dtype: Literal["float32", "float64"] = "float32") -> VectorMapInfo:
    """A Bragg vector map of 8 x 8 detector pixels, one count in each of its own."""
    side = 8 * sampling
    return VectorMapInfo(
        revision=1,
        shape=(side, side),
        dtype=dtype,
        sampling=sampling,
        origin=(3.5, 3.5),
        positions=4,
        vectors=side**2,
        intensity=float(side**2),
    )


def scans_page(request: ScansRequest, history: list[ScanEntry], epoch: str) -> ScansReply:
    """A page of the history, as a daemon gives it."""
    older = [entry for entry in history if request.comes_after(entry.began_ns, entry.scan_id)]
    return ScansReply(
        id=request.id,
        epoch=epoch,
        scans=tuple(older[: request.count]),
        total=len(history),
        size_bytes=sum(entry.size_bytes for entry in history),
        more=len(older) > request.count,
    )


def canned_reply(request: Request, scan: WireScan, epoch: str) -> tuple[Message, bytes | None]:
    """Plausible replies to requests that need an analysis."""
    about: dict[str, Any] = {"id": request.id, "epoch": epoch, "scan_id": scan.start.scan_id}
    match request:
        case FrameRequest():
            about |= {"shape": (8, 8), "dtype": "uint16", "row": request.row, "column": request.column}
            return FrameReply(**about), (np.arange(64, dtype="<u2") + np.uint16(request.row)).tobytes()
        case PatternRequest():
            about |= {"kind": request.kind, "shape": (8, 8), "dtype": "float64", "positions": 256}
            return PatternReply(**about), np.ones(64).tobytes()
        case BraggVectorMapRequest():
            found_map = vector_map_info(request.sampling)
            return BraggVectorMapReply(**about, about=found_map), np.ones(found_map.shape, "<f4").tobytes()
        case CalibrateRequest():
            found = {
                "centre": [3.5, 3.25],
                "radius_px": 2.0,
                "edge_px": 0.5,
                "g1": [0.0, 3.0],
                "g2": [-3.5, 0.0],
                "hk": [[0, 0], [0, 1], [1, 0]],
                "search_px": 2.0,
                "broken": [[3, 2], [9, 1]],
                "positions": [0, 16],
                "source": "command",
                "scan_axes": {"source": "given", "how": "as given", "rotation_deg": -12.5, "flip": "rows"},
                "ellipse": {"source": "command", "how": "a ring", "ratio": 1.02, "angle_deg": 30.0, "residual_px": 0.1},
                "descan": {"source": "automatic", "how": "", "per_row": [0.01, 0.0], "per_column": [0.0, -0.02]},
                "pixel_size": {"source": "command", "how": "d = 0.2 nm", "size": 0.125, "unit": "1/nm"},
            }
            revision = scan.revision + 1 if request.apply else None
            return CalibrateReply(**about, calibration=found, revision=revision, proposal="abc"), None
        case ApplyCalibrationRequest():
            return CalibrateReply(**about, calibration={}, revision=scan.revision + 1, proposal=request.proposal), None
        case PlanRequest() | ReanalyseRequest():
            return PlanReply(**about, revision=scan.revision, plan={"revision": scan.revision}), None
    raise AssertionError(f"no reply to {request.type}")
