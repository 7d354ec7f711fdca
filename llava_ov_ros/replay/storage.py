"""The interface to the files of a recording in any format, and the files that rosbags reads: .db3 and .bag."""

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
        type: Full name of the message type, such as `sensor_msgs/msg/Image`.
        encoding: Serialisation of the messages: cdr, ros1, json, ...
        count: Number of recorded messages.
    """

    type: str
    encoding: str
    count: int


class Storage(Protocol):
    """One open file of a recording."""

    @property
    def path(self) -> Path:
        """The file as the user knows it."""
        ...

    @property
    def topics(self) -> dict[str, RecordedTopic]:
        """The topics of the file, by name."""
        ...

    @property
    def span_ns(self) -> tuple[int, int] | None:
        """First and last record time of all topics, in nanoseconds; None without messages."""
        ...

    def messages(self, topic: str, start_ns: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Yield record time in nanoseconds and bytes of each message of a topic, in order of record time.

        Args:
            topic: Name of the topic.
            start_ns: Record time in nanoseconds from which on messages are wanted; None: all messages.
        """
        ...

    def close(self) -> None:
        """Close the file."""
        ...


def full_type(name: str) -> str:
    """Return the full name of a message type; ROS 1, older recorders and JavaScript tools leave its `/msg/` out."""
    return re.sub(r"^([^/]+)/([^/]+)$", r"\1/msg/\2", name)


def add_topic(topics: dict[str, RecordedTopic], name: str, more: RecordedTopic) -> None:
    """Add a topic to `topics`; if the topic is there already, from another publisher or file, add up the counts."""
    known = topics.get(name)
    topics[name] = more if known is None else RecordedTopic(more.type, more.encoding, known.count + more.count)


class RosbagsFile:
    """One open .db3 or .bag file, read through rosbags."""

    def __init__(self, path: Path, opened: Path) -> None:
        """Open the file and read its topics.

        Args:
            path: The file as the user knows it.
            opened: The file to read: the same file, or a readable copy.

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
        """Yield record time in nanoseconds and bytes of each message of a topic, in order of record time."""
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
