"""The command `llava-ov replay`: list what a bag holds, and answer questions about it."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..settings import DEFAULTS
from .bag_options import (
    add_bag,
    add_clip,
    add_model,
    check_times,
    duration_ns,
    make_cameras,
    progress,
    replay_settings,
)
from .errors import USAGE, CommandError
from .guesses import tell_guesses
from .model_options import load_model
from .options import count, not_negative_s, positive, positive_s
from .recording_options import add_recording, recorder_of

if TYPE_CHECKING:
    # Only for annotations: this brings numpy and OpenCV, which --help does without.
    from ..replay import ImageTopic, TimedQuestion

_DESCRIPTION = """\
Replay a recording (ROS 2: mcap or sqlite3; ROS 1: .bag) through the same path as live cameras, as fast as
the model answers, and ask questions about it. The same bag and questions always give the same answers.
Without a question, list the cameras in the recording.
"""

_EPILOG = """\
examples:
  llava-ov replay my_bag
      the image topics, how many messages each has, and how long it lasts
  llava-ov replay my_bag --ask "What colour is the mug?"
      ask once, at the end, about the frames that the node would look at then (its growing clip)
  llava-ov replay my_bag --ask "What is on the table?" --model llava-hf/llava-onevision-qwen2-0.5b-ov-hf
      another model than the small one that is shipped
  llava-ov replay my_bag --topic /front/image_raw --ask "Is there a mug on the table?" --every 5
      ask every 5 seconds of the recording
  llava-ov replay my_bag --ask "Which object moved?" --at 4.4 --at 9.6 --window 6 --sheet moved.png
      ask at two moments about the 6 seconds before, and draw the frames that the answers rest on
  llava-ov replay my_bag --ask "What is on the table?" --every 5 --record answered.mcap
      keep the answers beside the pictures, as a bag that Foxglove, ros2 bag and llava-ov replay open
  llava-ov replay my_bag --questions truth.json --json > answers.jsonl
      questions from a file, {"questions": [{"ask": "...", "at_s": 4.4, "window_s": 3, "truth": "..."}]};
      one JSON object per answer

exit codes: 0 every question was answered; 1 one was not, or an error; 2 wrong usage; 130 Ctrl-C
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "replay",
        help="ask questions about a recorded bag, or list its cameras",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run, default_of=parser.get_default)
    add_bag(parser)

    asking = parser.add_argument_group("questions")
    asking.add_argument("--ask", action="append", default=[], metavar="TEXT", help="a question; may be repeated")
    asking.add_argument("--questions", type=Path, metavar="FILE", help="a JSON file of questions with their times")
    asking.add_argument("--every", type=positive_s, metavar="S", help="ask each --ask every S seconds")
    asking.add_argument(
        "--at",
        type=not_negative_s,
        action="append",
        default=[],
        metavar="S",
        help="ask each --ask S seconds after the first frame; may be repeated (default: at the end)",
    )

    model = add_model(parser)
    model.add_argument(
        "--max-new-tokens",
        type=count,
        default=DEFAULTS.max_new_tokens,
        metavar="N",
        help="longest answer (default: %(default)s)",
    )

    add_clip(parser)

    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="one JSON object per answer (or topic) and line")
    output.add_argument(
        "--sheet",
        type=Path,
        metavar="FILE.png",
        help="draw the frames used with questions and answers; answers on other frames go to FILE-2.png, ...",
    )
    add_recording(output)

    live = parser.add_argument_group("live")
    live.add_argument(
        "--live", action="store_true", help="publish the bag on its topics and ask a running node (needs ROS 2)"
    )
    live.add_argument(
        "--rate", type=positive, default=1.0, metavar="X", help="speed of live playing (default: %(default)g)"
    )
    live.add_argument(
        "--deadline",
        type=positive_s,
        default=DEFAULTS.deadline_s,
        metavar="S",
        help="longest wait for an answer (default: %(default)g)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command and return the exit code.

    Raises:
        CommandError: The bag, the questions or the model cannot be used as asked.
    """
    from ..replay import BagError, QuestionsError, image_topics
    from .topics import chosen_topics

    try:
        if (args.every is not None or args.at) and not args.ask:
            raise CommandError("--every and --at say when to put each --ask: give an --ask", USAGE)
        topics = image_topics(args.bag)
        if not args.ask and args.questions is None:
            return _list_topics(args, topics)
        chosen = chosen_topics(args.bag, args.topic, topics)
        questions = _questions(args, chosen)
        check_times(args.bag, chosen, questions)
        if args.live:
            from .live import run_live

            return run_live(args, chosen, questions)
        return _replay(args, chosen, questions)
    except BagError as error:
        raise CommandError(str(error)) from None
    except QuestionsError as error:
        raise CommandError(str(error), USAGE) from None


def _list_topics(args: argparse.Namespace, topics: Sequence[ImageTopic]) -> int:
    from .show import topic_table

    if args.json:
        for topic in topics:
            print(json.dumps(asdict(topic)))
        return 0
    print(f"{args.bag}\n{topic_table(topics)}")
    several = f" --topic {topics[0].name}" if len(topics) > 1 else ""
    print(f'\nAsk about it:  llava-ov replay {args.bag}{several} --ask "What do you see?"')
    return 0


def _questions(args: argparse.Namespace, topics: Sequence[ImageTopic]) -> tuple[TimedQuestion, ...]:
    from ..replay import QuestionsError, ask_at, read_questions

    questions = ask_at(args.ask, duration_ns=duration_ns(topics), every_s=args.every, at_s=args.at) if args.ask else ()
    if args.questions is None:
        return questions
    try:
        return questions + read_questions(args.questions)
    except QuestionsError as error:
        # Of a file that cannot be used; those of --ask, --at and --every are wrong usage.
        raise CommandError(str(error)) from None


def _replay(args: argparse.Namespace, topics: tuple[ImageTopic, ...], questions: Sequence[TimedQuestion]) -> int:
    from ..frames import NS_PER_S
    from ..replay import answer_record, remarks, replay, written
    from .show import Sheets, answer_text, tally

    settings = replace(replay_settings(args), max_new_tokens=args.max_new_tokens)
    longest_ns = max(settings.window_ns or 0, *(question.window_ns or 0 for question in questions))
    cameras = make_cameras(args, topics, longest_ns / NS_PER_S)
    tell_guesses(args.model, [args.bag])
    sheets = Sheets(args.sheet) if args.sheet is not None else None
    ended: Counter[str] = Counter()
    judged: Counter[bool] = Counter()
    with ExitStack() as stack:
        recorder = stack.enter_context(recorder_of(args, topics))
        engine = stack.enter_context(closing(load_model(args, clip_frames=args.frames, cameras=len(topics))))
        messages = progress(args.bag, topics, cameras, recorder)
        for answered in replay(messages, cameras, questions, engine, settings):
            asked = answered.question
            record = written(answer_record(answered.result, engine.name), asked.at_ns, answered.now_ns, asked)
            ended[record["status"]] += 1
            if record["truth"]:
                judged[record["correct"]] += 1
            messages.write(json.dumps(record, ensure_ascii=False) if args.json else answer_text(record))
            sys.stdout.flush()
            if sheets is not None:
                sheets.add(answered.result.clips, record)
            recorder.answer(answered.result, answered.now_ns, engine.name)
    if sheets is not None:
        sheets.write()
    for line in recorder.told():
        print(f"recorded: {line}", file=sys.stderr)
    for line in [tally(ended, judged), *remarks(topics, cameras)]:
        print(line, file=sys.stderr if args.json else sys.stdout)
    return 0 if set(ended) <= {"OK"} else 1
