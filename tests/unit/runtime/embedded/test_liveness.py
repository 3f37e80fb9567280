from __future__ import annotations

import os
import subprocess
import sys

from runtime.embedded.liveness import alive, place, started


def test_this_process_lives_and_another_with_its_number_does_not():
    assert alive(os.getpid(), started(os.getpid()))
    assert alive(os.getpid(), "")
    assert alive(os.getpid(), "1") == (started(os.getpid()) == "")
    assert place() == place()


def test_a_killed_process_is_dead_before_anybody_waits_for_it():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    start = started(child.pid)
    assert alive(child.pid, start)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not alive(child.pid, start)
    child.wait()
    assert not alive(child.pid, start)
