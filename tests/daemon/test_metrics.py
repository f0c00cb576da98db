from importlib.metadata import version
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from daemon.desk import Desk
from daemon.small_scan import POSITIONS
from daemon.web import get
from livestrain_daemon.health import HealthServer
from livestrain_daemon.metrics import DECLARED, Metrics, Reading, reference_page
from livestrain_daemon.scan.counting import Values, add, add_counts

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"


def served(metrics: Metrics) -> dict[str, dict[str, float]]:
    """Value by label by metric, as a scraper reads them; the metric's name as declared."""
    server = HealthServer("127.0.0.1", 0, metrics, lambda: "", lambda: "")
    try:
        code, body = get(f"http://127.0.0.1:{server.port}/metrics")
    finally:
        server.close()
    assert code == 200
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(body):
        for sample in family.samples:
            if sample.name.startswith("livestrain_"):
                found.setdefault(sample.name, {})["".join(sample.labels.values())] = sample.value
        kinds = [declared.kind for declared in DECLARED if declared.name.removesuffix("_total") == family.name]
        texts = [declared.text for declared in DECLARED if declared.name.removesuffix("_total") == family.name]
        if family.name.startswith("livestrain_"):
            assert (kinds, texts) == ([family.type], [family.documentation])
    return found


def test_the_reference_page_is_the_one_that_the_code_gives() -> None:
    assert PAGE.read_text() == reference_page()


def test_the_page_names_every_metric_once() -> None:
    for declared in DECLARED:
        assert reference_page().count(f"`{declared.name}`") == 1


def test_every_metric_without_a_label_is_served_before_anything_has_happened() -> None:
    found = served(Metrics())
    assert {declared.name for declared in DECLARED if declared.label is None} <= found.keys()
    assert found["livestrain_info"] == {version("livestrain"): 1.0}


def test_every_declared_metric_is_served_with_its_values() -> None:
    metrics = Metrics()
    values: Values = {}
    for number, declared in enumerate(DECLARED[1:], start=1):
        add(values, declared.name, "one" if declared.label else "", number)
    metrics.reading = Reading(values)
    found = served(metrics)
    for number, declared in enumerate(DECLARED[1:], start=1):
        assert found[declared.name] == {"one" if declared.label else "": number}
    assert found.keys() == {declared.name for declared in DECLARED}


def test_labels_with_strange_characters_come_through() -> None:
    metrics = Metrics()
    metrics.reading = Reading({"livestrain_frame_faults_total": {'a"b\\c\nd': 3.0}})
    assert served(metrics)["livestrain_frame_faults_total"] == {'a"b\\c\nd': 3.0}


def test_what_a_scan_counts_adds_up(desk: Desk) -> None:
    scan = desk.planned()
    desk.store((0, 300))
    desk.turn()
    values: Values = {}
    add_counts(values, scan)
    assert values["livestrain_frames_stored_total"] == {"": 300}
    assert values["livestrain_positions_analysed_total"] == {"diffraction": 300, "reduction": 256}
    desk.store((300, POSITIONS - 300))
    desk.end()
    desk.finish()
    values = {}
    add_counts(values, scan)
    add_counts(values, scan)
    assert values["livestrain_positions_analysed_total"] == {"diffraction": 2 * POSITIONS, "reduction": 2 * POSITIONS}
    assert values["livestrain_frame_faults_total"] == {"late": 4}
