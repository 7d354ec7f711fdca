"""The node as a process whose model loads, or computes, as long as the process lives: `slow_node.py load|compute`."""

from __future__ import annotations

import os
import sys
import threading
from types import SimpleNamespace

from llava_ov_ros.node import main
from llava_ov_ros.node.signals import StopSignals

NEVER = threading.Event()
what = sys.argv.pop(1)


def load(settings):
    """In the place of the function that loads the model."""
    if what == "load":
        NEVER.wait()
    return SimpleNamespace(
        name="slow",
        stream=lambda clips, asks, **how: NEVER.wait(),
        prepare=lambda clips, **how: False,
        may_hold=dict,
        memory_bytes=lambda: 0,
        counted=dict,
        at_once=1,
        close=lambda: None,
    )


class SlowNode(main.LlavaOvNode):
    """Says in its log whether callbacks could still run when its entities went."""

    def __init__(self):
        super().__init__(load=load)

    def destroy_node(self):
        """Say so, and go."""
        runs = any(thread.name == "llava_ov_executor" for thread in threading.enumerate())
        self.get_logger().info(f"entities go while the executor {'runs' if runs else 'has ended'}")
        super().destroy_node()


if __name__ == "__main__":
    signals = StopSignals()
    signals.install()
    main.LlavaOvNode = SlowNode
    code = main.main(signals)
    sys.stdout.flush()
    os._exit(code)
