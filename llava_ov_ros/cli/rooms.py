"""The command `llava-ov rooms`: measure how well a model knows rendered rooms, and make recordings of them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..modes import MODES
from ..settings import DEFAULTS
from . import rooms_episodes, rooms_record
from .errors import USAGE, CommandError
from .model_options import add_device, add_model_name, add_number_format, add_server, load_model
from .options import count, whole

if TYPE_CHECKING:
    from ..evaluation.metrics.calibration import Calibration
    from ..evaluation.rooms.accuracy import AccuracyReport, RoomTrial
    from ..evaluation.rooms.held_plans import PlanReport
    from .rooms_asking import RoomsAsker

LIVE_SIZE = (640, 480)
CALIBRATION = "calibration"

_EVALUATE = """\
Ask a model about rendered rooms that it has never seen, and count the right answers per kind of question: exact
match, greedy, with the 95 % interval, and beside it what the same model guesses with gray pictures (blind).
`reversed` counts the moves whose direction flips when the clip runs backwards.

Questions of yes or no, those with known choices and those of how many are decided once more by comparing the
probabilities of their answers; the second table has how often the model is right where it is so sure.

With --decoding only plans and next steps are asked: as the model writes them (free), held to the grammar of the
vocabulary (constrained), or both. What the tolerant parser cannot read, or reads as no step, is malformed.

With --live the same questions are asked twice, about pictures of 640x480: in process, and through the installed node,
started as a process of its own, with the pictures as JPEG over DDS. Nothing else is asked then.

With --recordings the same questions are asked about clips of recordings of something else, each camera as often as
each other. What is counted is how often the model says that it cannot tell; beside it stands how sure it is of its
other answers on average.
"""
_EPILOG = """\
examples:
  llava-ov rooms evaluate                        500 questions of each kind (minutes)
  llava-ov rooms evaluate --each 50 --seed 3     a quick look at other rooms
  llava-ov rooms evaluate --held-out --json      combinations of kind, colour and place never trained on
  llava-ov rooms evaluate --decoding both        plans and next steps, free and constrained
  llava-ov rooms evaluate --live --each 100      in process beside the live node (needs ROS 2)
  llava-ov rooms evaluate --recordings my_bag    how often does it say that it cannot tell of your pictures?

exit codes: 0 all were asked, whatever was right; 1 the model or node cannot be used; 2 wrong usage; 130 Ctrl-C
"""
_ALL_EPILOG = """\
examples:
  llava-ov rooms record room.mcap             a rendered room as a bag, with the truth beside it
  llava-ov rooms evaluate --each 50           how often is the model right about rooms that it has never seen?
  llava-ov rooms episodes --count 1           does a live node hint what comes next? (needs ROS 2)

exit codes: 0 fine; 1 something cannot be used, or not be written; 2 wrong usage; 130 Ctrl-C
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands and their options."""
    parser = subparsers.add_parser(
        "rooms",
        help="rendered rooms: evaluate a model, record bags",
        description="How well a model knows rendered rooms, and recordings of them.",
        epilog=_ALL_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="what to do", metavar="WHAT", required=True)
    evaluate = commands.add_parser(
        "evaluate",
        help="how often is a model right about fresh rooms?",
        description=_EVALUATE,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    evaluate.set_defaults(run=run_evaluate)
    add_model_name(evaluate)
    evaluate.add_argument("--seed", type=whole, default=0, metavar="N", help="which rooms (default: %(default)s)")
    evaluate.add_argument(
        "--each", type=count, default=500, metavar="N", help="questions of each kind (default: %(default)s)"
    )
    evaluate.add_argument("--held-out", action="store_true", help="only combinations never trained on")
    evaluate.add_argument(
        "--mode",
        choices=MODES,
        default=DEFAULTS.visual_mode,
        help="how pictures are shown to the model; image: one picture each (default: %(default)s)",
    )
    evaluate.add_argument(
        "--decoding", choices=("free", "constrained", "both"), help="only plans and next steps, decoded so"
    )
    evaluate.add_argument("--live", action="store_true", help="in process beside a live node, asked over DDS")
    evaluate.add_argument(
        "--recordings", nargs="+", type=Path, metavar="BAG", help="ask about clips of these bags in place of rooms"
    )
    evaluate.add_argument("--no-blind", action="store_true", help="do not ask again with gray pictures")
    evaluate.add_argument("--no-calibration", action="store_true", help="do not compare the answers' probabilities")
    evaluate.add_argument(
        "--wrong",
        type=count,
        metavar="N",
        help="also show N wrong answers; with --live: N that differ; with --recordings: N others than `cannot tell`",
    )
    add_device(evaluate)
    add_number_format(evaluate)
    evaluate.add_argument("--json", action="store_true", help="one JSON object")
    add_server(evaluate)
    record = commands.add_parser(
        "record",
        help="a rendered room as a ROS 2 bag, with the truth",
        description=rooms_record.DESCRIPTION,
        epilog=rooms_record.EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    record.set_defaults(run=rooms_record.run)
    rooms_record.add_arguments(record)
    episodes = commands.add_parser(
        "episodes",
        help="recorded episodes to a live node: does it hint what comes next, from the goal to DONE?",
        description=rooms_episodes.DESCRIPTION,
        epilog=rooms_episodes.EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    episodes.set_defaults(run=rooms_episodes.run)
    rooms_episodes.add_arguments(episodes)


def run_evaluate(args: argparse.Namespace) -> int:
    """Run `rooms evaluate` and return the exit code.

    Raises:
        CommandError: Options cannot be combined, the model cannot be loaded, the model computed numbers that are not
            finite, a server did not answer or cannot answer such questions, or with --live the node did not respond as
            expected.
    """
    # Not above: these bring numpy, which --help does without.
    from ..ask_error import AskError
    from ..asking import NotFiniteError
    from ..remote import ServerError

    try:
        return _run_evaluate(args)
    except (AskError, NotFiniteError, ServerError) as error:
        raise CommandError(str(error)) from None


def _run_evaluate(args: argparse.Namespace) -> int:
    from ..evaluation.rooms.accuracy import HELD_OUT_CATEGORIES, trials
    from ..evaluation.rooms.held_plans import PLAN_CATEGORIES
    from ..questions import find_prompts, load_prompts
    from ..rooms.room_questions import CATEGORIES

    if args.decoding is not None and (args.live or args.held_out):
        raise CommandError(
            "--decoding goes neither with --live nor with --held-out: plans are asked in process, in any room", USAGE
        )
    if args.recordings is not None and (args.live or args.held_out or args.decoding is not None):
        raise CommandError(
            "--recordings goes with none of --live, --held-out and --decoding: those ask about rooms", USAGE
        )
    engine = load_model(args)
    categories: tuple[str, ...] = CATEGORIES if args.decoding is None else PLAN_CATEGORIES
    if args.held_out:
        categories = HELD_OUT_CATEGORIES
    frames = 1 if args.mode == "image" else None
    if frames == 1:
        categories = tuple(category for category in categories if category != "motion")
    sizes = (LIVE_SIZE,) if args.live else None
    fresh = trials(args.seed, args.each, categories=categories, held_out=args.held_out, frames=frames, sizes=sizes)
    from .rooms_asking import RoomsAsker

    asker = RoomsAsker(engine, args.mode, load_prompts(find_prompts("plain")))
    if args.recordings is not None:
        from .rooms_recordings import run_recordings

        return run_recordings(args, asker, fresh, args.each * len(categories))
    if args.live:
        from .rooms_asking import LONGEST_ANSWER
        from .rooms_live import run_live

        return run_live(args, asker.answer, fresh, args.each * len(categories), LONGEST_ANSWER)
    if args.decoding is not None:
        return _decodings(args, asker, fresh, args.each * len(categories))
    return _evaluate(args, asker, fresh, args.each * len(categories))


def _evaluate(args: argparse.Namespace, asker: RoomsAsker, fresh: Iterator[RoomTrial], total: int) -> int:
    from tqdm import tqdm

    from ..evaluation.rooms.accuracy import evaluate

    decide = None if args.no_calibration else asker.decide
    with tqdm(total=total, unit="question", disable=None, leave=False) as bar:
        report = evaluate(asker.answer, fresh, blind=not args.no_blind, decide=decide, on_asked=bar.update)
    calibrations = report.calibrations()
    if args.json:
        calibrated = {CALIBRATION: calibration_record(calibrations)} if calibrations else {}
        print(json.dumps(report.as_dict() | calibrated))
    else:
        print(table(report))
        if calibrations:
            print(f"\n{calibration_table(calibrations)}")
    print(f"median time of an answer about a new clip of four frames: {report.median_s():.3f} s", file=sys.stderr)
    for category, text, gold, said in report.wrong[: args.wrong or 0]:
        print(f"  {category}: {text} -> {said!r}, right: {gold!r}", file=sys.stderr)
    return 0


def _decodings(args: argparse.Namespace, asker: RoomsAsker, fresh: Iterator[RoomTrial], total: int) -> int:
    from tqdm import tqdm

    from ..evaluation.rooms.held_plans import COMPARED_DECODINGS, evaluate_plans
    from ..planning import find_vocabulary, load_vocabulary
    from ..questions import find_prompts, load_prompts

    decodings = COMPARED_DECODINGS if args.decoding == "both" else (args.decoding,)
    vocabulary, prompts = load_vocabulary(find_vocabulary("alfred")), load_prompts(find_prompts("plain"))
    try:
        with tqdm(total=total * len(decodings), unit="question", disable=None, leave=False) as bar:
            report = evaluate_plans(asker.write, fresh, vocabulary, prompts, decodings=decodings, on_asked=bar.update)
    except ValueError as error:
        raise CommandError(str(error)) from None
    print(json.dumps(report.as_dict()) if args.json else plan_table(report))
    for decoding, text, gold, said in report.wrong[: args.wrong or 0]:
        print(f"  {decoding}: {text} -> {said!r}, right: {gold!r}", file=sys.stderr)
    return 0


def table(report: AccuracyReport) -> str:
    """Return a report as a table for people."""
    lines = [f"{'':12}{'n':>6}{'right':>7}{'%':>7}{'95 % interval':>17}{'blind %':>9}"]
    for category, row in report.as_dict().items():
        bounds = f"{100 * row['low']:.1f} to {100 * row['high']:.1f}"
        blind = f"{100 * row['blind']:.1f}" if "blind" in row else ""
        lines.append(
            f"{category:<12}{row['n']:>6}{row['correct']:>7}{100 * row['accuracy']:>7.1f}{bounds:>17}{blind:>9}"
        )
        if "precision" in row:
            lines[-1] += f"   precision {100 * row['precision']:.1f}, recall {100 * row['recall']:.1f}"
    return "\n".join(lines)


def calibration_record(calibrations: dict[str, Calibration]) -> dict[str, Any]:
    """Return calibrations ready for JSON: of all questions, and under `kinds` of each kind of answer."""
    from ..evaluation.rooms.accuracy import TOTAL, Tally

    def record(one: Calibration) -> dict[str, Any]:
        return {
            **Tally(one.n, one.correct).as_dict(),
            "confidence": round(one.confidence, 4),
            "expected_calibration_error": round(one.error, 4),
            "bins": [
                {
                    "low": some.low,
                    "high": some.high,
                    "n": some.n,
                    "confidence": round(some.confidence, 4),
                    "accuracy": round(some.accuracy, 4),
                }
                for some in one.bins
            ],
        }

    kinds = {kind: record(one) for kind, one in calibrations.items() if kind != TOTAL}
    return record(calibrations[TOTAL]) | {"kinds": kinds}


def calibration_table(calibrations: dict[str, Calibration]) -> str:
    """Return calibrations as tables for people: the bins of all questions, and a line for each kind of answer."""
    from ..evaluation.rooms.accuracy import TOTAL

    lines = [f"{'probability':<12}{'n':>6}{'mean %':>9}{'right %':>9}"]
    for some in calibrations[TOTAL].bins:
        shares = f"{100 * some.confidence:>9.1f}{100 * some.accuracy:>9.1f}" if some.n else f"{'-':>9}{'-':>9}"
        lines.append(f"{f'{some.low:.1f} to {some.high:.1f}':<12}{some.n:>6}{shares}")
    lines.append(f"{'':12}{'n':>6}{'mean %':>9}{'right %':>9}   expected calibration error")
    for kind, one in calibrations.items():
        lines.append(f"{kind:<12}{one.n:>6}{100 * one.confidence:>9.1f}{100 * one.accuracy:>9.1f}   {one.error:.3f}")
    return "\n".join(lines)


def plan_table(report: PlanReport) -> str:
    """Return a report about ways of decoding as a table for people."""
    lines = [f"{'':12}{'decoding':<13}{'n':>6}{'right':>7}{'%':>7}{'95 % interval':>17}{'malformed':>11}"]
    found = report.as_dict()
    for category in next(iter(found.values())):
        for decoding, rows in found.items():
            row = rows[category]
            bounds = f"{100 * row['low']:.1f} to {100 * row['high']:.1f}"
            lines.append(
                f"{category:<12}{decoding:<13}{row['n']:>6}{row['correct']:>7}{100 * row['accuracy']:>7.1f}{bounds:>17}"
                f"{row['malformed']:>11}"
            )
    return "\n".join(lines)
