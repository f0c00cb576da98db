import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from helpers.waiting import wait_until
from livestrain_daemon.processes import how_it_ended, spawn

CHILD = "import sys, time; from livestrain_daemon.processes import become_child; become_child({parent}); {then}"
PARENT = (
    "import subprocess, sys, os;"
    "child = subprocess.Popen([sys.executable, '-c', sys.argv[1].replace('PARENT', str(os.getpid()))],"
    " stdout=subprocess.PIPE, text=True);"
    "child.stdout.readline(); print(child.pid, flush=True); sys.stdin.read()"
)


@pytest.mark.parametrize(
    ("returncode", "words"),
    [
        (0, "exited with code 0"),
        (78, "exited with code 78"),
        (-9, "was ended by SIGKILL"),
        (-11, "was ended by SIGSEGV"),
        (-200, "was ended by signal 200"),
    ],
)
def test_the_end_of_a_process_in_words(returncode: int, words: str) -> None:
    assert how_it_ended(returncode) == words


def test_a_child_ends_with_its_parent_however_that_ends() -> None:
    then = "print('ready', flush=True); time.sleep(600)"
    command = [sys.executable, "-c", PARENT, CHILD.format(parent="PARENT", then=then)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        os.kill(child.pid, signal.SIGINT)
        os.kill(child.pid, signal.SIGTERM)
        assert child.is_running()
        parent.kill()
        wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, what="the child's end")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_child_hears_no_signal_before_it_can_ignore_it(tmp_path: Path, number: signal.Signals) -> None:
    module = (
        "import json, sys, time\n"
        "from pathlib import Path\n"
        "folder = Path(__file__).parent\n"
        "(folder / 'begun').touch()\n"
        "while not (folder / 'go').exists(): time.sleep(0.01)\n"
        "from livestrain_daemon.processes import become_child\n"
        "become_child(json.loads(sys.argv[1])['parent_pid'])\n"
        "sys.exit(7)\n"
    )
    (tmp_path / "slow_child.py").write_text(module)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        child = spawn("slow_child", {})
    wait_until((tmp_path / "begun").exists, 30, "the child")
    child.send_signal(number)
    (tmp_path / "go").touch()
    assert child.wait(30) == 7


def test_who_starts_a_child_hears_signals_as_before() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    spawn("this", {}).wait(30)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_a_child_whose_parent_has_gone_already_ends_at_once() -> None:
    code = CHILD.format(parent=os.getpid() + 1_000_000, then="sys.exit(7)")
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=30)
    assert done.returncode == 1
