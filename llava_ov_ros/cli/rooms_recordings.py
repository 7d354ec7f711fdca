"""The command `llava-ov rooms evaluate --recordings`: ask the questions about rooms of other recordings."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .errors import CommandError
from .topics import chosen_topics

if TYPE_CHECKING:
    from pathlib import Path

    from ..evaluation.rooms.accuracy import RoomTrial
    from ..evaluation.rooms.strangers import StrangeReport
    from ..replay import ImageTopic
    from .rooms_asking import RoomsAsker


def run_recordings(args: argparse.Namespace, asker: RoomsAsker, fresh: Iterable[RoomTrial], total: int) -> int:
    """Ask the questions, print the table, and return the exit code.

    Args:
        args: The parsed arguments of `rooms evaluate`.
        asker: The model.
        fresh: The questions; the rooms that they are about are not shown.
        total: Number of questions.

    Raises:
        CommandError: A recording cannot be read, its video cannot be decoded here, or no recording has a usable clip.
    """
    from tqdm import tqdm

    from ..evaluation.rooms.strangers import StrangeReport, ask_stranger
    from ..replay import BagError, ReplaySettings, spread_clips
    from ..settings import DEFAULTS, nanoseconds

    report = StrangeReport()
    # Spread over a whole window, so that a clip shows as much of the recording as the node ever looks at.
    window_ns = nanoseconds(DEFAULTS.clip_window_s)
    frames = 1 if args.mode == "image" else DEFAULTS.clip_frames
    settings = ReplaySettings(mode=args.mode, window_ns=window_ns, max_frames=frames)
    decide = None if args.no_calibration else asker.decide
    trials = list(fresh)
    try:
        cameras = [camera for bag in args.recordings for camera in _cameras(bag)]
        with tqdm(total=total, unit="question", disable=None, leave=False) as bar:
            for number, (bag, topic) in enumerate(cameras):
                # As many for each camera, however long it was recorded.
                its = trials[number :: len(cameras)]
                name = f"{bag.name} {topic.name}"
                for clip_number, clip in spread_clips(bag, topic, len(its), settings):
                    asked, pictures = its[clip_number].asked, [frame.rgb for frame in clip.frames]
                    ask_stranger(report, name, pictures, asked, asker.answer_surely, decide)
                    bar.update(len(asked))
    except BagError as error:
        raise CommandError(str(error)) from None
    if not report.categories:
        bags = ", ".join(map(str, args.recordings))
        raise CommandError(f"{bags}: no camera has a picture to ask about; llava-ov replay BAG lists what a bag has")
    print(json.dumps(report.as_dict()) if args.json else table(report))
    for camera, text, said, confidence in report.others[: args.wrong or 0]:
        print(f"  {camera}: {text} -> {said!r}, confidence {confidence:.2f}", file=sys.stderr)
    return 0


def _cameras(bag: Path) -> list[tuple[Path, ImageTopic]]:
    """Return the topics of a recording that have pictures."""
    from ..replay import image_topics

    topics = [topic for topic in image_topics(bag) if topic.count]
    return [(bag, topic) for topic in chosen_topics(bag, [topic.name for topic in topics], topics)]


def table(report: StrangeReport) -> str:
    """Return a report as a table for people.

    Its rows are the categories of the questions, the kinds of answers of the decided questions, and the cameras.
    """
    titles = {"kinds": "question", "decided": "compared", "cameras": "camera"}
    parts = []
    for name, rows in report.as_dict().items():
        if not rows:
            continue
        width = max(map(len, (*rows, titles[name])))
        lines = [
            f"{titles[name]:<{width}}{'n':>6}{'cannot tell':>13}{'%':>7}{'95 % interval':>17}{'others sure %':>15}"
        ]
        for key, row in rows.items():
            low, high, share = (100 * (row[field] or 0.0) for field in ("low", "high", "share"))
            sure = "-" if row["confidence"] is None else f"{100 * row['confidence']:.1f}"
            bounds = f"{low:.1f} to {high:.1f}"
            lines.append(f"{key:<{width}}{row['n']:>6}{row['cannot_tell']:>13}{share:>7.1f}{bounds:>17}{sure:>15}")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)
