"""A recorded scan as the messages of a scan that is being taken."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from livestrain_recordings.opening import open_recording
from livestrain_recordings.optics import sorted_facts
from livestrain_recordings.recording import Recording
from livestrain_simulator.delivery import Acquisition, Delivery, Report, Tell, new_scan_id, no_news
from livestrain_simulator.emulators.choice import deliver
from livestrain_simulator.errors import NotReplayable
from livestrain_simulator.pacing import per_dwell
from livestrain_wire.messages import ScanStart


def start_of(
    recording: Recording,
    scan_id: str,
    scan_shape: tuple[int, int] | None = None,
    order: Literal["raster", "serpentine"] = "raster",
    flyback_frames: int = 0,
) -> ScanStart:
    """
    The start message of a recorded scan.

    Parameters
    ----------
    recording
        The file's frames.
    scan_id
        Name of the new scan.
    scan_shape
        Scan positions (rows, columns); needed where the file does not tell.
    order
        How the stored frames run over the scan positions.
    flyback_frames
        Stored frames after each scan row that belong to no position.

    Raises
    ------
    NotReplayable
        If the frames do not fill the scan.
    """
    if scan_shape is None:
        if len(recording.shape) == 3:
            raise NotReplayable(
                f"{recording.path}: {recording.name} has shape {recording.shape}, which does not tell the scan's: "
                "give --scan-shape ROWSxCOLUMNS"
            )
        scan_shape = (recording.shape[0], recording.shape[1] - flyback_frames)
    rows, columns = scan_shape
    needed = rows * (columns + flyback_frames)
    if needed != recording.frames or min(scan_shape) < 1:
        extra = f" and {flyback_frames} flyback frames per row" if flyback_frames else ""
        raise NotReplayable(
            f"{recording.path}: a scan of {rows}x{columns} positions{extra} takes {needed} frames, "
            f"found {recording.frames}"
        )
    told = sorted_facts(recording.facts)
    fields: dict[str, Any] = {
        "scan_id": scan_id,
        "scan_shape": scan_shape,
        "frame_shape": recording.frame_shape,
        "dtype": recording.dtype,
        "order": order,
        "flyback_frames": flyback_frames,
        **told.optics,
        "metadata": {**told.rest, "replayed_from": f"{recording.path.name}:{recording.name}"},
    }
    return ScanStart.model_validate(fields)


def replay(
    path: Path,
    delivery: Delivery,
    dataset: str | None = None,
    scan_shape: tuple[int, int] | None = None,
    order: Literal["raster", "serpentine"] = "raster",
    flyback_frames: int = 0,
    dwell_us: float | None = None,
    real_time: bool = False,
    say: Callable[[str], None] = no_news,
    tell: Tell = no_news,
) -> Report:
    """
    Send the frames of a file as a scan, or as several; the report of the last.

    Parameters
    ----------
    path
        A file of a kind that `open_recording` reads.
    delivery
        Where and how to send.
    dataset, scan_shape, order, flyback_frames
        As `open_recording` and `start_of` take them.
    dwell_us
        Time per frame [us]; None takes the file's attribute ``dwell_us``.
    real_time
        Send one frame per dwell time.
    say
        Takes a line on where frames go, or where a detector listens, and on what is taken of the file.
    tell
        Takes the report of each scan.

    Raises
    ------
    UnusableRecording
        If the file does not hold frames that can be sent.
    NotReplayable
        If they do not fill the scan, the detector cannot send them, or real time was asked for and no dwell time is
        known.
    NobodyListens
        If they are not accepted within the waiting time.
    """
    with open_recording(path, dataset) as recording:
        if recording.remark:
            say(f"livestrain: {recording.remark}")
        start = start_of(recording, delivery.scan_id or new_scan_id("replay"), scan_shape, order, flyback_frames)
        if real_time:
            dwell = dwell_us if dwell_us is not None else recording.facts.get("dwell_us")
            if not isinstance(dwell, (int, float)):
                raise NotReplayable(f"{path}: real time needs a dwell time, and the file has none: give --dwell-us")
            sending = dataclasses.replace(delivery.sending, frames_per_second=per_dwell(dwell))
            delivery = dataclasses.replace(delivery, sending=sending)
        acquisition = Acquisition(start, recording.frames, recording.blocks, absent=recording.absent)
        return deliver(acquisition, delivery, say, tell)
