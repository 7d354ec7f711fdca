"""The command `llava-ov eval`: ask the questions of a suite about its bags and score the answers as papers do.

`llava-ov eval interleave` runs a published benchmark.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checkpoints import ADDRESS_FORM, MODEL_FORMS
from ..share import MODELS
from .errors import USAGE, CommandError
from .eval_interleave import add_interleave
from .guesses import SENTENCE, is_guessing, tell_guesses
from .model_options import add_server, check_server_options, server_options
from .options import count, positive, value_range
from .parsers import CommandParser

if TYPE_CHECKING:
    # Only for annotations: these bring numpy, OpenCV and torch, which --help does without.
    from ..evaluation.run.bag_answers import ShardEvent
    from ..evaluation.run.journal import Journal
    from ..evaluation.run.suite_run import Pace
    from ..evaluation.suite.preflight import Job

BELOW = 3
"""Exit code where a metric is below --fail-under."""
IN_PROCESS, LIVE = "in process", "live"

_DESCRIPTION = """\
Replay bags, ask what a suite's file says, score the answers, and write a report that one looks at. Every frame
counts, no clock is involved, and the same bags, suite and model give the same results to the byte.
"""

_EPILOG = """\
examples:
  llava-ov eval examples/suite.yaml --out out/evaluation
      results.jsonl, summary.json, timing.json and report.html go to the folder; a run that was stopped goes on
  llava-ov eval nightly.yaml --out out/new --model out/checkpoint --compare out/old
      another model, and which questions went better or worse than in a run before
  llava-ov eval nightly.yaml --out out/new --fail-under em=0.6
      for a CI: exit code 3 where the metric is below
  llava-ov eval nightly.yaml --out out/new --workers 4
      bags over 4 processes: the same results
  llava-ov eval nightly.yaml --out out/new --model http://robot-server:8000/v1
      a model on a server; --workers share the bags out to connections
  llava-ov eval nightly.yaml --out out/live --live
      the same questions through the installed node over ROS topics (needs ROS 2)
  llava-ov eval --compare ~/.ros/log/llava_ov_shadow_20250101_120000_77.jsonl
      how far the node's model and its shadow_model agree
  llava-ov eval interleave --help
      LLaVA-Interleave-Bench

docs/evaluation.md describes the suite's file; `llava-ov eval SUITE.yaml --check` only checks it.
exit codes: 0 fine; 1 a question ended in an error of the model, or something cannot be used; 2 wrong usage;
3 a metric is below --fail-under; 130 Ctrl-C
"""


def add_parser(subparsers: argparse._SubParsersAction[CommandParser]) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "eval",
        help="score a model on bags whose answers are known",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add_interleave(parser)
    parser.add_argument("suite", metavar="SUITE.yaml", type=Path, nargs="?", help="what is asked of which bags")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the run")
    parser.add_argument("--check", action="store_true", help="check the suite and end")
    parser.add_argument("--model", help=f"instead of the suite's: {MODEL_FORMS}; or {ADDRESS_FORM}")
    parser.add_argument(
        "--value-range",
        type=value_range,
        metavar="RANGE",
        help="instead of the suite's, for all cameras: stored values shown darkest and brightest, of pictures of one "
        "channel with more than 8 bits; default, auto, or two numbers such as 0..4095",
    )
    parser.add_argument("--restart", action="store_true", help="throw away what --out holds of a run before")
    parser.add_argument(
        "--compare",
        type=Path,
        metavar="DIR",
        help="folder of a finished run to compare with; without SUITE.yaml, a file that the node has written with "
        "shadow_model",
    )
    parser.add_argument(
        "--fail-under",
        action="append",
        default=[],
        metavar="METRIC=X",
        help="exit code 3 where a metric is below X (0 to 1: 28.6 in the table is 0.286); may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="print summary.json instead of a table")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--workers", type=count, default=1, metavar="N", help="processes to share the bags out to")
    way.add_argument("--ray", metavar="ADDRESS", help="share the bags out on a Ray cluster: auto, ray://..., local")
    way.add_argument("--live", action="store_true", help="ask the installed node over ROS topics (needs ROS 2)")
    parser.add_argument(
        "--rate", type=positive, default=1.0, metavar="X", help="speed of live playing (default: %(default)g)"
    )
    add_server(parser, of_suite=True)


def run(args: argparse.Namespace) -> int:
    """Run the command and return the exit code.

    Raises:
        CommandError: The suite, the folder or the model cannot be used as asked.
    """
    if args.suite is None or (args.compare is not None and args.compare.is_file()):
        return _without_suite(args)
    from ..evaluation.report.comparison import ComparisonError, read_rows
    from ..evaluation.run.answering_model import WorkError, answering_model
    from ..evaluation.run.frame_pictures import read_again
    from ..evaluation.run.identity import identity
    from ..evaluation.run.journal import FolderError, Journal, WriteError
    from ..evaluation.run.suite_run import finish
    from ..evaluation.suite.preflight import describe, preflight
    from ..evaluation.suite.suite_file import SuiteError, read_suite
    from ..replay import BagError

    if not args.suite.exists():
        raise CommandError(f"{args.suite}: no such file")
    further = ["bags, times and names are checked when this is mended"]
    try:
        suite = read_suite(args.suite, _named_here(args.model), args.value_range, server_options(args))
        further = []
        check_server_options(args, suite.model.model)
        job = preflight(suite)
    except SuiteError as error:
        raise CommandError("\n".join(["the suite cannot be run:", *error.problems, *further])) from None
    limits = _limits(args.fail_under, job)
    for note in job.notes:
        print(note, file=sys.stderr)
    if args.check:
        print(f"{args.suite}: {describe(job)}; metrics: {', '.join(job.metrics) or 'none'}")
        return 0
    if args.out is None:
        raise CommandError("--out is missing: name the folder of the run", USAGE)
    if args.live:
        # Where ROS is missing, that is said before anything is written.
        from ..live import suite_playback  # noqa: F401
    way = LIVE if args.live else IN_PROCESS
    try:
        other = None if args.compare is None else read_rows(args.compare)
        model = answering_model(job)
        journal = Journal(args.out, identity(job, model, way), args.restart)
    except (ComparisonError, FolderError, WorkError) as error:
        raise CommandError(str(error)) from None
    print(f"{args.suite}: {describe(job)}", file=sys.stderr)
    if model.address:
        print(f"asking {model.name} on {model.version or 'a server'} at {model.address}", file=sys.stderr)
    bags = [shard.bag for shard in job.shards]
    tell_guesses(job.suite.model.model, bags)
    try:
        with journal:
            if journal.damaged:
                print(f"{_damaged(journal)}: what was answered there is asked again", file=sys.stderr)
            pace = _ask(args, job, journal)
            if missing := read_again(job, journal):
                print(f"{missing} pictures were missing in {args.out}: they were read from the bags", file=sys.stderr)
            found = finish(
                job,
                journal,
                pace,
                model=model,
                way=way,
                other=other,
                compared_with=str(args.compare or ""),
                notice=SENTENCE if is_guessing(job.suite.model.model, bags) else "",
            )
    except (FolderError, ComparisonError) as error:
        raise CommandError(str(error)) from None
    except (WorkError, WriteError, BagError) as error:
        raise CommandError(f"{error}\n{_kept(args)}") from None
    except KeyboardInterrupt:
        print(_kept(args), file=sys.stderr)
        raise
    return _tell(args, found, limits)


def _without_suite(args: argparse.Namespace) -> int:
    """Show the file of the node's shadow mode that --compare names; the only thing that needs no suite."""
    if args.suite is not None:
        raise CommandError(f"--compare {args.compare}: with SUITE.yaml, give the folder of a finished run", USAGE)
    if args.compare is None or args.compare.is_dir():
        raise CommandError("SUITE.yaml is missing: name the suite's file", USAGE)
    from .eval_agreement import run_agreement

    return run_agreement(args)


def _named_here(model: str | None) -> str | None:
    """Return the value of --model in the form that a suite understands.

    A suite's own relative paths count from its file; those of a command line count from the working directory.
    """
    path = Path(model or "").expanduser()
    return model if model is None or model in MODELS.shipped() or not path.is_dir() else str(path.absolute())


def _kept(args: argparse.Namespace) -> str:
    return f"What was answered is in {args.out}: the same command goes on from there"


def _damaged(journal: Journal) -> str:
    lines = ", ".join(map(str, journal.damaged[:5])) + (", ..." if len(journal.damaged) > 5 else "")
    return f"{journal.folder}: the journal was damaged in line {lines}"


def _limits(given: Sequence[str], job: Job) -> dict[str, float]:
    """Return the values of --fail-under by metric."""
    limits = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            limits[name] = float(value)
        except ValueError:
            raise CommandError(f"--fail-under {text}: expected METRIC=X, such as em=0.6", USAGE) from None
        if not 0 <= limits[name] <= 1:
            raise CommandError(
                f"--fail-under {text}: metrics go from 0 to 1; the table shows percent, so 28.6 there is 0.286", USAGE
            )
        if name not in job.metrics:
            known = ", ".join(job.metrics) or "none"
            raise CommandError(f"--fail-under {text}: the metrics of this suite are {known}", USAGE)
    return limits


def _ask(args: argparse.Namespace, job: Job, journal: Journal) -> Pace:
    """Ask all questions that have no answer yet, and return how fast they were answered."""
    from tqdm import tqdm

    from ..evaluation.run.suite_run import Collecting, open_shards

    shards = open_shards(job, journal)
    done = journal.done()
    answered = sum(map(len, done.values()))
    if answered:
        print(f"{answered} of {job.trials} are answered already", file=sys.stderr)
    with tqdm(total=job.trials, initial=answered, unit="question", disable=None, file=sys.stderr) as progress:
        take = Collecting(journal, lambda event: progress.update(len(event.rows)) and None)
        if shards and args.live:
            from ..live.suite_playback import ask_live

            ask_live(job, shards, done, args.out / "node.log", args.rate, take)
        elif shards:
            for event in _events(args, job, shards, done):
                take(event)
    return take.pace


def _events(
    args: argparse.Namespace, job: Job, shards: list[int], done: dict[int, frozenset[int]]
) -> Iterator[ShardEvent]:
    from ..evaluation.run import workers

    if args.ray is not None:
        return workers.work_on_ray(job, shards, done, args.ray)
    if args.workers > 1:
        return workers.work_in_processes(job, shards, done, args.workers)
    return workers.work_here(job, shards, done)


def _tell(args: argparse.Namespace, found: dict[str, Any], limits: dict[str, float]) -> int:
    """Print the results and return the exit code."""
    if args.json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        print(table(found))
        print(f"{args.out / 'report.html'}")
    below = [name for name, least in limits.items() if not found["metrics"][name]["value"] >= least]
    for name in below:
        print(f"{name} is {found['metrics'][name]['value']:.4f}, below {limits[name]:g}", file=sys.stderr)
    if errors := found["statuses"].get("MODEL_ERROR", 0):
        print(f"{errors} questions ended in an error of the model: see message in results.jsonl", file=sys.stderr)
        return 1
    return BELOW if below else 0


def table(found: dict[str, Any]) -> str:
    """Return a summary as a table for people."""
    lines = [f"{'metric':<22}{'n':>6}{'value':>8}   95 % interval"]
    for name, one in found["metrics"].items():
        low, high = 100 * one["low"], 100 * one["high"]
        lines.append(f"{name:<22}{one['n']:>6}{100 * one['value']:>8.1f}   {low:.1f} to {high:.1f}")
    ended = ", ".join(f"{count} {status}" for status, count in found["statuses"].items())
    lines.append(f"{found['questions']} questions: {ended}")
    for bag, remarks in found["remarks"].items():
        lines += [f"{bag}: {remark}" for remark in remarks]
    return "\n".join(lines)
