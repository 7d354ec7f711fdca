"""Names of cameras, made from their topics."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence, Set

from ..message_types import appends

# What drivers call the picture itself: image, image_raw, image_rect_color, video, ...
_PICTURE = re.compile(r"(compressed_)?(image|video)(_.*)?")
# What the RealSense SDK puts behind it.
_CONTENT = "data"
_NAMELESS = "camera"


def camera_names(topics: Sequence[str]) -> dict[str, str]:
    """Give each topic a camera name of its own: the part of the topic that says which camera it is.

    `/spot/camera/hand_color/image` is `hand_color`, `/camera/image_raw/compressed` is `camera`. Where two would
    be the same, parts before it are added (`left_color`, `right_color`), and where one camera has several topics, what
    stands behind it, too (`left_image_raw`, `left_image_rect`).

    Args:
        topics: Different topics.

    Returns:
        The names by topic.
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
    """All parts of each topic joined as its name; if another camera has that name, the topic as it is written."""
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
