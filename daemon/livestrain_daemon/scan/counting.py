"""What a scan has counted, added up by metric and label."""

from livestrain_daemon.scan.live import LiveScan

Values = dict[str, dict[str, float]]
"""Value by label by metric; single values have the label ""."""


def add_counts(values: Values, scan: LiveScan) -> None:
    """What a scan has counted, on top of what is there."""
    add(values, "livestrain_frames_stored_total", "", scan.seen.stored)
    add(values, "livestrain_frames_missing_total", "", scan.seen.missing)
    for kind, count in scan.faults.items():
        add(values, "livestrain_frame_faults_total", kind, count)
    if scan.revision is not None:
        for stage, counts in scan.revision.counts(scan.seen.states).items():
            add(values, "livestrain_positions_analysed_total", stage, counts.analysed)
            add(values, "livestrain_positions_failed_total", stage, counts.failed)
            add(values, "livestrain_positions_dropped_total", stage, counts.dropped)


def add(values: Values, name: str, label: str, amount: float) -> None:
    """Adds to a value."""
    by_label = values.setdefault(name, {})
    by_label[label] = by_label.get(label, 0.0) + amount
