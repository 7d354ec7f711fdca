"""The interface of a recording's file, whatever its format; and the .db3 and .bag files that rosbags reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from rosbags.interfaces import Connection, ConnectionExtRosbag2
from rosbags.rosbag1 import Reader as Reader1
from rosbags.rosbag2 import Reader as Reader2

CDR = "cdr"
ROS1 = "ros1"


@dataclass(frozen=True)
class RecordedTopic:
    """One topic of one file.

    Attributes:
        type: The message type in full (`sensor_msgs/msg/Image`).
        encoding: How its messages are written: cdr, ros1, json, ...
        count: Messages recorded.
    """

    type: str
    encoding: str
    count: int


class Storage(Protocol):
    """One open file of a recording."""

    @property
    def path(self) -> Path:
        """Path of the file as the user gave it, even where a copy is read."""
        ...

    @property
    def topics(self) -> dict[str, RecordedTopic]:
        """The topics by their names."""
        ...

    @property
    def span_ns(self) -> tuple[int, int] | None:
        """First and last record time of all topics, in nanoseconds; None without messages."""
        ...

    def messages(self, topic: str, start_ns: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Record time in nanoseconds and bytes of each message of a topic, in order of record time."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


def full_type(name: str) -> str:
    """A message type with its `/msg/`, which ROS 1, older recorders and JavaScript tools leave out."""
    return re.sub(r"^([^/]+)/([^/]+)$", r"\1/msg/\2", name)


def add_topic(topics: dict[str, RecordedTopic], name: str, more: RecordedTopic) -> None:
    """Enter a topic, or add to its count if it has been entered for another publisher."""
    known = topics.get(name)
    topics[name] = more if known is None else RecordedTopic(more.type, more.encoding, known.count + more.count)


class RosbagsFile:
    """A .db3 or .bag file through the reader of rosbags."""

    def __init__(self, path: Path, opened: Path) -> None:
        """Open the file.

        Args:
            path: The file as the user knows it.
            opened: The file to read: the same, or a copy of it.

        Raises:
            Exception: Whatever rosbags raises for a file that it cannot read.
        """
        self.path = path
        self._reader: Reader1 | Reader2 = Reader1(opened) if opened.suffix == ".bag" else Reader2(opened)
        self._reader.open()
        self.topics: dict[str, RecordedTopic] = {}
        for connection in self._reader.connections:
            topic = RecordedTopic(full_type(connection.msgtype), _encoding(connection), connection.msgcount)
            add_topic(self.topics, connection.topic, topic)

    @property
    def span_ns(self) -> tuple[int, int] | None:
        """First and last record time of all topics, in nanoseconds; None without messages."""
        # The reader's end is the first nanosecond after the last message.
        return (self._reader.start_time, self._reader.end_time - 1) if self._reader.message_count else None

    def messages(self, topic: str, start_ns: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Record time in nanoseconds and bytes of each message of a topic, in order of record time."""
        connections = [connection for connection in self._reader.connections if connection.topic == topic]
        for _, recorded_ns, raw in self._reader.messages(connections, start=start_ns):
            yield recorded_ns, raw

    def close(self) -> None:
        """Close the file."""
        self._reader.close()


def _encoding(connection: Connection) -> str:
    return (
        ROS1
        if isinstance(connection.owner, Reader1)
        else cast("ConnectionExtRosbag2", connection.ext).serialization_format
    )
