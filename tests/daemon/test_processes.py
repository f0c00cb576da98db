import os
import signal
import subprocess
import sys

import psutil
import pytest

from helpers.waiting import wait_until
from livestrain_daemon.processes import how_it_ended

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


def test_a_child_whose_parent_has_gone_already_ends_at_once() -> None:
    code = CHILD.format(parent=os.getpid() + 1_000_000, then="sys.exit(7)")
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=30)
    assert done.returncode == 1
