"""Makes names of cameras from the cameras' topics."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence, Set

from ..message_types import appends

# Drivers name the picture itself so: image, image_raw, image_rect_color, video, ...
_PICTURE = re.compile(r"(compressed_)?(image|video)(_.*)?")
# The RealSense SDK appends this name.
_CONTENT = "data"
_NAMELESS = "camera"


def camera_names(topics: Sequence[str]) -> dict[str, str]:
    """Give each topic a unique name: the part of the topic that tells which camera the topic belongs to.

    `/spot/camera/hand_color/image` becomes `hand_color`, and `/camera/image_raw/compressed` becomes `camera`. If two
    names would be equal, earlier parts of the topics are put in front (`left_color`, `right_color`). If one camera has
    several topics, later parts are appended, too (`left_image_raw`, `left_image_rect`).

    Args:
        topics: Names of the topics, all different.

    Returns:
        The camera's name of each topic.
    """
    parts = {topic: _camera_parts(topic) for topic in topics}
    used = dict.fromkeys(topics, 1)
    while True:
        names = {topic: "_".join(parts[topic][-used[topic] :]) for topic in topics}
        counts = Counter(names.values())
        alike = [topic for topic in topics if counts[names[topic]] > 1]
        extensible = [topic for topic in alike if used[topic] < len(parts[topic])]
        if not extensible:
            return names | _whole_names(alike, {names[topic] for topic in topics if topic not in alike})
        for topic in extensible:
            used[topic] += 1


def _whole_names(topics: Sequence[str], taken: Set[str]) -> dict[str, str]:
    """Join all parts of each topic to its name; keep the topic as written if another topic has the joined name."""
    whole = {topic: "_".join(part for part in topic.split("/") if part) for topic in topics}
    counts = Counter([*whole.values(), *taken])
    return {topic: name if counts[name] == 1 else topic for topic, name in whole.items()}


def _camera_parts(topic: str) -> list[str]:
    parts = [part for part in topic.split("/") if part]
    if parts and appends(parts[-1]):
        parts.pop()
    if len(parts) > 1 and parts[-1] == _CONTENT:
        parts.pop()
    while parts and _PICTURE.fullmatch(parts[-1]):
        parts.pop()
    return parts or [_NAMELESS]
