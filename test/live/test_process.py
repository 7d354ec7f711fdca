"""The node as a process of its own: whatever interrupts its start, no process stays."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from llava_ov_ros.cli.stopping import leaving_in_order
from llava_ov_ros.live.process import NodeProcess

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_while_the_process_starts_leaves_none_behind(monkeypatch, tmp_path, number, raised):
    started = []

    class Interrupted(subprocess.Popen):
        """The signal comes when the process is there and nobody has it yet."""

        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            started.append(self)
            signal.raise_signal(number)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    node = NodeProcess("/test", {}, tmp_path / "node.log", command=SLEEPER)
    with pytest.raises(raised), leaving_in_order(), node:
        pytest.fail("the block must not begin")
    (process,) = started
    assert process.returncode is not None, "it was ended and waited for"
