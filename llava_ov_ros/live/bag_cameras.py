"""The node's cameras for playing a bag, as JSON: `python3 -m llava_ov_ros.live.bag_cameras BAG [TOPIC ...]`.

A process of its own for replay.launch.py: `ros2` runs with the system's Python, which does not see the packages of an
active virtual environment.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ..missing_module import says_missing


def cameras_of_bag(bag: Path, topics: Sequence[str]) -> dict[str, list[str]]:
    """What the launch arguments have to be for a node that hears the bag when it is played.

    Args:
        bag: Folder of a ROS 2 bag, or a .mcap, .db3 or .bag file.
        topics: Image topics to play; none: all that have messages.

    Returns:
        By the names `cameras`, `image_topics`, `image_transport` and `topics`, one entry for each topic.

    Raises:
        BagError: The bag cannot be read, or has no pictures on one of the topics.
    """
    from ..replay import BagError, camera_names, image_topics
    from .player import staged_base

    known = {topic.name: topic for topic in image_topics(bag) if topic.count}
    names = list(topics) or list(known)
    missing = [name for name in names if name not in known]
    if missing or not known:
        raise BagError(f"{bag} has no pictures on {', '.join(missing)}; it has {', '.join(known) or 'none'}")
    chosen = [known[name] for name in names]
    return {
        "cameras": list(camera_names(names).values()),
        # The player is in no namespace; a name without a slash at its beginning would be looked for in the node's.
        "image_topics": [staged_base(topic) for topic in chosen],
        "image_transport": [topic.transport for topic in chosen],
        "topics": names,
    }


def main(arguments: Sequence[str]) -> int:
    """Print the JSON object; where there is none, one line on the standard error, with exit code 1.

    Args:
        arguments: The bag, then topics.
    """
    try:
        from ..replay import BagError
    except ModuleNotFoundError as error:
        return _fail(says_missing(error.name))
    try:
        cameras = cameras_of_bag(Path(arguments[0]), arguments[1:])
    except BagError as error:
        return _fail(str(error))
    sys.stdout.write(f"{json.dumps(cameras)}\n")
    return 0


def _fail(reason: str) -> int:
    sys.stderr.write(f"{reason}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
