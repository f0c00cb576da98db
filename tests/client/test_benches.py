from importlib.metadata import EntryPoint

import pytest
import typer
from typer.testing import CliRunner

from livestrain_client.rig import benches


def app_with(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> typer.Typer:
    monkeypatch.setattr(benches, "entry_points", lambda group: points if group == benches.GROUP else ())
    app = typer.Typer()
    app.command("own")(lambda: None)
    benches.add_installed(app)
    return app


def test_benchmarks_of_installed_packages_become_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_with(monkeypatch, EntryPoint("cases", "livestrain_simulator.cases.cli:app", benches.GROUP))
    result = CliRunner().invoke(app, ["--help"])
    assert "cases" in result.output
    assert "own" in result.output


def test_a_benchmark_that_cannot_be_loaded_says_what_it_needs_when_called(monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_with(monkeypatch, EntryPoint("lost", "livestrain_models.absent:app", benches.GROUP))
    runner = CliRunner()
    assert runner.invoke(app, ["own"]).exit_code == 0
    result = runner.invoke(app, ["lost"])
    assert result.exit_code == 69
    assert "livestrain bench lost needs the extra 'models'" in result.output
