"""Reads the image topics of ROS 1 and ROS 2 bags, merged by the times of their messages.

The time of a message is its `header.stamp`, or its record time if the stamp is zero. Messages of one topic keep the
order in which they were recorded; several topics are merged by time. When the stamps of a topic jump back (a looped
recording), a new lap of this topic begins; messages of a later lap come after all messages of earlier laps.
"""

from __future__ import annotations

import heapq
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..frames import NS_PER_S, stamp_and_frame
from ..message_types import ANSWER, COMPRESSED_IMAGE, IMAGE, IMAGE_TYPES, NO_THEORA, THEORA, transport_of
from .bag_error import BagError
from .deserialising import decode_message
from .files import opened, raw_messages
from .storage import CDR, ROS1, RecordedTopic, Storage, add_topic

_VIDEO = re.compile(r"video|ffmpeg|h26[45]|theora", re.IGNORECASE)
_TAIL_NS = 2 * NS_PER_S
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageTopic:
    """One topic of a bag that carries pictures.

    Attributes:
        name: Name of the topic.
        type: Message type of the topic, one of `message_types.IMAGE_TYPES`.
        transport: Transport of the topic, which `message_types.transport_of` tells from name and type.
        count: Number of recorded messages.
        first_ns: Time of the first message, in nanoseconds; 0 without messages.
        last_ns: Time of the last message, in nanoseconds; 0 without messages.
        stamped: Whether the first message has a header stamp; without a stamp, its record time is used.
    """

    name: str
    type: str
    transport: str
    count: int
    first_ns: int
    last_ns: int
    stamped: bool


@dataclass(frozen=True, eq=False)
class StoredMessage:
    """The bytes of a message in a bag.

    Attributes:
        recorded_ns: Record time in nanoseconds.
        raw: The bytes, perhaps compressed by Zstandard.
        encoding: Serialisation of the message: cdr or ros1.
    """

    recorded_ns: int
    raw: bytes
    encoding: str


@dataclass(frozen=True, eq=False)
class BagMessage:
    """One image message of a bag.

    Attributes:
        topic: Name of the message's topic.
        time_ns: Stamp of the message in nanoseconds, or its record time if the stamp is zero.
        lap: How often the stamps of the topic have jumped back before this message.
        message: The message, as rosbags returns it.
        stored: The message as it is stored in the bag.
    """

    topic: str
    time_ns: int
    lap: int
    message: Any
    stored: StoredMessage


@dataclass(frozen=True)
class MalformedMessage:
    """A message of an image topic whose bytes are not a message of the topic's type.

    Attributes:
        topic: Name of the message's topic.
        stored: The message as it is stored in the bag. Its record time counts, because its stamp cannot be read.
        reason: Why the message cannot be read.
    """

    topic: str
    stored: StoredMessage
    reason: str

    def __str__(self) -> str:
        """Name the message by its topic and record time, and say why the message cannot be read."""
        return f"the message of {self.topic} recorded at {self.stored.recorded_ns / NS_PER_S:.3f} s: {self.reason}"


def warn_of_malformed(message: MalformedMessage) -> None:
    """Log a malformed message as a warning."""
    _logger.warning("left out %s", message)


@dataclass(frozen=True)
class Contents:
    """Topics and duration of a bag.

    Attributes:
        types: Message type of each topic, by the topic's name.
        duration_ns: Nanoseconds from the first to the last record time of all topics.
    """

    types: dict[str, str]
    duration_ns: int


def contents(path: Path) -> Contents:
    """Read which topics a bag has and how long the bag is, from its index where it has one; no message is decoded.

    Raises:
        BagError: The bag does not exist or is damaged.
    """
    with opened(path) as storages:
        first_ns, last_ns = _span_ns(storages)
        return Contents({name: topic.type for name, topic in _topics(storages).items()}, last_ns - first_ns)


def why_no_picture(kind: str) -> str:
    """Return why a topic of a message type shows no pictures, as the end of a sentence that begins with the topic."""
    if kind == THEORA:
        return f"is of type {kind}: {NO_THEORA}"
    if _VIDEO.search(kind):
        return f"is of type {kind}, which is video: turn it into {COMPRESSED_IMAGE} first"
    return f"is of type {kind}, which is no picture"


def image_topics(path: Path) -> tuple[ImageTopic, ...]:
    """List the image topics of a bag, sorted by name, without the evidence pictures of a node that was recorded.

    Only the first and last messages of each topic are decoded.

    Raises:
        BagError: The bag does not exist, is damaged, or has no image topic.
    """
    with opened(path) as storages:
        images = _images(path, storages)
        return tuple(_image_topic(storages, name, images[name]) for name in sorted(images))


def read_messages(
    path: Path,
    topics: Sequence[str],
    *,
    jump_back_ns: int = NS_PER_S,
    on_malformed: Callable[[MalformedMessage], None] = warn_of_malformed,
) -> Iterator[BagMessage]:
    """Yield every message of some image topics once, merged by lap and then by time.

    The bag is opened once per topic, so that memory holds one chunk of the bag per topic, however long the bag is.

    Args:
        path: The bag: a folder, or a .mcap, .db3 or .bag file.
        topics: Names of the topics.
        jump_back_ns: A stamp that is earlier than the newest stamp of its topic by more than this many nanoseconds
            begins a new lap.
        on_malformed: Called with each message that is left out because its bytes are not a message of its type.

    Raises:
        BagError: The bag or a topic does not exist, or the bag is damaged.
    """
    with opened(path) as storages:
        known = _images(path, storages)
    for topic in topics:
        if topic not in known:
            raise BagError(f"{path} has no image topic {topic}; it has {', '.join(sorted(known))}")
    streams = [_topic_messages(path, topic, known[topic], jump_back_ns, on_malformed) for topic in topics]
    yield from heapq.merge(*streams, key=lambda message: (message.lap, message.time_ns))


def _topic_messages(
    path: Path,
    name: str,
    topic: RecordedTopic,
    jump_back_ns: int,
    on_malformed: Callable[[MalformedMessage], None],
) -> Iterator[BagMessage]:
    lap = 0
    newest_ns: int | None = None
    with opened(path) as storages:
        for decoded in _decoded(storages, name, topic):
            if isinstance(decoded, MalformedMessage):
                on_malformed(decoded)
                continue
            time_ns = decoded.time_ns
            if newest_ns is not None and time_ns < newest_ns - jump_back_ns:
                lap += 1
                newest_ns = None
            newest_ns = time_ns if newest_ns is None else max(newest_ns, time_ns)
            yield BagMessage(name, time_ns, lap, decoded.message, decoded.stored)


@dataclass(frozen=True, eq=False)
class _Decoded:
    """A decoded message, its time in nanoseconds, whether this time is the message's header stamp, and its bytes."""

    time_ns: int
    stamped: bool
    message: Any
    stored: StoredMessage


def _decoded(
    storages: Sequence[Storage], name: str, topic: RecordedTopic, start_ns: int | None = None
) -> Iterator[_Decoded | MalformedMessage]:
    """Decode the messages of a topic in order of record time, from the record time `start_ns` on (None: all)."""
    for recorded_ns, raw in raw_messages(storages, name, start_ns):
        stored = StoredMessage(recorded_ns, raw, topic.encoding)
        try:
            message = decode_message(raw, topic.type, topic.encoding)
            stamp, _ = stamp_and_frame(message)
        except ValueError as error:
            yield MalformedMessage(name, stored, str(error))
        else:
            yield _Decoded(stamp or recorded_ns, stamp != 0, message, stored)


def _topics(storages: Sequence[Storage]) -> dict[str, RecordedTopic]:
    topics: dict[str, RecordedTopic] = {}
    for storage in storages:
        for name, topic in storage.topics.items():
            add_topic(topics, name, topic)
    return topics


def _span_ns(storages: Sequence[Storage]) -> tuple[int, int]:
    """Return the first and the last record time of all files, in nanoseconds; zeros if there is no message."""
    spans = [storage.span_ns for storage in storages if storage.span_ns is not None]
    return min((first for first, _ in spans), default=0), max((last for _, last in spans), default=0)


def _images(path: Path, storages: Sequence[Storage]) -> dict[str, RecordedTopic]:
    """Return the image topics by name; raise BagError if the bag has none.

    Evidence pictures that were recorded beside a node's answers are left out: no camera has taken them.
    """
    topics = _topics(storages)
    nodes = [name.removesuffix("/answers") for name, topic in topics.items() if topic.type == ANSWER]
    evidence = {f"{node}/evidence/compressed" for node in nodes}
    found = {
        name: topic
        for name, topic in topics.items()
        if topic.type in IMAGE_TYPES and topic.encoding in (CDR, ROS1) and name not in evidence
    }
    if not found:
        others = sorted(f"{name} ({_kind(topic)})" for name, topic in topics.items())
        listed = ", ".join(others[:12]) + (f" and {len(others) - 12} more" if len(others) > 12 else "")
        video = next((f"; {n} {why_no_picture(t.type)}" for n, t in topics.items() if _VIDEO.search(t.type)), "")
        raise BagError(
            f"{path} has no topic of type {IMAGE}, {COMPRESSED_IMAGE} or another that can be decoded (docs/frames.md); "
            f"it has {listed or 'no topic at all'}{video}"
        )
    return found


def _kind(topic: RecordedTopic) -> str:
    return topic.type if topic.encoding in (CDR, ROS1) else f"{topic.type} as {topic.encoding}"


def _image_topic(storages: Sequence[Storage], name: str, topic: RecordedTopic) -> ImageTopic:
    kind, count, transport = topic.type, topic.count, transport_of(name, topic.type)
    first = next((one for one in _decoded(storages, name, topic) if isinstance(one, _Decoded)), None)
    if first is None:
        # The topic has no message, or every message is malformed.
        recorded = [recorded_ns for recorded_ns, _ in raw_messages(storages, name, None)] or [0]
        return ImageTopic(name, kind, transport, count, recorded[0], recorded[-1], stamped=False)
    start_ns, end_ns = _span_ns(storages)
    tail_ns = _TAIL_NS
    # The topic may end before the bag does: look further and further back for its last messages.
    while True:
        tail = _decoded(storages, name, topic, end_ns - tail_ns)
        times = [one.time_ns for one in tail if isinstance(one, _Decoded)]
        if times or end_ns - tail_ns < start_ns:
            last_ns = max(times, default=first.time_ns)
            return ImageTopic(name, kind, transport, count, first.time_ns, last_ns, first.stamped)
        tail_ns *= 8
