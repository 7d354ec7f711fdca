"""Choose the image topics of a bag that a command is about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import USAGE, CommandError
from .show import topic_table

if TYPE_CHECKING:
    from ..replay import ImageTopic


def chosen_topics(bag: Path, wanted: Sequence[str], topics: Sequence[ImageTopic]) -> tuple[ImageTopic, ...]:
    """Return the topics that the user asked for, or the only topic that has messages.

    Args:
        bag: Path of the recording, for the error message.
        wanted: Values of --topic.
        topics: Image topics of the bag.

    Raises:
        CommandError: A topic is missing or cannot be decoded here, or the bag has several topics and none was asked
            for.
    """
    chosen = _chosen(bag, wanted, topics)
    # Not above: these bring numpy and OpenCV, which --help does without.
    from ..frames.video import NEEDS_AV, has_av
    from ..message_types import VIDEO_TYPES

    for topic in chosen:
        if topic.type in VIDEO_TYPES and not has_av():
            raise CommandError(f"{topic.name} of {bag} is video, and {NEEDS_AV}")
    return chosen


def _chosen(bag: Path, wanted: Sequence[str], topics: Sequence[ImageTopic]) -> tuple[ImageTopic, ...]:
    by_name = {topic.name: topic for topic in topics}
    if wanted:
        for name in wanted:
            if name not in by_name:
                raise CommandError(f"{bag} has no image topic {name}; it has:\n{topic_table(topics)}", USAGE)
        return tuple(by_name[name] for name in dict.fromkeys(wanted))
    filled = [topic for topic in topics if topic.count]
    if len(filled) > 1:
        raise CommandError(
            f"{bag} has {len(filled)} image topics: choose with --topic (repeat it for several cameras)\n"
            f"{topic_table(topics)}",
            USAGE,
        )
    return tuple(filled or topics[:1])
