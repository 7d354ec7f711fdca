"""Counts how many camera pictures reach another process, without and with config/fastdds.xml on the publisher.

Run it as `python test/launch/measure_pictures.py` in an environment in which rclpy works.
"""

from __future__ import annotations

import array
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

PROFILE = Path(__file__).resolve().parents[2] / "config" / "fastdds.xml"
VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
WIDTH, HEIGHT, RATE_HZ = 1280, 720, 30
PICTURES = 90
TOPIC = "measure_pictures/image_raw"
WAIT_S = 20.0


def publish(namespace: str, pictures: int) -> None:
    """Publish pictures at the rate and print the size of this process's shared memory.

    Begins when a subscription is known here and the end of the standard input says that it knows this publisher, too.
    """
    rclpy.init()
    node = rclpy.create_node("publisher", namespace=namespace)
    publisher = node.create_publisher(Image, TOPIC, qos_profile_sensor_data)
    until_s = time.monotonic() + WAIT_S
    while publisher.get_subscription_count() == 0 and time.monotonic() < until_s:
        rclpy.spin_once(node, timeout_sec=0.05)
    sys.stdin.read()
    picture = Image(width=WIDTH, height=HEIGHT, encoding="rgb8", step=3 * WIDTH)
    picture.data = array.array("B", bytes(3 * WIDTH * HEIGHT))
    start_s = time.monotonic()
    for number in range(pictures):
        time.sleep(max(0.0, start_s + number / RATE_HZ - time.monotonic()))
        picture.header.frame_id = str(number)
        publisher.publish(picture)
    rclpy.spin_once(node, timeout_sec=1.0)
    print(shared_memory_bytes())
    rclpy.shutdown()


def shared_memory_bytes() -> int:
    """Largest shared-memory segment that Fast DDS has mapped into this process."""
    largest = 0
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "/dev/shm/fast" in line:
            first, last = (int(address, 16) for address in line.split()[0].split("-"))
            largest = max(largest, last - first)
    return largest


def measure(namespace: str, variables: Mapping[str, str], pictures: int = PICTURES) -> tuple[int, int]:
    """Publish from a process with these environment variables and count here.

    Returns:
        Pictures that arrived, and bytes of the publisher's shared memory.
    """
    clean = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    received: set[str] = set()
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("subscriber", namespace=namespace, context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    subscription = node.create_subscription(
        Image, TOPIC, lambda picture: received.add(picture.header.frame_id), qos_profile_sensor_data
    )
    command = [sys.executable, __file__, namespace, str(pictures)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=clean | dict(variables)) as publisher:
        assert publisher.stdin is not None
        until_s = time.monotonic() + WAIT_S
        while subscription.get_publisher_count() == 0 and time.monotonic() < until_s and publisher.poll() is None:
            executor.spin_once(timeout_sec=0.05)
        publisher.stdin.close()
        while publisher.poll() is None:
            executor.spin_once(timeout_sec=0.1)
        assert publisher.stdout is not None
        output = publisher.stdout.read()
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown(context=context)
    if publisher.returncode != 0:
        raise RuntimeError(f"the publisher ended with exit code {publisher.returncode}")
    return len(received), int(output.split()[-1])


def main() -> None:
    """Measure without and with the profile and print both."""
    for title, variables in (("default", {}), (PROFILE.name, dict.fromkeys(VARIABLES, str(PROFILE)))):
        received, size = measure(f"measure_{os.getpid()}", variables)
        print(f"{title}: {received} of {PICTURES} pictures arrived, shared memory {size / 2**20:.1f} MiB", flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        publish(sys.argv[1], int(sys.argv[2]))
    else:
        main()
