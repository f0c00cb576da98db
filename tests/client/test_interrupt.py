import subprocess
import sys

import pytest

# the process interrupts itself, as Ctrl-C would, when it comes to import this module
AT_IMPORT = """
import os, signal, sys

module = sys.argv[1]

class Interrupting:
    def find_spec(self, name, path, target=None):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
from livestrain_client.cli import main
sys.argv[1:] = sys.argv[2:]
main()
"""


def command_interrupted_at(module: str, *verb: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", AT_IMPORT, module, *(verb or ("config", "show"))],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("module", ["livestrain_client.cli.command", "rich.table", "livestrain_daemon.cli"])
def test_an_interrupt_while_the_command_is_imported_ends_it_in_a_line(module: str) -> None:
    done = command_interrupted_at(module)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "livestrain: interrupted\n")


@pytest.mark.parametrize("verb", ["config", "serve"])
def test_an_interrupt_while_a_verb_imports_ends_it_in_a_line(verb: str) -> None:
    done = command_interrupted_at("livestrain_daemon.config", verb, *(["show"] if verb == "config" else []))
    assert (done.returncode, done.stdout, done.stderr) == (130, "", f"livestrain {verb}: interrupted\n")


def test_without_an_interrupt_the_command_does_its_work() -> None:
    done = command_interrupted_at("no.such.module")
    assert (done.returncode, done.stderr) == (0, "")
    assert "[intake]" in done.stdout
