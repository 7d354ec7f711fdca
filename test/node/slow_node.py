"""The node as a process whose model loads, or computes, as long as the process lives: `slow_node.py load|compute`."""

from __future__ import annotations

import functools
import os
import sys
import threading
from types import SimpleNamespace

from llava_ov_ros.node import main
from llava_ov_ros.node.signals import StopSignals
from llava_ov_ros.onevision import Counters

NEVER = threading.Event()
what = sys.argv.pop(1)


def load(settings):
    """In the place of the function that loads the model."""
    if what == "load":
        NEVER.wait()
    return SimpleNamespace(
        name="slow",
        ask=lambda question, **how: (question, how),
        stream=lambda clips, asks, **how: NEVER.wait(),
        prepare=lambda clips, **how: False,
        planned_bytes=lambda: 0,
        memory_bytes=lambda: 0,
        counters=lambda: Counters(0, 0, 0, 0, 0, 0, 0, 0, 0),
        close=lambda: None,
    )


if __name__ == "__main__":
    signals = StopSignals()
    signals.install()
    main.LlavaOvNode = functools.partial(main.LlavaOvNode, load=load)
    code = main.main(signals)
    sys.stdout.flush()
    os._exit(code)
