"""Small JPEG pictures of the cameras, at a bounded rate and size, while a browser watches."""

from __future__ import annotations

import json
import struct
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import cv2
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy

from ..frames import DecodeOptions, ImageError, MessageDecoder, Rgb, stamp_and_frame
from ..frames.video import has_av
from ..message_types import IMAGE_TYPES, VIDEO_TYPES
from ..node.image_messages import NotInstalledError, message_class
from ..settings import DEFAULTS
from ..settings.value_range import DEFAULT

PICTURES_PER_S = 4.0
LONGEST_SIDE = 640
"""Most pixels of a side; larger pictures are made smaller."""
QUALITY = 70
MOST_CAMERAS = 16
"""Most cameras of which pictures are shown."""
VIDEO_DEPTH = 100
"""Messages of a video that are kept between two looks: each of its pictures needs those before it."""


class PolledGroup(MutuallyExclusiveCallbackGroup):
    """The callback group of subscriptions whose newest message is taken when it is wanted; no executor takes any."""

    def can_execute(self, entity: Any) -> bool:
        """Never."""
        return False


class WatchedCamera:
    """The subscription to one camera's topic, and the decoder of its messages."""

    def __init__(self, node: Node, name: str, topic: str, kind: str) -> None:
        """Subscribe.

        Args:
            node: The node that subscribes.
            name: Name of the camera.
            topic: Full name of the topic.
            kind: Type of its messages.

        Raises:
            NotInstalledError: The package of the messages is not installed.
        """
        self.name, self.topic = name, topic
        # The middleware replaces a picture by the next one; Python sees only those that are shown.
        depth = VIDEO_DEPTH if kind in VIDEO_TYPES else 1
        qos = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT)
        group = PolledGroup()  # type: ignore[no-untyped-call]
        self._node = node
        self._subscription = node.create_subscription(
            message_class(kind), topic, lambda _: None, qos, callback_group=group
        )
        self._decoder = MessageDecoder(name, DecodeOptions(max_pixels=DEFAULTS.max_image_pixels))

    def newest(self) -> bytes | None:
        """The newest picture since the last call, as `picture_message` has it; None if there is none.

        Raises:
            ImageError: The message has no usable picture.
        """
        decode, stamp_ns = None, 0
        with self._subscription.handle:
            while (taken := self._subscription.handle.take_message(self._subscription.msg_type, False)) is not None:
                stamp_ns, _ = stamp_and_frame(taken[0])
                decode = self._decoder.follow(taken[0])
        return None if decode is None else picture_message(self.name, stamp_ns, decode().shown(DEFAULT))

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)


def picture_message(camera: str, stamp_ns: int, rgb: Rgb) -> bytes:
    """A picture as browsers get it: the length of a JSON object (4 bytes, big-endian), the object, a JPEG file.

    The object has `camera`, `stamp` (sec, nanosec), and `width` and `height` of the camera's own picture.
    """
    height, width = rgb.shape[:2]
    scale = LONGEST_SIDE / max(height, width)
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        bgr = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    sec, nanosec = divmod(stamp_ns, 1_000_000_000)
    head = {"camera": camera, "stamp": {"sec": sec, "nanosec": nanosec}, "width": width, "height": height}
    text = json.dumps(head).encode()
    return struct.pack(">I", len(text)) + text + jpeg.tobytes()


class CameraPictures:
    """A thread that looks at every camera a few times per second while a browser watches.

    Each picture is decoded and encoded once, however many browsers watch; while none does, there is no subscription.
    """

    def __init__(self, node: Node, on_picture: Callable[[str, bytes], None]) -> None:
        """Begin to wait for a browser.

        Args:
            node: The node that subscribes.
            on_picture: Gets a camera's name and each new picture, in this object's thread.
        """
        self._node = node
        self._on_picture = on_picture
        self._topics: Mapping[str, str] = {}
        self._cameras: dict[str, WatchedCamera] = {}
        self._is_watched = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="llava_ov_web_pictures", daemon=True)
        self._thread.start()

    def watch(self, is_watched: bool) -> None:
        """Say whether any browser wants pictures."""
        if is_watched:
            self._is_watched.set()
        else:
            self._is_watched.clear()

    def follow(self, topics: Mapping[str, str]) -> None:
        """Say which topic each camera has now, by the cameras' names."""
        self._topics = topics

    def close(self) -> None:
        """End the thread and its subscriptions."""
        self._closing.set()
        self._is_watched.set()
        self._thread.join(5)

    def _run(self) -> None:
        cv2.setNumThreads(1)
        while not self._closing.is_set():
            if not self._is_watched.is_set():
                self._unsubscribe(list(self._cameras))
                self._is_watched.wait()
                continue
            try:
                self._look()
            except Exception as error:  # noqa: BLE001 - one failure must not end the pictures
                failed = "".join(traceback.format_exception(error))
                self._node.get_logger().error(f"no pictures: {failed}", throttle_duration_sec=10.0)
            self._closing.wait(1 / PICTURES_PER_S)
        self._unsubscribe(list(self._cameras))

    def _look(self) -> None:
        self._subscribe()
        for camera in list(self._cameras.values()):
            try:
                picture = camera.newest()
            except ImageError as error:
                # The node's diagnostics say what is wrong with a camera's messages.
                self._node.get_logger().debug(str(error), throttle_duration_sec=10.0)
                continue
            if picture is not None:
                self._on_picture(camera.name, picture)

    def _subscribe(self) -> None:
        """Subscribe to new cameras whose topics somebody publishes, and unsubscribe from those that are no more."""
        wanted = dict(list(self._topics.items())[:MOST_CAMERAS])
        self._unsubscribe([name for name, one in self._cameras.items() if wanted.get(name) != one.topic])
        missing = {name: topic for name, topic in wanted.items() if name not in self._cameras}
        if not missing:
            return
        kinds = dict(self._node.get_topic_names_and_types())
        for name, topic in missing.items():
            kind = next((kind for kind in kinds.get(topic, ()) if kind in IMAGE_TYPES), None)
            if kind is None or (kind in VIDEO_TYPES and not has_av()):
                continue
            try:
                self._cameras[name] = WatchedCamera(self._node, name, topic, kind)
            except NotInstalledError as error:
                self._node.get_logger().warning(str(error), throttle_duration_sec=60.0)

    def _unsubscribe(self, names: list[str]) -> None:
        for name in names:
            self._cameras.pop(name).close()
