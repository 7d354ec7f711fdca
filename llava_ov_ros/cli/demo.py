"""The command `llava-ov demo`: play a recorded camera to a real ROS 2 node, ask questions, and draw the answers."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checkpoints import is_address
from ..settings.value_range import DEFAULT
from .bag_options import add_value_range, per_camera
from .errors import USAGE, CommandError
from .guesses import SENTENCE, is_guessing, tell_guesses
from .model_options import add_model_name, add_server, find_model, node_parameters
from .options import positive, positive_s
from .parsers import CommandParser

if TYPE_CHECKING:
    from ..live.playback import LiveAnswer, LiveSession
    from ..live.process import NodeProcess
    from ..replay import ImageTopic, TimedQuestion

SHIPPED_BAG = "examples/demo_room"
DEFAULT_ASK = "What do you see?"
START_S = 60.0
LOAD_S = 600.0
ANSWER_S = 120.0

_DESCRIPTION = """\
Start the installed node as a process of its own, play a recording to it over real DDS topics, ask questions on
the way, and draw the frames that the answers rest on. Without --bag: a shipped recording whose answers are known.
"""

_EPILOG = """\
examples:
  llava-ov demo
  llava-ov demo --bag my_bag --topic /front/image_raw --ask "Is there a mug on the table?" --every 5
  llava-ov demo --bag my_bag --model llava-hf/llava-onevision-qwen2-0.5b-ov-hf --ask "What is on the floor?"

The node and its topics live in a namespace of their own, so nothing that already runs is disturbed.
exit codes: 0 everything was answered (of the shipped recording: as the truth has it); 1 not so, or an error;
2 wrong usage; 130 Ctrl-C
"""


def add_parser(subparsers: argparse._SubParsersAction[CommandParser]) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "demo",
        help="play a recording to a real node and draw what it answers from",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.option_of_words = "--bag"
    parser.add_argument("--bag", type=Path, metavar="BAG", help="your recording instead of the shipped one")
    parser.add_argument("--topic", action="append", default=[], help="image topic; repeat it for several cameras")
    parser.add_argument("--ask", action="append", default=[], metavar="TEXT", help="your question; may be repeated")
    parser.add_argument(
        "--every",
        type=positive_s,
        metavar="S",
        help="ask each --ask every S seconds (default: at a quarter, half and three quarters, and at the end)",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("out/demo.png"), metavar="FILE.png", help="picture (default: %(default)s)"
    )
    add_value_range(parser)
    add_model_name(parser)
    parser.add_argument("--rate", type=positive, default=1.0, metavar="X", help="speed of playing (default: 1)")
    add_server(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command and return the exit code.

    Raises:
        CommandError: The bag, the model or the node cannot be used as asked.
    """
    find_model(args)
    from ..live.session import LiveError
    from ..replay import BagError, QuestionsError, image_topics
    from ..share import shipped
    from .topics import chosen_topics

    if args.out.suffix.lower() != ".png":
        raise CommandError(f"--out {args.out}: the name must end in .png", USAGE)
    if args.every is not None and not args.ask:
        raise CommandError("--every says when to put each --ask: give an --ask", USAGE)
    bag = args.bag or shipped(SHIPPED_BAG)
    if bag is None:
        raise CommandError(f"the shipped recording {SHIPPED_BAG} is missing: give your own with --bag")
    try:
        topics = chosen_topics(bag, args.topic, image_topics(bag))
        args.value_range = per_camera("--value-range", args.value_range, len(topics), DEFAULT)
        questions = _questions(args, bag, topics)
        _introduce(args, bag, topics, questions)
        return _play(args, bag, topics, questions)
    except (BagError, LiveError) as error:
        raise CommandError(str(error)) from None
    except QuestionsError as error:
        raise CommandError(str(error), USAGE) from None


def _questions(args: argparse.Namespace, bag: Path, topics: Sequence[ImageTopic]) -> tuple[TimedQuestion, ...]:
    """Return the questions to ask.

    These are the shipped questions with their right answers; or the user's question, asked after a quarter, a half and
    three quarters of the recording and at its end.
    """
    from ..frames import NS_PER_S
    from ..replay import ask_at, read_questions

    if args.bag is None and not args.ask:
        return read_questions(bag / "truth.json")
    duration_ns = _duration_ns(topics)
    quarters = [duration_ns * quarter / 4 / NS_PER_S for quarter in (1, 2, 3, 4)]
    return ask_at(
        args.ask or [DEFAULT_ASK],
        duration_ns=duration_ns,
        every_s=args.every,
        at_s=() if args.every is not None else quarters,
    )


def _duration_ns(topics: Sequence[ImageTopic]) -> int:
    recorded = [topic for topic in topics if topic.count]
    if not recorded:
        raise CommandError(f"there is no message on {', '.join(topic.name for topic in topics)}")
    return max(0, max(topic.last_ns for topic in recorded) - min(topic.first_ns for topic in recorded))


def _introduce(
    args: argparse.Namespace, bag: Path, topics: Sequence[ImageTopic], questions: Sequence[TimedQuestion]
) -> None:
    """Print what the demonstration shows and which of its parts are real."""
    from ..live.process import middleware

    ros = f"ROS 2 {os.environ.get('ROS_DISTRO', '').capitalize()}".rstrip()
    model = "the trained 7 MB model rooms" if args.model == "rooms" else f"the model {args.model}"
    print(
        f"Real here: rclpy of {ros}, {middleware()} between two processes, "
        f"the installed node, {model}. Nothing is mocked."
    )
    if args.bag is None:
        import json

        about = json.loads((bag / "truth.json").read_text())
        print(f"Recording: {about['what']}.\n{about['note']}")
        return
    print(f"Recording: {bag}, {_duration_ns(topics) / 1e9:.1f} s of {', '.join(topic.name for topic in topics)}.")
    if args.every is None:
        print("Each question is asked at a quarter, half and three quarters of the recording, and at its end.")
    if not args.ask:
        print(f'No --ask was given, so the question is "{DEFAULT_ASK}"')
    tell_guesses(args.model, [bag])


def _play(args: argparse.Namespace, bag: Path, topics: Sequence[ImageTopic], questions: Sequence[TimedQuestion]) -> int:
    from ..live.number_format import comparable_dtype
    from ..live.playback import LiveSession
    from ..live.player import RECEIVES_ALL, staged_base
    from ..live.process import NodeProcess, use_large_segments
    from ..live.session import LiveError
    from ..replay import camera_names

    use_large_segments()
    namespace = f"/llava_ov_demo_{os.getpid()}"
    names = camera_names([topic.name for topic in topics])
    node = NodeProcess(
        namespace,
        {
            "use_sim_time": True,
            **node_parameters(args),
            "dtype": comparable_dtype(args.model),
            "cameras": [names[topic.name] for topic in topics],
            "image_topics": [staged_base(topic, namespace) for topic in topics],
            "image_transport": [topic.transport for topic in topics],
            "value_range": args.value_range,
            **RECEIVES_ALL,
            "evidence": False,
        },
        args.out.with_suffix(".log"),
        clock=f"{namespace}/clock",
    )
    try:
        # The session first: its publishers must be there for `image_qos: match` to match them.
        with LiveSession(bag, list(names), node.name, args.rate, namespace, node.check) as session, node:
            records = _answers(session, node, args.model, topics, questions)
            code = node.end()
    except LiveError as error:
        raise CommandError(f"{error}\nThe end of the node's log ({node.log}):\n{node.tail()}") from None
    if code != 0:
        raise CommandError(f"the node ended with exit code {code}; the end of its log ({node.log}):\n{node.tail()}")
    print("The node was told to stop (SIGINT) and ended with exit code 0.")
    _draw(args, bag, names, records, session.origin_ns)
    return _verdict(records)


def _answers(
    session: LiveSession,
    node: NodeProcess,
    model: str,
    topics: Sequence[ImageTopic],
    questions: Sequence[TimedQuestion],
) -> list[dict[str, Any]]:
    """Bring the node up, play the bag, print each answer, and return the records of the answers."""
    from tqdm import tqdm

    from ..live.playback import live_record
    from .show import answer_text

    print(f"\n[1/4] starting the node {node.name} (its log: {node.log})", flush=True)
    session.wait_until_up(START_S)
    print(f"[2/4] configure: {'asking' if is_address(model) else 'loading'} {model} ...", end=" ", flush=True)
    started_s = time.monotonic()
    session.configure(LOAD_S)
    print(f"{time.monotonic() - started_s:.1f} s; activate", flush=True)
    session.activate(START_S)
    session.wait_until_heard(START_S)
    total = sum(topic.count for topic in topics)
    print(f"[3/4] playing {total} frames; time stands still while a question is answered\n", flush=True)
    records: list[dict[str, Any]] = []
    with tqdm(total=total, unit=" frames", disable=None, leave=False) as progress:

        def show(live: LiveAnswer) -> None:
            records.append(live_record(live, session.origin_ns))
            progress.write(answer_text(records[-1]))
            sys.stdout.flush()

        session.play(questions, ANSWER_S, show, lambda message: progress.update() and None)
    heard = sum(session.player.published.values())
    print(f"\n[4/4] {heard} frames published, {len(records)} answer{'' if len(records) == 1 else 's'}", flush=True)
    return records


def _draw(
    args: argparse.Namespace, bag: Path, names: dict[str, str], records: Sequence[dict[str, Any]], origin_ns: int
) -> None:
    from .demo_picture import used_frames, write_picture

    frames = used_frames(bag, names, records)
    model = next((record["model"] for record in records if record["model"]), args.model)
    subtitle = f"recording {bag.name}, model {model}, asked over ROS 2"
    title = ["The frames that the answers rest on", subtitle, *([SENTENCE] if is_guessing(args.model, [bag]) else [])]
    write_picture(args.out, title, frames, records, origin_ns)
    print(f"Picture of the frames used with the answers: {args.out}")


def _verdict(records: Sequence[dict[str, Any]]) -> int:
    from .show import tally

    ended = Counter(record["status"] for record in records)
    judged = Counter(record["correct"] for record in records if record["truth"])
    print(tally(ended, judged))
    return 0 if set(ended) == {"OK"} and not judged[False] else 1
