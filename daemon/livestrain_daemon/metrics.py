"""Metrics: counted by the flow, never read by it; every one is declared here, with what it means."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True)
class Declared:
    """One metric: its name, kind, meaning and label."""

    name: str
    kind: Literal["counter", "gauge"]
    text: str
    label: str | None = None


DECLARED = (
    Declared("livestrain_info", "gauge", "Always 1; the label carries the version.", "version"),
    Declared("livestrain_scans_total", "counter", "Scans opened since the start of the daemon."),
    Declared("livestrain_frames_stored_total", "counter", "Frames stored, each at its scan position."),
    Declared("livestrain_frames_missing_total", "counter", "Positions whose frame never came."),
    Declared("livestrain_frame_faults_total", "counter", "Frames and messages that were not stored, and why.", "kind"),
    Declared("livestrain_positions_analysed_total", "counter", "Positions analysed, by stage.", "stage"),
    Declared("livestrain_positions_failed_total", "counter", "Positions given up, by stage.", "stage"),
    Declared(
        "livestrain_positions_dropped_total", "counter", "Positions overwritten before analysis, by stage.", "stage"
    ),
    Declared("livestrain_analysis_lag_positions", "gauge", "Stored positions that wait for their analysis."),
    Declared("livestrain_intake_queue_frames", "gauge", "Frames between the socket and the file: the lag of the disk."),
    Declared("livestrain_intake_restarts_total", "counter", "Times that the intake process had to be started again."),
    Declared("livestrain_workers", "gauge", "Worker processes, by state.", "state"),
    Declared("livestrain_worker_deaths_total", "counter", "Workers that ended or were killed unasked."),
    Declared("livestrain_worker_tasks_total", "counter", "Tasks acknowledged by workers."),
    Declared(
        "livestrain_internal_errors_total",
        "counter",
        "Answers of workers that could not be taken: each is a defect, with its trace in the log.",
    ),
    Declared("livestrain_worker_busy_seconds_total", "counter", "Time that workers spent on tasks [s]."),
    Declared("livestrain_worker_part_seconds_total", "counter", "The same by part of the work [s].", "part"),
    Declared("livestrain_published_messages_total", "counter", "Messages handed to the publishing socket."),
    Declared("livestrain_published_bytes_total", "counter", "Bytes handed to the publishing socket."),
    Declared("livestrain_control_requests_total", "counter", "Requests taken on the control socket."),
    Declared("livestrain_control_garbage_total", "counter", "Messages on the control socket that were no requests."),
    Declared("livestrain_scans_removed_total", "counter", "Scans removed from the spool, and why.", "why"),
    Declared("livestrain_spool_free_bytes", "gauge", "Space left on the disk of the spool."),
    Declared("livestrain_loop_longest_step_seconds", "gauge", "Longest turn of the main loop in the last seconds [s]."),
)


@dataclass(frozen=True)
class Reading:
    """The values of all metrics at one moment; single ones under the label ""."""

    values: dict[str, dict[str, float]] = field(default_factory=dict)


class Metrics(Collector):
    """Hands the latest reading to whoever scrapes; the main loop replaces it whole."""

    def __init__(self) -> None:
        self.reading = Reading()

    def collect(self) -> Iterable[Metric]:
        """Every declared metric with its present values."""
        reading = Reading({**self.reading.values, "livestrain_info": {version("livestrain"): 1.0}})
        for declared in DECLARED:
            yield _family(declared, reading.values.get(declared.name, {}))


def _family(declared: Declared, values: dict[str, float]) -> Metric:
    kind = CounterMetricFamily if declared.kind == "counter" else GaugeMetricFamily
    if declared.label is None:
        return kind(declared.name, declared.text, value=values.get("", 0.0))
    family = kind(declared.name, declared.text, labels=[declared.label])
    for label, value in sorted(values.items()):
        family.add_metric([label], value)
    return family


def reference_page() -> str:
    """The page docs/reference/metrics.md, from the declarations above."""
    lines = [
        "# Metrics",
        "",
        "Served in the Prometheus text format at `http://HOST:9550/metrics` (`publish.http_host` and `http_port`).",
        "`/healthz` answers 200 while the loops tick; `/readyz` while the sockets are bound and the workers warm.",
        "Counters count since the start of the daemon; a changed plan or a restarted intake lets those of its scan",
        "begin again, as Prometheus expects of a restart.",
        "",
        "| metric | kind | label | meaning |",
        "|---|---|---|---|",
        *(f"| `{m.name}` | {m.kind} | {m.label or ''} | {m.text} |" for m in DECLARED),
        "",
    ]
    return "\n".join(lines)
