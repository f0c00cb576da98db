import time
from datetime import UTC, datetime

import typer

from livestrain_client.cli.options import ControlEndpoint, Deadline, Json
from livestrain_client.cli.output import as_json, results, show_fields
from livestrain_client.connection import CONTROL_ENDPOINT
from livestrain_client.requests import Control
from livestrain_client.view import counts_line, rates_line
from livestrain_wire.messages import DetectorStatus, PlanChanged, ReferenceInfo, StatusReply

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False, rich_markup_mode=None)

ALONG = {"detector": "the detector", "scan": "the scan", "g1": "g1"}


@app.command()
def status(control: ControlEndpoint = CONTROL_ENDPOINT, json: Json = False, deadline: Deadline = 5.0) -> None:
    """Tell what the daemon is doing."""
    with Control(control, deadline) as asking:
        reply = asking.status()
    if json:
        typer.echo(as_json(reply))
    else:
        show_fields(status_fields(reply), results())


def status_fields(reply: StatusReply) -> dict[str, str]:
    """What a person wants to know, by name."""
    fields = {
        "version": reply.version,
        "armed": "yes" if reply.armed else "no: scans are ignored",
        "spool": reply.spool,
    }
    states = [worker.state for worker in reply.workers]
    if states:
        fields["workers"] = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
    if reply.detector is not None:
        fields["detector"] = detector_line(reply.detector)
    if reply.last_refusal:
        fields["refused"] = reply.last_refusal
    stray = {kind: count for kind, count in sorted(reply.stray_faults.items()) if count}
    if stray:
        fields["no scan's"] = "  ".join(f"{kind} {count}" for kind, count in stray.items())
    if reply.scan is None:
        return {**fields, "scan": "none yet"}
    start = reply.scan.start
    fields["scan"] = f"{start.scan_id}  {start.scan_shape[0]} x {start.scan_shape[1]} of {start.frame_shape[0]} x "
    fields["scan"] += f"{start.frame_shape[1]} {start.dtype}"
    fields["folder"] = reply.scan.folder + ("" if reply.scan.recording else "  (frames in a ring, not recorded)")
    if reply.plan is not None:
        fields |= plan_fields(reply.plan)
    if reply.reference is not None:
        fields["reference"] = reference_line(reply.reference)
    if reply.progress is not None:
        fields["counts"] = counts_line(reply.progress)
        fields["rates"] = rates_line(reply.progress)
    if reply.ended is not None:
        missing = f", {reply.ended.missing} missing" if reply.ended.missing else ""
        fields["ended"] = f"{reply.ended.reason} after {reply.ended.seconds:.1f} s{missing}"
    return fields


def plan_fields(plan: PlanChanged) -> dict[str, str]:
    """What a person wants to know of the plan, by name."""
    fields = {"plan": f"revision {plan.revision}: {', '.join(info.name for info in plan.maps)}"}
    if left_out := pixels_line(plan):
        fields["left out"] = left_out
    if reason := no_lattice(plan):
        fields["no lattice"] = reason
    return fields


def detector_line(detector: DetectorStatus) -> str:
    """What the detector is doing, in one line."""
    doing = {
        "connecting": "not reached yet",
        "waiting": "connected, waiting for a series to begin",
        "receiving": "a series is coming",
    }[detector.state]
    if detector.lost_ns is not None:
        doing = f"not connected since {clock(detector.lost_ns)}"
    trouble = f"  ({detector.trouble})" if detector.trouble else ""
    return f"{detector.name} {detector.endpoint}: {doing}{trouble}".strip()


def clock(time_ns: int) -> str:
    """The time of a day, by the clock on the wall; the day, too, if it is another one."""
    then, now = (datetime.fromtimestamp(ns / 1e9, UTC).astimezone() for ns in (time_ns, time.time_ns()))
    return then.strftime("%H:%M:%S" if then.date() == now.date() else "%Y-%m-%d %H:%M:%S")


def no_lattice(plan: PlanChanged) -> str:
    """Why a plan has no lattice; empty where it has one."""
    calibration = plan.plan.get("calibration", {})
    return "" if calibration.get("g1") else str(calibration.get("reason") or "none was found")


def pixels_line(plan: PlanChanged) -> str:
    """Which pixels no analysis uses; empty where all are used."""
    unusable = sum(count for _, count in plan.plan.get("unusable", ()))
    saturation = plan.plan.get("corrections", {}).get("saturation")
    found = [f"{unusable} pixels"] if unusable else []
    found += [f"saturated ones, from {saturation:g} counts on"] if saturation else []
    return " and ".join(found)


def reference_line(reference: ReferenceInfo) -> str:
    """A reference in one line."""
    g1_row, g1_column, g2_row, g2_column = reference.vectors
    line = f"revision {reference.revision} ({reference.kind}): "
    line += f"g1 ({g1_row:.3f}, {g1_column:.3f})  g2 ({g2_row:.3f}, {g2_column:.3f}) px"
    line += f"  along {ALONG[reference.axes]}"
    if reference.region is not None:
        first_row, first_column, row_after, column_after = reference.region
        line += f"  region {first_row}:{row_after},{first_column}:{column_after}"
    if reference.positions:
        line += f"  of {reference.positions} positions"
    return line
