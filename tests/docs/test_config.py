from pathlib import Path

import pytest

from docs.pages import snippets
from livestrain_daemon.config import load_config


def test_the_example_of_the_configuration_s_page_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LIVESTRAIN_WORKERS__COUNT", "LIVESTRAIN_SPOOL__FOLDER"):
        monkeypatch.delenv(name, raising=False)
    (_, text), *_ = snippets("reference/config.md", "toml")
    (tmp_path / "config.toml").write_text(text)
    config = load_config(tmp_path / "config.toml")
    assert (config.spool.folder, config.workers.count) == (Path("/data/scans"), 4)
    assert [detector.name for detector in config.analysis.detectors] == ["bright_field", "ring"]


@pytest.mark.parametrize("text", [text for _, text in snippets("how-to/connect-a-detector.md", "toml")])
def test_every_configuration_of_a_detector_can_be_used(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    assert load_config(tmp_path / "config.toml").intake.model_fields_set
