"""Publishes answers and hints as text on pictures and in space, for Foxglove and RViz, if their messages are installed.

`foxglove_msgs` has texts on a picture, in its pixels. A text has the stamp of its frame, so that Foxglove shows the
text on that picture and on no other. `visualization_msgs` has texts in space; they stand before the camera that an
answer is about.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import ColorRGBA, Header

from llava_ov_ros.msg import ActionHint

from ..frames import Frame
from ..questions import Result, Status
from ..questions.chinese import has_han
from .messages import frame_header
from .other_messages import message_types

DEPTH = 10
LINES = 4
"""Most lines of a text; the rest is cut off with an ellipsis."""
ROWS = 24
"""Lines of text that a picture would have room for."""
LEAST_PX = 12.0
"""Height of the smallest letters, in pixels."""
MARKER_M, TEXT_M, COLUMNS = 1.0, 0.06, 40
"""RViz: distance from the camera and height of the letters in metres; characters of a line."""
WHITE, GREEN, DARK = (1.0, 1.0, 1.0, 1.0), (0.6, 1.0, 0.65, 1.0), (0.0, 0.0, 0.0, 0.6)
NO_PICTURES = (Status.STALE, Status.FROZEN, Status.NO_FRAMES)
ANSWER_M, HINT_M = -0.2, 0.25
"""Places of the texts before a camera, in metres below its axis: y of an optical frame points down."""
Colour = tuple[float, float, float, float]
"""Red, green, blue and opacity, 0 to 1."""


class Overlays:
    """Publishes `~/annotations` and `~/markers`; each only where its messages are installed and while it is heard."""

    def __init__(self, node: LifecycleNode) -> None:
        self._annotations: Any = None
        self._markers: Any = None
        try:
            foxglove = message_types("foxglove_msgs", "ImageAnnotations", "TextAnnotation", "Point2", "Color")
            if foxglove is not None:
                self._list, self._text, self._point, self._colour = foxglove
                self._annotations = node.create_publisher(self._list, "~/annotations", DEPTH)
            rviz = message_types("visualization_msgs", "MarkerArray", "Marker")
            # visualization_msgs depends on geometry_msgs.
            space = message_types("geometry_msgs", "Point", "Pose", "Vector3")
            if rviz is not None and space is not None:
                self._array, self._marker = rviz
                self._place, self._pose, self._size = space
                self._markers = node.create_publisher(self._array, "~/markers", DEPTH)
        except ImportError as error:
            # The other functions of the node need neither package.
            node.get_logger().warning(f"no texts for Foxglove and RViz: {error}")

    def answer(self, result: Result) -> None:
        """Publish an answer on the newest frame of each camera, and before each camera.

        Where a picture is stale, frozen or missing, nothing stands before the cameras any more: the last answer is not
        about the present.
        """
        if _heard(self._annotations):
            for clip in result.clips:
                self._annotations.publish(self._on_picture(clip.frames[-1], result))
        if result.status in (Status.OK, *NO_PICTURES) and _heard(self._markers):
            self._markers.publish(self._array(markers=list(self._before_cameras(result))))

    def hint(self, hint: ActionHint) -> None:
        """Publish the step that is hinted before the camera with the newest frame, or remove the last one."""
        if not _heard(self._markers):
            return
        step = " ".join((hint.action, *hint.arguments)) if hint.hint == ActionHint.STEP else ""
        words = {ActionHint.DONE: "done", ActionHint.CANNOT_TELL: "cannot tell"}.get(hint.hint, step)
        marker = self._in_space("hint", hint.header, f"next: {words}" if step else words, HINT_M, GREEN)
        self._markers.publish(self._array(markers=[marker]))

    def _on_picture(self, frame: Frame, result: Result) -> Any:
        height, width, _ = frame.picture.shape
        size_px = max(LEAST_PX, height / ROWS)
        texts = []
        for number, (line, colour) in enumerate(_lines(result, int(width / (0.6 * size_px))), 1):
            texts.append(
                self._text(
                    timestamp=frame_header(frame).stamp,
                    position=self._point(x=size_px / 2, y=number * 1.3 * size_px),
                    text=line,
                    font_size=size_px,
                    text_color=self._foxglove_colour(colour),
                    background_color=self._foxglove_colour(DARK),
                )
            )
        return self._list(texts=texts)

    def _foxglove_colour(self, colour: Colour) -> Any:
        return self._colour(**dict(zip("rgba", colour, strict=True)))

    def _before_cameras(self, result: Result) -> Iterator[Any]:
        """A text for each camera of the question; a camera without one loses the last text."""
        text = "\n".join(line for line, _ in _lines(result, COLUMNS))
        newest = {clip.camera: clip.frames[-1] for clip in result.clips} if result.status is Status.OK else {}
        for camera in result.query.cameras:
            shown = camera in newest
            header = frame_header(newest[camera]) if shown else Header()
            yield self._in_space(f"answer, {camera}", header, text if shown else "", ANSWER_M, WHITE)

    def _in_space(self, name: str, header: Header, text: str, below_m: float, colour: Colour) -> Any:
        """A text before a camera; without a text or a coordinate frame, the end of the text of that name."""
        return self._marker(
            header=header,
            ns=name,
            type=self._marker.TEXT_VIEW_FACING,
            action=self._marker.ADD if text and header.frame_id else self._marker.DELETE,
            pose=self._pose(position=self._place(x=0.0, y=below_m, z=MARKER_M)),
            scale=self._size(x=0.0, y=0.0, z=TEXT_M),
            color=ColorRGBA(**dict(zip("rgba", colour, strict=True))),
            text=text,
        )


def _heard(publisher: Any) -> bool:
    return publisher is not None and publisher.get_subscription_count() > 0


def _lines(result: Result, columns: int) -> list[tuple[str, Colour]]:
    """The lines of a result, each with its colour: the question, and the answer or why there is none."""
    if result.status is Status.OK:
        said = f"{result.text} ({result.confidence:.0%})"
    else:
        said = f"{result.status.name}: {result.message}"
    return [
        (line, colour)
        for text, colour in ((result.query.question, WHITE), (said, GREEN))
        for line in _wrapped(text, columns)
    ]


def _wrapped(text: str, columns: int) -> list[str]:
    """A text in lines of so many characters; a Chinese one is as wide as two."""
    width = max(8, columns // 2 if has_han(text) else columns)
    # Only so much can be shown; a long text is not wrapped as a whole.
    return textwrap.wrap(text[: (LINES + 1) * width], width, max_lines=LINES, placeholder=" …") or [""]
