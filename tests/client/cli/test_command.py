"""The command itself: its help, its exit codes, and the verbs of other packages."""

import subprocess
import sys
from importlib.metadata import version

import pytest

from client.cli.scan import VERBS
from livestrain_client.cli import arm, calibrate, exits, reference, status, stop, verbs, watch
from livestrain_client.cli.command import run


def test_help_shows_each_verb_and_loads_none_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == exits.OK
    shown = capsys.readouterr().out
    for verb in VERBS:
        assert verb in shown
        assert verbs.HELP[verb][:30] in shown
    assert "Greet somebody." in shown
    assert "More." not in shown


@pytest.mark.parametrize("verb", VERBS)
def test_the_line_in_the_help_agrees_with_the_verb(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([verb, "--help"]) == exits.OK
    shown = " ".join(capsys.readouterr().out.split())
    assert f"livestrain {verb}" in shown
    assert verbs.HELP[verb].rstrip(".").split(";")[0] in shown


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == exits.OK
    assert capsys.readouterr().out == f"livestrain {version('livestrain')}\n"


def test_no_verb_or_a_wrong_one_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == exits.USAGE
    assert run(["wach"]) == exits.USAGE
    assert "did you mean 'watch'?" in capsys.readouterr().err
    assert run(["watch", "--no-such-option"]) == exits.USAGE


def test_a_missing_extra_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(verbs.EXTRAS, "livestrain_daemon_absent", "daemon")
    assert run(["wander"]) == exits.UNAVAILABLE
    assert capsys.readouterr().err == (
        "livestrain wander needs the extra 'daemon': "
        "pip install 'livestrain[daemon]', or in a clone pip install -e '.[daemon]' "
        "(No module named 'livestrain_daemon_absent')\n"
    )


def test_verbs_of_other_packages_run_and_their_errors_have_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["greet", "world"]) == exits.OK
    assert capsys.readouterr().out == "hello world\n"
    assert run(["fall", "config"]) == exits.CONFIG
    assert run(["fall", "io"]) == exits.IO
    assert "livestrain fall: over" in capsys.readouterr().err
    with pytest.raises(KeyError):
        run(["fall", "bug"])


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_when_no_daemon_answers(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([verb, "--control", "tcp://127.0.0.1:9", "--deadline", "0.2"]) == exits.UNAVAILABLE
    told = capsys.readouterr()
    assert "tcp://127.0.0.1:9" in told.err
    assert told.out == ""


def test_the_command_is_light_and_ends_with_the_code_of_its_verb() -> None:
    code = (
        "import sys; from livestrain_client.cli import main; sys.argv[1:] = ['status', '--deadline', '0.1', "
        "'--control', 'tcp://127.0.0.1:9']\n"
        "try:\n    main()\nfinally:\n"
        "    heavy = {'numba', 'h5py', 'matplotlib', 'livestrain_daemon', 'livestrain_core'} & set(sys.modules)\n"
        "    assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (exits.UNAVAILABLE, ""), done.stderr


def test_each_verb_module_has_its_app() -> None:
    for module in (watch, status, arm, stop, calibrate, reference):
        assert module.app.registered_commands
