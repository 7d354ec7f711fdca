"""The command `llava-ov replay --live`: play a bag over its real topics and have a running node answer."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..settings import nanoseconds
from .errors import USAGE, CommandError
from .model_options import SERVER_PARAMETERS

if TYPE_CHECKING:
    from ..live.playback import LiveAnswer
    from ..replay import ImageTopic, TimedQuestion

# Options of `replay` that are parameters of the node instead.
_OF_THE_NODE = {
    "model": "model",
    **{name: name for name in SERVER_PARAMETERS},
    "device": "device",
    "dtype": "dtype",
    "quantize": "quantize",
    "mode": "visual_mode",
    "max_new_tokens": "max_new_tokens",
    "frames": "clip_frames",
    "rate_hz": "admission_rate_hz",
    "max_age": "max_frame_age_s",
    "frozen_after": "frozen_after_s",
    "rotate": "rotations_deg",
    "value_range": "value_range",
}


def run_live(args: argparse.Namespace, topics: Sequence[ImageTopic], questions: Sequence[TimedQuestion]) -> int:
    """Play the bag, print every answer, and return the exit code.

    Raises:
        CommandError: The node is missing or does not answer, or an option cannot be combined with --live.
    """
    for option, parameter in _OF_THE_NODE.items():
        if getattr(args, option) != args.default_of(option):
            flag = "--" + option.replace("_", "-")
            raise CommandError(f"{flag} does not go with --live: set the node's parameter {parameter}", USAGE)
    if args.sheet is not None:
        raise CommandError("--sheet does not go with --live: the node shows it on ~/evidence/compressed", USAGE)
    for option in ("record", "rrd"):
        if getattr(args, option) is not None:
            text = f"--{option} does not go with --live: `ros2 bag record` records the node's topics"
            raise CommandError(text, USAGE)
    if args.window is not None:
        window_ns = nanoseconds(args.window)
        questions = [replace(one, window_ns=window_ns) if one.window_ns is None else one for one in questions]
    from ..live.playback import LiveSession, live_record
    from ..live.session import LiveError
    from .show import answer_text, tally

    ended: Counter[str] = Counter()
    judged: Counter[bool] = Counter()
    names = [topic.name for topic in topics]
    try:
        with LiveSession(args.bag, names, args.node, args.rate) as session:

            def show(live: LiveAnswer) -> None:
                record = live_record(live, session.origin_ns)
                if live.question is not None:
                    ended[record["status"]] += 1
                if record["truth"]:
                    judged[record["correct"]] += 1
                print(json.dumps(record, ensure_ascii=False) if args.json else answer_text(record), flush=True)

            session.wait_until_heard()
            session.play(questions, args.deadline, show)
            published = session.player.published
    except LiveError as error:
        raise CommandError(str(error)) from None
    for line in [tally(ended, judged), *(f"{name}: {published[name]} frames published" for name in names)]:
        print(line, file=sys.stderr if args.json else sys.stdout)
    return 0 if set(ended) <= {"OK"} else 1
