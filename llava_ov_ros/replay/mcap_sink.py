"""Writes a replay into an MCAP file, as `ros2 bag record` would have written it at a live node.

The messages of the cameras are written as they are in the bag, byte for byte. Foxglove, `ros2 bag` and `llava-ov
replay` open the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from mcap.writer import Writer
from rosbags.typesys import Stores, get_types_from_msg
from rosbags.typesys.store import Typestore

from ..message_types import ANSWER, COMPRESSED_IMAGE
from ..planning.plan_message import PlanTypes, message_of_plan
from ..questions import Result, evidence_jpeg, message_of_answer
from ..questions.answer_message import header_of_newest, stamp_message
from ..share import PACKAGE, shipped
from .bag import BagMessage, MalformedMessage, StoredMessage
from .bag_error import BagError
from .deserialising import decode_message, decompressed, known_types
from .plan_replay import Planned
from .recorder import new_file
from .storage import CDR

PLAN = f"{PACKAGE}/msg/Plan"
_OWN = ("Choice", "FrameUsed", "Answer", "PlanStep", "Plan")
"""Messages of this package that a recording has; each comes after those that it consists of."""


@dataclass
class _Channel:
    """A topic of the file: its number there, its type, and how many messages it has."""

    number: int
    kind: str
    count: int = field(default=0)


class McapSink:
    """An MCAP file that is written while a bag is replayed."""

    def __init__(self, path: Path, cameras: Mapping[str, str], node: str) -> None:
        """Begin the file.

        Args:
            path: The file; it must end in .mcap, and must not exist.
            cameras: Message type of each topic of a camera, by the topic's name.
            node: Name of the node that would have answered, such as `/llava_ov`; topics of answers begin with it.

        Raises:
            BagError: The file exists or cannot be written, or the package's message definitions are not installed.
        """
        self._types = _types()
        self._stream = new_file(path, ".mcap")
        self._path = path
        self._writer = Writer(self._stream)
        self._writer.start(profile="ros2", library=PACKAGE)
        self._channels: dict[str, _Channel] = {}
        self._node = node.rstrip("/")
        for topic, kind in cameras.items():
            self._add_channel(topic, kind)

    def message(self, message: BagMessage) -> None:
        """Write a message of a camera as it is in the bag; one of ROS 1 becomes one of ROS 2."""
        self._write_stored(message.topic, message.stored)

    def malformed(self, message: MalformedMessage) -> None:
        """Write a message whose bytes are not of its type: it is part of what the camera has sent.

        One of ROS 1 is left out, because it cannot be turned into one of ROS 2.
        """
        if message.stored.encoding == CDR:
            self._write_stored(message.topic, message.stored)

    def answer(self, result: Result, now_ns: int, recorded_ns: int, model: str) -> None:
        """Write the answer or the refusal of a question, and the evidence picture if the result has frames.

        Args:
            result: The end of the question.
            now_ns: Time of the question in nanoseconds, on the clock of the frames' stamps.
            recorded_ns: The same time on the clock of the bag's record times.
            model: Name of the model that was asked.
        """
        made = _plan_types()
        answer = message_of_answer(made, result, stamp_message(made, now_ns), result.model(model))
        self._write(f"{self._node}/answers", ANSWER, answer, recorded_ns)
        self._write_evidence(result, recorded_ns)

    def plan(self, planned: Planned, recorded_ns: int, model: str, vocabulary: str, prompts: str) -> None:
        """Write the plan of a goal, and the evidence picture if it has frames."""
        made, result = _plan_types(), planned.result
        now = stamp_message(made, planned.now_ns)
        name = result.model(model)
        plan = message_of_plan(made, planned.goal.ask, result, planned.plan, now, name, vocabulary, prompts)
        self._write(f"{self._node}/plans", PLAN, plan, recorded_ns)
        self._write_evidence(result, recorded_ns)

    def _write_evidence(self, result: Result, recorded_ns: int) -> None:
        if result.clips:
            picture = self._types.types[COMPRESSED_IMAGE](
                header=header_of_newest(_plan_types(), result.clips),
                format="jpeg",
                data=np.frombuffer(evidence_jpeg(result), np.uint8),
            )
            self._write(f"{self._node}/evidence/compressed", COMPRESSED_IMAGE, picture, recorded_ns)

    def close(self) -> None:
        """Finish the file; it may be called again.

        Raises:
            BagError: The rest of the file cannot be written.
        """
        if self._stream.closed:
            return
        try:
            self._writer.finish()  # type: ignore[no-untyped-call]
        except OSError as failure:
            raise BagError(f"{self._path} cannot be written: {failure.strerror or failure}") from None
        finally:
            self._stream.close()

    def told(self) -> str:
        """A line for the user: the file, and how many messages it has."""
        return f"{self._path}, {sum(channel.count for channel in self._channels.values())} messages"

    def _write(self, topic: str, kind: str, message: Any, recorded_ns: int) -> None:
        if topic not in self._channels:
            self._add_channel(topic, kind)
        self._add(topic, bytes(self._types.serialize_cdr(message, kind)), recorded_ns)

    def _write_stored(self, topic: str, stored: StoredMessage) -> None:
        if stored.encoding == CDR:
            raw = decompressed(stored.raw)
        else:
            kind = self._channels[topic].kind
            old = decode_message(stored.raw, kind, stored.encoding)
            raw = bytes(self._types.serialize_cdr(_of_ros2(old, self._types), kind))
        self._add(topic, raw, stored.recorded_ns)

    def _add(self, topic: str, data: bytes, time_ns: int) -> None:
        channel = self._channels[topic]
        try:
            self._writer.add_message(channel.number, time_ns, data, time_ns, channel.count)
        except OSError as error:
            raise BagError(f"{self._path} cannot be written: {error.strerror or error}") from None
        channel.count += 1

    def _add_channel(self, topic: str, kind: str) -> None:
        definition, _ = self._types.generate_msgdef(kind, ros_version=2)
        schema = self._writer.register_schema(kind, "ros2msg", definition.encode())
        self._channels[topic] = _Channel(self._writer.register_channel(topic, CDR, schema), kind)


def _of_ros2(message: Any, types: Typestore) -> Any:
    """A message of ROS 1 with the fields that ROS 2 has: a header loses its `seq`."""
    if not hasattr(message, "__msgtype__"):
        return message
    kind: Any = types.types[message.__msgtype__]
    names = [one.name for one in fields(kind) if one.init]
    return kind(**{name: _of_ros2(getattr(message, name), types) for name in names})


@cache
def _types() -> Typestore:
    """The message types of a recording: those of cameras and those of this package."""
    types = known_types(Stores.LATEST)
    for name in _OWN:
        file = shipped(f"msg/{name}.msg")
        if file is None:
            raise BagError(f"the definition msg/{name}.msg is not installed: install the package again")
        kind = f"{PACKAGE}/msg/{name}"
        if kind not in types.types:
            types.register(get_types_from_msg(file.read_text(encoding="utf-8"), kind))
    return types


@cache
def _plan_types() -> PlanTypes:
    types = _types().types
    return PlanTypes(
        time=types["builtin_interfaces/msg/Time"],
        header=types["std_msgs/msg/Header"],
        frame_used=types[f"{PACKAGE}/msg/FrameUsed"],
        choice=types[f"{PACKAGE}/msg/Choice"],
        answer=types[ANSWER],
        plan=types[PLAN],
        plan_step=types[f"{PACKAGE}/msg/PlanStep"],
    )
