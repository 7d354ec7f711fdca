"""The command `llava-ov score`: score answers that a model has given before, without a model."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..evaluation.benchmarks.result_rows import SCORINGS, ResultRowError, read_rows, repeated
from ..settings import DEFAULTS
from .errors import CommandError

if TYPE_CHECKING:
    from ..evaluation.benchmarks.row_scores import SetResult

_DESCRIPTION = """\
Score answers with the metric of a published benchmark; see docs/metrics.md.

FILE has one JSON object per line, as LLaVA-Interleave-Bench's official code writes them:
  {"dataset": "ALFRED", "sample_id": 7, "prompt": "...", "pred_response": "Pick up the mug.",
   "gt_response": "Pick up the red mug.", "question_type": "open-ended"}

metrics:
  interleave  LLaVA-Interleave-Bench: ROUGE-L of open-ended answers, matching of choices, by question_type;
              beside the matching choice_lenient, which reads "The answer is (B)." too
  scanqa      ScanQA: EM@1, LEO's refined EM (em_refined), and BLEU-1 to 4, METEOR, ROUGE-L and CIDEr where
              pycocoevalcap and Java are installed
  yes_no      what the answer's first four characters say
  count       the first count in the answer, in digits, or in English or Chinese words
  chinese     answers in Chinese, by characters: F1 and EM as CMRC 2018 has them, and ROUGE-L
  plan        exact plans, step F1, valid ones; with pddl_params and task_type of ALFRED also what they reach

Every row counts, as in the official code; rows with the data set, sample_id and prompt of another are named on
standard error.
"""
_EPILOG = """\
examples:
  llava-ov score result.jsonl
  llava-ov score result.jsonl --metric scanqa --json

exit codes: 0 fine; 1 an error, such as rows that cannot be scored; 2 wrong usage; 130 Ctrl-C
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "score",
        help="score answers in a file with the metrics of published benchmarks",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("file", type=Path, metavar="FILE", help="answers, one JSON object per line")
    parser.add_argument("--metric", choices=SCORINGS, default="interleave", help="default: %(default)s")
    parser.add_argument(
        "--actions",
        default=DEFAULTS.actions,
        metavar="YAML",
        help="of plans, the vocabulary: a file, or a shipped one: alfred, delivery (default: %(default)s)",
    )
    parser.add_argument(
        "--json", action="store_true", help='one JSON object: {dataset: {"n", "metric", "value"}}, values times 100'
    )


def run(args: argparse.Namespace) -> int:
    """Run the command and return the exit code.

    Raises:
        CommandError: The vocabulary or the file cannot be used.
    """
    from ..evaluation.benchmarks.row_scores import score_rows
    from ..planning import VocabularyError, find_vocabulary, load_vocabulary

    try:
        vocabulary = load_vocabulary(find_vocabulary(args.actions)) if args.metric == "plan" else None
        rows = read_rows(args.file)
        results = score_rows(rows, args.metric, vocabulary)
    except (ResultRowError, VocabularyError) as error:
        raise CommandError(str(error)) from None
    for remark in repeated(rows):
        print(f"{args.file}: {remark}", file=sys.stderr)
    print_results(results, as_json=args.json, with_categories=args.metric == "interleave")
    return 0


def print_results(results: Mapping[str, SetResult], *, as_json: bool, with_categories: bool) -> None:
    """Print the results of data sets, as JSON or as a table."""
    if as_json:
        print(json.dumps({name: result.as_dict() for name, result in results.items()}, ensure_ascii=False))
        return
    width = max(len("data set"), *map(len, results))
    names = [name for result in results.values() for name in (result.metric, *result.more)]
    wide = max(len("metric"), *map(len, names))
    print(f"{'data set':<{width}}  {'n':>6}  {'metric':<{wide}}  {'value':>6}  95 % interval")
    for name, result in results.items():
        interval = "" if math.isnan(result.value) else f"{result.low:.2f} to {result.high:.2f}"
        line = f"{name:<{width}}  {result.n:>6}  {result.metric:<{wide}}  {_figure(result.value):>6}  {interval}"
        print(line.rstrip())
        for metric, value in result.more.items():
            print(f"{'':<{width}}  {'':>6}  {metric:<{wide}}  {_figure(value):>6}")
        if result.not_available:
            print(f"{'':<{width}}  not available: {result.not_available}")
    if with_categories:
        _print_categories(results)


def _print_categories(results: Mapping[str, SetResult]) -> None:
    from ..evaluation.metrics.interleave import categories

    found = categories({name: one.value for name, one in results.items() if not math.isnan(one.value)})
    if found:
        print("\ncategories")
        for name, value in found.items():
            print(f"{name:<20}  {value:>6.2f}")


def _figure(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"
