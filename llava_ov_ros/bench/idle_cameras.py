"""The process of the cameras of `llava-ov bench idle`: 1280x720 rgb8 at 30 Hz, each on a topic of its own."""

from __future__ import annotations

import random
import struct
import sys
import time
from collections.abc import Sequence

import rclpy
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from ..frames import NS_PER_S
from ..node.allocator import keep_large_blocks
from ..node.signals import StopSignals

HZ, WIDTH, HEIGHT = 30, 1280, 720
# Behind the four bytes of the encapsulation; `serialize_message` writes in the machine's byte order.
STAMP_AT = 4


def serialised_picture() -> bytearray:
    """Return a serialised sensor_msgs/Image whose pixels are noise."""
    pixels = random.Random(1).randbytes(3 * WIDTH * HEIGHT)
    message = Image(header=Header(frame_id="camera"), height=HEIGHT, width=WIDTH, encoding="rgb8", step=3 * WIDTH)
    message.data.frombytes(pixels)
    return bytearray(serialize_message(message))


def publish_until_stopped(publishers: Sequence[Publisher], signals: StopSignals) -> None:
    """Publish at 30 Hz on each topic that has a subscription, until SIGINT or SIGTERM.

    The message is serialised once: each picture gets its stamp and another last pixel, so that no camera is frozen.
    """
    picture = serialised_picture()
    number, due_s = 0, time.monotonic()
    while not signals.told:
        number += 1
        struct.pack_into("=iI", picture, STAMP_AT, *divmod(time.time_ns(), NS_PER_S))
        picture[-1] = number % 256
        for publisher in publishers:
            if publisher.get_subscription_count():
                publisher.publish(bytes(picture))
        # A publisher that was held up goes on at the same rate, and makes up for nothing.
        due_s = max(due_s + 1 / HZ, time.monotonic())
        time.sleep(due_s - time.monotonic() if due_s > time.monotonic() else 0.0)


def main() -> int:
    """Publish on the topics that the command line names; return the exit code."""
    keep_large_blocks()
    rclpy.init(args=sys.argv, signal_handler_options=SignalHandlerOptions.NO)
    signals = StopSignals()
    signals.install()
    node = rclpy.create_node("llava_ov_bench_cameras")
    qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    topics = remove_ros_args(sys.argv)[1:]
    publish_until_stopped([node.create_publisher(Image, topic, qos) for topic in topics], signals)
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
