"""The process that `llava-ov bench callbacks` measures: the node with one more image subscription as a probe."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

import rclpy
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.executors import MultiThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image
from std_msgs.msg import Float64

from ..frames import stamp_ns
from ..node.allocator import keep_large_blocks
from ..node.main import EXECUTOR_THREADS, spin
from ..node.node import LlavaOvNode
from ..node.signals import StopSignals

PROBE_TOPIC = "probe"
LATENCY_TOPIC = "probe_latency_s"


def add_probe(node: LlavaOvNode) -> None:
    """Publish, for every picture on the topic `probe`, the seconds from its stamp to its callback."""
    latency = node.create_publisher(Float64, LATENCY_TOPIC, 100)

    def take(message: Any) -> None:
        latency.publish(Float64(data=(time.time_ns() - stamp_ns(message.header.stamp)) / 1e9))

    qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    node.create_subscription(Image, PROBE_TOPIC, take, qos, callback_group=MutuallyExclusiveCallbackGroup())


def main() -> int:
    """Spin the node with its probe until SIGINT or SIGTERM; return the exit code."""
    keep_large_blocks()
    rclpy.init(args=sys.argv, signal_handler_options=SignalHandlerOptions.NO)
    signals = StopSignals()
    signals.install()
    node = LlavaOvNode()
    add_probe(node)
    executor = MultiThreadedExecutor(num_threads=EXECUTOR_THREADS)
    executor.add_node(node)
    spinner = threading.Thread(target=spin, args=(executor, node.get_logger()), daemon=True)
    spinner.start()
    signals.wait()
    node.destroy_node()
    executor.shutdown(timeout_sec=5.0)
    rclpy.try_shutdown()
    spinner.join(timeout=5.0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
