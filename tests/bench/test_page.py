import shlex
from pathlib import Path

import pytest

from docs.pages import read, rows, section, snippets
from livestrain_client.cli.command import run


def test_accuracy_is_measured_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for _, text in snippets("how-to/measure-accuracy.md", "sh"):
        for line in text.splitlines():
            assert run(shlex.split(line)[1:]) == 0, line
    said = capsys.readouterr().out
    for row in rows(section(read("how-to/measure-accuracy.md"), "Score strain")):
        for name in row[0].replace("`", "").split(", "):
            assert f'"{name}"' in said
