"""Draw the picture of a demonstration: the frames that answers rest on, with questions and answers below them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from PIL import Image

from ..frames import NS_PER_S, Clip, DecodeOptions, Frame, Line, MessageDecoder, contact_sheet
from ..frames.contact_sheet import BACKGROUND, DIM, MARGIN_PX, WHITE
from ..frames.decode import Decoded
from ..replay import read_pictures
from ..settings.value_range import DEFAULT
from .errors import CommandError
from .show import ANSWER_COLOURS

TILE_PX, COLUMNS = 300, 4
WIDTH_PX = COLUMNS * (TILE_PX + MARGIN_PX) + MARGIN_PX
TITLE_PX, QUESTION_PX, SMALL_PX = 30, 20, 15
BORDER_PX = 24

Record = Mapping[str, Any]
FrameKey = tuple[str, int]
"""A camera and the stamp of one of its frames in nanoseconds."""


def used_frames(bag: Path, names: Mapping[str, str], records: Sequence[Record]) -> dict[FrameKey, Frame]:
    """Read the pictures of all frames that answers rest on from the bag.

    Args:
        bag: Path of the recording.
        names: Name of each topic's camera, by topic.
        records: The answers, as `live_record` makes them.

    Returns:
        The frames. The picture of a frame is that of the message nearest in time: the message with exactly the frame's
        stamp, unless the recording has no stamps.
    """
    frames = [frame for record in records for frame in record["frames"]]
    # The first answer decides where a frame was shown in several ranges of values.
    wanted = {(one["camera"], one["stamp_ns"]): one.get("value_range", DEFAULT) for one in reversed(frames)}
    decoders = {topic: MessageDecoder(name, DecodeOptions()) for topic, name in names.items()}
    nearest: dict[FrameKey, tuple[int, Callable[[], Decoded]]] = {}
    for message, picture in read_pictures(bag, decoders):
        for key in wanted:
            distance_ns = abs(key[1] - message.time_ns)
            if key[0] == names[message.topic] and (key not in nearest or distance_ns < nearest[key][0]):
                nearest[key] = distance_ns, picture
    return {key: Frame(*key, "", picture().shown(wanted[key])) for key, (_, picture) in nearest.items()}


def write_picture(
    path: Path, title: Sequence[str], frames: Mapping[FrameKey, Frame], records: Sequence[Record], origin_ns: int
) -> None:
    """Write one picture with a block for each run of answers that rest on the same frames.

    Args:
        path: Path of the PNG file to write.
        title: The first line is the heading; the other lines stand below it in smaller letters.
        frames: The frames, as `used_frames` returns them.
        records: The answers, in order.
        origin_ns: Time 0 of the recording, in nanoseconds.

    Raises:
        CommandError: The file cannot be written.
    """
    blocks = [_text([Line(title[0], WHITE, TITLE_PX), *(Line(text, DIM, SMALL_PX) for text in title[1:])])]
    for keys, group in groupby(records, key=lambda record: [(f["camera"], f["stamp_ns"]) for f in record["frames"]]):
        clips = [
            Clip(camera, tuple(frames[key] for key in of_camera))
            for camera, of_camera in groupby(keys, key=lambda key: key[0])
        ]
        answers = answer_lines(list(group), _newest_s(keys, origin_ns))
        sheet = contact_sheet(clips, answers, tile_px=TILE_PX if clips else WIDTH_PX // 2, columns=COLUMNS)
        blocks += [_heading(keys, origin_ns), Image.fromarray(sheet)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _stack(blocks).save(path)
    except OSError as error:
        raise CommandError(f"--out {path}: {error.strerror or error}") from None


def _heading(keys: Sequence[FrameKey], origin_ns: int) -> Image.Image:
    if not keys:
        return _text([Line("no frames", WHITE, QUESTION_PX)])
    first_s, newest_s = (min(key[1] for key in keys) - origin_ns) / NS_PER_S, _newest_s(keys, origin_ns)
    count = f"{len(keys)} frames" if len(keys) > 1 else "1 frame"
    return _text(
        [
            Line(" ", DIM, SMALL_PX),
            Line(f"{count} from {first_s:.2f} s to {newest_s:.2f} s of the recording", DIM, SMALL_PX),
        ]
    )


def _newest_s(keys: Sequence[FrameKey], origin_ns: int) -> float:
    """Return the time of the newest of some frames, in seconds of the recording; nan if there are no frames."""
    return (max(key[1] for key in keys) - origin_ns) / NS_PER_S if keys else math.nan


def answer_lines(records: Sequence[Record], newest_s: float) -> list[Line]:
    """Return the lines with questions and answers that stand below their frames.

    Args:
        records: The answers, in order.
        newest_s: Time of the newest of the frames, which the heading shows. A question that was asked at another time
            gets its own time beside it.
    """
    lines = []
    for record in records:
        asked = f"{record['at_s']:.2f} s"
        beside = "" if asked == f"{newest_s:.2f} s" else f"   (asked at {asked})"
        lines.append(Line(record["question"] + beside, WHITE, QUESTION_PX))
        if record["status"] != "OK":
            lines.append(Line(f"    {record['status']}: {record['message']}", ANSWER_COLOURS[False], QUESTION_PX))
            continue
        truth = {True: "   as the truth has it", False: f"   truth: {record['truth']}", None: ""}[record["correct"]]
        text = f"    {record['text']}   (confidence {record['confidence']:.2f}){truth}"
        lines.append(Line(text, ANSWER_COLOURS[record["correct"]], QUESTION_PX))
        if record["message"]:
            lines.append(Line(f"    {record['message']}", ANSWER_COLOURS[False], SMALL_PX))
    return lines


def _text(lines: Sequence[Line]) -> Image.Image:
    return Image.fromarray(contact_sheet((), lines, tile_px=WIDTH_PX // 2))


def _stack(blocks: Sequence[Image.Image]) -> Image.Image:
    width = max(block.width for block in blocks)
    height = sum(block.height for block in blocks)
    sheet = Image.new("RGB", (width + 2 * BORDER_PX, height + 2 * BORDER_PX), BACKGROUND)
    y = BORDER_PX
    for block in blocks:
        sheet.paste(block, (BORDER_PX, y))
        y += block.height
    return sheet
