"""Publishes the evidence picture: the frames that a result rests on, drawn in a thread of its own."""

from __future__ import annotations

import threading
from collections import deque

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage

from ..questions import Result, evidence_jpeg
from .messages import newest_header

MOST_WAITING = 8
"""Most results whose pictures wait to be drawn; if there are more, the oldest results get no picture."""


class Evidence:
    """Publishes ~/evidence/compressed. A separate thread draws the pictures, so that no caller of `show` waits."""

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._publisher = node.create_publisher(CompressedImage, "~/evidence/compressed", QoSProfile(depth=1))
        self._waiting: deque[Result] = deque(maxlen=MOST_WAITING)
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def show(self, result: Result) -> None:
        """Have the picture of a result drawn, if the topic has a subscriber and the result has frames."""
        if not result.clips or not self._node.context.ok() or self._publisher.get_subscription_count() == 0:
            return
        with self._changed:
            if self._closed:
                return
            self._waiting.append(result)
            self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="llava_ov_evidence", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Discard the results that wait, and wait for the picture that is being drawn."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                result = self._waiting.popleft()
            try:
                self._draw(result)
            except Exception as error:  # noqa: BLE001 - a picture that fails must not end those after it
                self._node.get_logger().error(f"no evidence picture: {type(error).__name__}: {error}")

    def _draw(self, result: Result) -> None:
        jpeg = evidence_jpeg(result)
        if self._node.context.ok():
            header = newest_header(result.clips)
            self._publisher.publish(CompressedImage(header=header, format="jpeg", data=jpeg))
