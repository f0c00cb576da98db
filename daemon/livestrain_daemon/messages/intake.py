"""Messages between main and the intake."""

from typing import Literal

from livestrain_wire.messages import Count, Message, Run, ScanId, ScanStart, by_type

# --- intake -> main -------------------------------------------------------------------------------------------------


class IntakeReady(Message):
    """The intake's socket is bound."""

    type: Literal["intake_ready"] = "intake_ready"
    pid: int
    endpoint: str


class IntakeFailed(Message):
    """The intake cannot do its work."""

    type: Literal["intake_failed"] = "intake_failed"
    reason: str
    storage: bool = False
    """Because of the spool or the ring."""


class DetectorSeen(Message):
    """What the detector that frames are taken from is doing."""

    type: Literal["detector_seen"] = "detector_seen"
    name: str
    endpoint: str
    state: Literal["connecting", "waiting", "receiving"]
    trouble: str
    """What kept it from being reached or begun last, while nothing has come since; empty: nothing."""
    lost_ns: Count | None = None
    """Since when the connection is gone (UTC); None while there is one, or if there has been none."""


class ScanOpened(Message):
    """A scan folder with its frames file exists; frames are being stored."""

    type: Literal["scan_opened"] = "scan_opened"
    scan_id: ScanId
    folder: str
    start: ScanStart
    started_ns: Count
    recording: bool
    resumed: bool = False
    """True where the folder was there already, from before a restart of the daemon."""


class ScanRefused(Message):
    """A scan could not be opened, and why: its frames are counted and thrown away."""

    type: Literal["scan_refused"] = "scan_refused"
    scan_id: str
    text: str
    resuming: bool = False
    """True where main had asked to go on with it."""


class Stored(Message):
    """A hint: these positions are in the frames file (the ledger is the truth)."""

    type: Literal["stored"] = "stored"
    scan_id: ScanId
    runs: tuple[Run, ...]


class Recycled(Message):
    """A hint: these positions' slots in the ring now hold newer frames."""

    type: Literal["recycled"] = "recycled"
    scan_id: ScanId
    runs: tuple[Run, ...]


class IntakeCounts(Message):
    """What has been counted so far; sent a few times a second while something changes."""

    type: Literal["intake_counts"] = "intake_counts"
    scan_id: str
    """Empty for what belongs to no scan."""
    stored: Count
    queued: Count
    """Frames between the socket and the file: the disk's lag."""
    faults: dict[str, Count]


class FaultSeen(Message):
    """The first fault of its kind in this scan."""

    type: Literal["fault_seen"] = "fault_seen"
    scan_id: str
    kind: str
    text: str


class Synced(Message):
    """These positions are on the disk, whatever happens to the power."""

    type: Literal["synced"] = "synced"
    scan_id: ScanId
    runs: tuple[Run, ...]


class ScanClosed(Message):
    """No more frames will be stored; every position is stored, recycled or missing."""

    type: Literal["scan_closed"] = "scan_closed"
    scan_id: ScanId
    reason: Literal["complete", "aborted", "superseded", "silence", "stopped"]
    stored: Count
    missing: Count
    faults: dict[str, Count]


class RoomWanted(Message):
    """A new scan waits for so much free space; answered by `RoomMade` when old scans are removed, or cannot be."""

    type: Literal["room_wanted"] = "room_wanted"
    id: str
    """Comes back with the answer: one that comes too late is not taken for that of the next scan."""
    bytes: Count


# --- main -> intake -------------------------------------------------------------------------------------------------


class SetArmed(Message):
    """Accept scans, or ignore them."""

    type: Literal["set_armed"] = "set_armed"
    armed: bool


class ResumeScan(Message):
    """Go on with a scan that an earlier daemon left unfinished; answered by `ScanOpened` (resumed)."""

    type: Literal["resume_scan"] = "resume_scan"
    folder: str


class CloseScan(Message):
    """End the scan in progress now; answered by `ScanClosed`."""

    type: Literal["close_scan"] = "close_scan"


class Released(Message):
    """Every stage is done with these positions: their slots in the ring may be overwritten."""

    type: Literal["released"] = "released"
    scan_id: ScanId
    runs: tuple[Run, ...]


class RoomMade(Message):
    """All that could be done about `RoomWanted` is done."""

    type: Literal["room_made"] = "room_made"
    id: str


class StopIntake(Message):
    """Close the scan in progress, if any, then exit."""

    type: Literal["stop_intake"] = "stop_intake"


FROM_INTAKE = by_type(
    IntakeReady,
    IntakeFailed,
    DetectorSeen,
    ScanOpened,
    ScanRefused,
    Stored,
    Recycled,
    IntakeCounts,
    FaultSeen,
    Synced,
    ScanClosed,
    RoomWanted,
)
TO_INTAKE = by_type(SetArmed, Released, ResumeScan, CloseScan, RoomMade, StopIntake)
