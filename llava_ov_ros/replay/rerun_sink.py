"""Writes a replay into a file of Rerun's viewer (extra `rerun`).

JPEG and PNG are kept as they are; other pictures are shown as a camera without settings shows them. Everything has two
times: `stamp`, on the clock of the frames, and `recorded`, that of the bag.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ..frames import DecodeOptions, ImageError
from ..frames.message_decoder import MessageDecoder
from ..questions import Result, Status, evidence_jpeg
from ..share import PACKAGE
from .bag import BagMessage, MalformedMessage
from .plan_replay import Planned
from .recorder import new_file
from .records import plan_record

_ENCODED = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png"}
"""Media types of the pictures that Rerun decodes itself, by their first bytes."""


class RerunSink:
    """A file of Rerun that is written while a bag is replayed."""

    def __init__(self, path: Path, cameras: Iterable[str], node: str) -> None:
        """Begin the file.

        Args:
            path: The file; it must end in .rrd, and must not exist.
            cameras: Topics of the cameras.
            node: Name of the node that would have answered, such as `/llava_ov`; the paths of answers begin with it.

        Raises:
            BagError: The file exists or cannot be written.
            ModuleNotFoundError: Rerun is not installed.
        """
        import rerun

        new_file(path, ".rrd").close()
        self._rerun: Any = rerun
        self._stream = self._rerun.RecordingStream(PACKAGE)
        self._stream.save(path)
        self._path = path
        self._node = node.strip("/")
        self._decoders = {topic: MessageDecoder(topic, DecodeOptions()) for topic in cameras}
        self._count = 0

    def message(self, message: BagMessage) -> None:
        """Write the picture of a message; nothing for a damaged one, and for one of a video that has no picture."""
        shown = self._picture(message)
        if shown is not None:
            self._log(message.topic.strip("/"), shown, message.time_ns, message.stored.recorded_ns)

    def malformed(self, message: MalformedMessage) -> None:
        """Leave out a message whose bytes are not of its type: there is nothing to be seen in it."""

    def answer(self, result: Result, now_ns: int, recorded_ns: int, model: str) -> None:
        """Write the answer or the refusal of a question, its confidence, and the evidence picture if it has frames.

        Args:
            result: The end of the question.
            now_ns: Time of the question in nanoseconds, on the clock of the frames' stamps.
            recorded_ns: The same time on the clock of the bag's record times.
            model: Name of the model that was asked.
        """
        said = result.text if result.status is Status.OK else f"{result.status.name}: {result.message}"
        self._tell("answers", (result.query.question, said, result.model(model)), now_ns, recorded_ns)
        if result.status is Status.OK:
            self._log(f"{self._node}/confidence", self._rerun.Scalars(float(result.confidence)), now_ns, recorded_ns)
        self._show_evidence(result, now_ns, recorded_ns)

    def plan(self, planned: Planned, recorded_ns: int, model: str, vocabulary: str, prompts: str) -> None:
        """Write the plan of a goal, or why there is none, and the evidence picture if there are frames."""
        record = plan_record(planned.goal.ask, planned.result, planned.plan, model, vocabulary, prompts)
        steps = [" ".join((f"{step.number}.", step.action, *step.arguments)) for step in record.steps]
        lines = (record.goal, record.outcome, *steps, *record.sentences, *record.findings, record.message, record.model)
        self._tell("plans", lines, planned.now_ns, recorded_ns)
        self._show_evidence(planned.result, planned.now_ns, recorded_ns)

    def _tell(self, name: str, lines: Iterable[str], now_ns: int, recorded_ns: int) -> None:
        text = self._rerun.TextDocument("\n".join(filter(None, lines)))
        self._log(f"{self._node}/{name}", text, now_ns, recorded_ns)

    def _show_evidence(self, result: Result, now_ns: int, recorded_ns: int) -> None:
        if result.clips:
            picture = self._rerun.EncodedImage(contents=evidence_jpeg(result), media_type="image/jpeg")
            self._log(f"{self._node}/evidence", picture, now_ns, recorded_ns)

    def close(self) -> None:
        """Finish the file; it may be called again."""
        self._stream.flush()
        self._stream.disconnect()

    def told(self) -> str:
        """A line for the user: the file, and how many entries it has."""
        return f"{self._path}, {self._count} entries"

    def _picture(self, message: BagMessage) -> Any:
        if hasattr(message.message, "format"):
            data = message.message.data.tobytes()
            for magic, media_type in _ENCODED.items():
                if data.startswith(magic):
                    return self._rerun.EncodedImage(contents=data, media_type=media_type)
        try:
            decode = self._decoders[message.topic].follow(message.message)
            return None if decode is None else self._rerun.Image(decode().shown("auto"))
        except ImageError:
            # The replay's camera counts damaged pictures, and tells of them.
            return None

    def _log(self, path: str, shown: Any, stamp_ns: int, recorded_ns: int) -> None:
        self._stream.set_time("stamp", timestamp=np.datetime64(stamp_ns, "ns"))
        self._stream.set_time("recorded", timestamp=np.datetime64(recorded_ns, "ns"))
        self._stream.log(path, shown)
        self._count += 1
