"""Reads the image topics of ROS 1 and ROS 2 bags, merged by the time of their frames.

The time of a message is its `header.stamp`, or its record time where the stamp is zero. Messages of one topic
keep the order in which they were recorded; several topics are merged by time. Where the stamps of a topic jump
back (a looped recording), a new lap begins, and later laps come after earlier ones.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection
from rosbags.rosbag1 import Reader as Reader1
from rosbags.rosbag2 import Reader as Reader2
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from ..frames import NS_PER_S
from ..frames.frame import stamp_ns

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
_SUFFIXES = (".mcap", ".db3", ".bag")
_REPAIR = {".bag": "rosbag reindex", ".mcap": "mcap recover"}
_TAIL_NS = 2 * NS_PER_S


class BagError(Exception):
    """A bag that cannot be used as asked; the text says why, and what to do."""


@dataclass(frozen=True)
class ImageTopic:
    """One topic of a bag that carries pictures.

    Attributes:
        name: The topic.
        type: sensor_msgs/msg/Image or sensor_msgs/msg/CompressedImage.
        transport: raw, compressed or compressedDepth, judged by type and name.
        count: Messages recorded.
        first_ns: Time of the first message; 0 where there is none.
        last_ns: Time of the last one.
        stamped: Whether the first message has a header stamp; without, record time serves.
    """

    name: str
    type: str
    transport: str
    count: int
    first_ns: int
    last_ns: int
    stamped: bool

    @property
    def base(self) -> str:
        """The topic without its transport, as the node's parameter `image_topics` names it."""
        return self.name if self.transport == "raw" else self.name.removesuffix(f"/{self.transport}")


@dataclass(frozen=True, eq=False)
class BagMessage:
    """One image message of a bag.

    Attributes:
        topic: Its topic.
        time_ns: Its header stamp, or its record time where the stamp is zero.
        lap: How often the stamps of its topic have jumped back before it.
        message: The sensor_msgs Image or CompressedImage, as rosbags gives it.
    """

    topic: str
    time_ns: int
    lap: int
    message: Any


@dataclass(frozen=True)
class Contents:
    """What a bag's index says of it.

    Attributes:
        types: Message type of each topic.
        duration_ns: From the first to the last record time of all topics.
    """

    types: dict[str, str]
    duration_ns: int


def contents(path: Path) -> Contents:
    """What a bag holds, by its index; no message is read.

    Raises:
        BagError: There is no such bag, or it is damaged.
    """
    with _opened(path) as readers:
        filled = [reader for reader in readers if reader.message_count]
        duration_ns = max((r.end_time for r in filled), default=0) - min((r.start_time for r in filled), default=0)
        return Contents({c.topic: c.msgtype for c in _connections(readers)}, duration_ns)


def image_topics(path: Path) -> tuple[ImageTopic, ...]:
    """What pictures a bag holds, sorted by topic. Reads each topic's first and last messages only.

    Raises:
        BagError: There is no such bag, it is damaged, or it has no image topic.
    """
    with _opened(path) as readers:
        kinds = _image_kinds(path, readers)
        return tuple(_image_topic(path, readers, name, kinds[name]) for name in sorted(kinds))


def read_messages(path: Path, topics: Sequence[str], *, jump_back_ns: int = NS_PER_S) -> Iterator[BagMessage]:
    """Every message of some image topics, each once, in the order that this module's docstring describes.

    The bag is opened once per topic, so that memory holds one chunk of it per topic, however long it is.

    Args:
        path: The bag: a folder, or a .mcap, .db3 or .bag file.
        topics: Which topics.
        jump_back_ns: A stamp earlier than the newest of its topic by more than this begins a new lap.

    Raises:
        BagError: There is no such bag or topic, or the bag is damaged.
    """
    with _opened(path) as readers:
        known = _image_kinds(path, readers)
    for topic in topics:
        if topic not in known:
            raise BagError(f"{path} has no image topic {topic}; it has {', '.join(sorted(known))}")
    streams = [_topic_messages(path, topic, jump_back_ns) for topic in topics]
    yield from heapq.merge(*streams, key=lambda message: (message.lap, message.time_ns))


def _topic_messages(path: Path, topic: str, jump_back_ns: int) -> Iterator[BagMessage]:
    lap = 0
    newest_ns: int | None = None
    with _opened(path) as readers:
        for time_ns, _, message in _decoded(path, readers, topic):
            if newest_ns is not None and time_ns < newest_ns - jump_back_ns:
                lap += 1
                newest_ns = None
            newest_ns = time_ns if newest_ns is None else max(newest_ns, time_ns)
            yield BagMessage(topic, time_ns, lap, message)


def _decoded(
    path: Path, readers: Sequence[Reader1 | Reader2], topic: str, start_ns: int | None = None
) -> Iterator[tuple[int, bool, Any]]:
    """Time, whether that is a header stamp, and message; in order of record time, from `start_ns` of it."""
    streams = [
        reader.messages(connections, start=start_ns)
        for reader in readers
        if (connections := [c for c in reader.connections if c.topic == topic])
    ]
    merged = heapq.merge(*streams, key=lambda item: item[1])
    while True:
        try:
            connection, recorded_ns, raw = next(merged)
            message = _deserialize(connection, raw)
            stamp = stamp_ns(message.header.stamp)
        except StopIteration:
            return
        except Exception as error:  # noqa: BLE001 - see _damaged
            raise _damaged(path, error, f"a message of {topic}") from None
        yield stamp or recorded_ns, stamp != 0, message


def _deserialize(connection: Connection, raw: bytes) -> Any:
    """The message. Its definition is the standard one: bags before ROS 2 Iron do not embed any."""
    if isinstance(connection.owner, Reader1):
        return _types(Stores.ROS1_NOETIC).deserialize_ros1(raw, connection.msgtype)
    return _types(Stores.LATEST).deserialize_cdr(raw, connection.msgtype)


@cache
def _types(store: Stores) -> Typestore:
    return get_typestore(store)


def _image_kinds(path: Path, readers: Sequence[Reader1 | Reader2]) -> dict[str, str]:
    """Message type of each image topic; raises BagError where there is none."""
    kinds = {c.topic: c.msgtype for c in _connections(readers)}
    found = {topic: kind for topic, kind in kinds.items() if kind in (IMAGE, COMPRESSED_IMAGE)}
    if not found:
        others = sorted(f"{topic} ({kind})" for topic, kind in kinds.items())
        listed = ", ".join(others[:12]) + (f" and {len(others) - 12} more" if len(others) > 12 else "")
        raise BagError(
            f"{path} has no topic of type {IMAGE} or {COMPRESSED_IMAGE}; it has {listed or 'no topic at all'}"
        )
    return found


def _image_topic(path: Path, readers: Sequence[Reader1 | Reader2], name: str, kind: str) -> ImageTopic:
    count = sum(c.msgcount for c in _connections(readers) if c.topic == name)
    transport = "raw" if kind == IMAGE else "compressedDepth" if name.endswith("/compressedDepth") else "compressed"
    first = next(_decoded(path, readers, name), None)
    if first is None:
        return ImageTopic(name, kind, transport, 0, 0, 0, stamped=False)
    first_ns, stamped, _ = first
    start_ns = min(reader.start_time for reader in readers)
    end_ns = max(reader.end_time for reader in readers)
    tail_ns = _TAIL_NS
    # The topic may have ended before the bag did: look back further and further.
    while not (times := [time_ns for time_ns, _, _ in _decoded(path, readers, name, end_ns - tail_ns)]):
        if end_ns - tail_ns < start_ns:
            return ImageTopic(name, kind, transport, count, first_ns, first_ns, stamped)
        tail_ns *= 8
    return ImageTopic(name, kind, transport, count, first_ns, max(times), stamped)


def _connections(readers: Sequence[Reader1 | Reader2]) -> list[Connection]:
    return [connection for reader in readers for connection in reader.connections]


def _files(path: Path) -> list[Path]:
    """What to open for a path: itself, or the storage files of a folder whose metadata.yaml is missing."""
    if not path.exists():
        raise BagError(f"{path}: no such file or folder")
    if path.is_file():
        if path.suffix in _SUFFIXES:
            return [path]
        raise BagError(f"{path} is not a bag: give a folder with metadata.yaml, or a .mcap, .db3 or .bag file")
    if (path / "metadata.yaml").exists():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix in (".mcap", ".db3"))
    if not files:
        bags = ", ".join(sorted(file.name for file in path.glob("*.bag")))
        reason = f"give one of its ROS 1 bags: {bags}" if bags else "neither metadata.yaml nor a .mcap or .db3 file"
        raise BagError(f"{path} is not a ROS 2 bag ({reason})")
    return files


@contextmanager
def _opened(path: Path) -> Iterator[list[Reader1 | Reader2]]:
    readers: list[Reader1 | Reader2] = []
    with ExitStack() as stack:
        for file in _files(path):
            try:
                reader: Reader1 | Reader2 = Reader1(file) if file.suffix == ".bag" else Reader2(file)
                stack.enter_context(reader)
            except Exception as error:  # noqa: BLE001 - see _damaged
                raise _damaged(file, error, "the file" if file.is_file() else "the bag") from None
            readers.append(reader)
        yield readers


def _damaged(path: Path, error: Exception, what: str) -> BagError:
    """For whatever a damaged file makes rosbags raise: struct, zstd, sqlite, assertion and its own errors."""
    if isinstance(error, PermissionError):
        return BagError(f"{path}: not readable ({error.strerror})")
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    repair = _REPAIR.get(path.suffix, "ros2 bag reindex")
    return BagError(f"{path}: {what} is damaged or incomplete ({reason}); `{repair}` may repair it")
