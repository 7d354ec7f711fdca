"""Show topics and answers in a terminal, and write evidence sheets."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..frames import NS_PER_S, Clip, Line, contact_sheet
from ..frames.buffer import seconds
from .errors import USAGE, CommandError

if TYPE_CHECKING:
    from ..replay import ImageTopic

_SHEET_SUFFIXES = (".png", ".jpg", ".jpeg")
# Of an answer that is as the truth has it, that is not, and of which no truth is known.
ANSWER_COLOURS = {True: (120, 220, 120), False: (255, 120, 110), None: (150, 200, 255)}


def topic_table(topics: Sequence[ImageTopic]) -> str:
    """Return a table of image topics with transport, count, length and rate, one topic per line."""
    width = max(len(topic.name) for topic in topics)
    wide = max(15, *(len(topic.transport) for topic in topics))
    lines = [f"  {'topic':<{width}}  {'transport':<{wide}}  {'messages':>8}  {'seconds':>8}  {'Hz':>5}  time from"]
    for topic in topics:
        length_s = max(0, topic.last_ns - topic.first_ns) / NS_PER_S
        rate = f"{(topic.count - 1) / length_s:.1f}" if length_s > 0 else "-"
        clock = "header stamps" if topic.stamped else "record time" if topic.count else "-"
        numbers = f"{topic.count:>8}  {length_s:>8.1f}  {rate:>5}"
        lines.append(f"  {topic.name:<{width}}  {topic.transport:<{wide}}  {numbers}  {clock}")
    return "\n".join(lines)


def answer_text(record: dict[str, Any]) -> str:
    """Return an answer's record as a few lines for people."""
    origin = "" if record.get("asked_here", True) else "   (a standing question, or asked by somebody else)"
    lines = [f"{record['at_s']:8.2f} s  {record['question']}{origin}"]
    if record["status"] == "OK":
        lines.append(f"{'':12}{record['text']}   (confidence {record['confidence']:.2f})")
    else:
        lines.append(f"{'':12}no answer: {record['status']}")
    if record["message"]:
        lines.append(f"{'':12}{record['message']}")
    if record["truth"]:
        lines.append(f"{'':12}truth: {record['truth']} ({'same' if record['correct'] else 'different'})")
    return "\n".join([*lines, *frame_lines(record["frames"])])


def frame_lines(frames: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line for each camera with the number and the times of the frames used."""
    stamps: dict[str, list[int]] = {}
    for frame in frames:
        stamps.setdefault(frame["camera"], []).append(frame["stamp_ns"])
    return [
        f"{'':12}{len(used)} frame{'s' if len(used) > 1 else ''} of {camera}, {seconds(used[0])} to {seconds(used[-1])}"
        for camera, used in stamps.items()
    ]


def tally(ended: Counter[str], judged: Counter[bool]) -> str:
    """Return one line that counts how the questions ended."""
    total = ended.total()
    parts = [f"{total} question" + ("" if total == 1 else "s")]
    parts += [f"{count} {status}" for status, count in sorted(ended.items()) if status != "OK"]
    if judged:
        parts.append(f"{judged[True]} of {judged.total()} as the truth has it")
    return ", ".join(parts)


class Sheets:
    """Writes a contact sheet for each run of answers that rest on the same frames.

    The first sheet goes to the given path, the others beside it as NAME-2.png, NAME-3.png, ...
    """

    def __init__(self, path: Path) -> None:
        if path.suffix.lower() not in _SHEET_SUFFIXES:
            raise CommandError(f"--sheet {path}: the name must end in {', '.join(_SHEET_SUFFIXES)}", USAGE)
        self._path = path
        self._clips: tuple[Clip, ...] = ()
        self._lines: list[Line] = []
        self.count = 0

    def add(self, clips: tuple[Clip, ...], record: dict[str, Any]) -> None:
        """Add an answer; if it rests on other frames than the last one, write the sheet of the answers before it."""
        if _stamps(clips) != _stamps(self._clips):
            self.write()
        self._clips = clips
        ok = record["status"] == "OK"
        self._lines.append(Line(f"{record['at_s']:.2f} s  {record['question']}"))
        colour = ANSWER_COLOURS[record["correct"] if ok else False]
        truth = f"   (truth: {record['truth']})" if record["correct"] is False else ""
        self._lines.append(
            Line("    " + (record["text"] if ok else f"{record['status']}: {record['message']}") + truth, colour)
        )
        if ok and record["message"]:
            self._lines.append(Line(f"    {record['message']}", ANSWER_COLOURS[False]))

    def write(self) -> None:
        """Write the sheet of the answers that were added since the last sheet."""
        from PIL import Image

        if not self._lines:
            return
        self.count += 1
        path = self._path
        if self.count > 1:
            path = path.with_stem(f"{path.stem}-{self.count}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(contact_sheet(self._clips, self._lines)).save(path)
        except OSError as error:
            raise CommandError(f"--sheet {path}: {error.strerror or error}") from None
        print(f"evidence: {path}", file=sys.stderr)
        self._clips, self._lines = (), []


def _stamps(clips: Sequence[Clip]) -> list[tuple[str, int]]:
    return [(frame.camera, frame.stamp_ns) for clip in clips for frame in clip.frames]
