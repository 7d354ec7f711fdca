"""The command `llava-ov rooms evaluate --live`: ask the same questions in process and of a live node over DDS."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import CommandError
from .model_options import node_parameters

if TYPE_CHECKING:
    from ..evaluation.rooms.accuracy import Answerer, Comparison, RoomTrial


def run_live(args: argparse.Namespace, here: Answerer, fresh: Iterator[RoomTrial], total: int, longest: int) -> int:
    """Ask both, print the table, and return the exit code.

    Args:
        args: The parsed arguments of `rooms evaluate`.
        here: The model in process.
        fresh: The clips and their questions.
        total: Number of questions.
        longest: Length of the longest answer in tokens.

    Raises:
        CommandError: The node is not installed, does not start or does not answer.
    """
    from tqdm import tqdm

    from ..evaluation.rooms.accuracy import compare
    from ..live.number_format import comparable_dtype
    from ..live.picture_questions import live_rooms
    from ..live.session import LiveError

    print("starting a node of its own for the same questions over DDS ...", file=sys.stderr, flush=True)
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            live_rooms(
                node_parameters(args)
                | {
                    "device": args.device,
                    "dtype": comparable_dtype(args.model, args.device, args.dtype),
                    "quantize": args.quantize,
                },
                Path(folder) / "node.log",
                mode=args.mode,
                max_new_tokens=longest,
            ) as live,
            tqdm(total=total, unit="question", disable=None, leave=False) as bar,
        ):
            comparison = compare(here, live, fresh, on_asked=bar.update)
    except LiveError as error:
        raise CommandError(str(error)) from None
    print(json.dumps(comparison.as_dict()) if args.json else table(comparison))
    asked, unlike = comparison.pairs["total"].n, comparison.unlike
    print(f"the same answer to {asked - len(unlike)} of {asked} questions", file=sys.stderr)
    for category, text, gold, said, said_live in unlike[: args.wrong or 0]:
        print(f"  {category}: {text} -> {said!r}, live {said_live!r}, right: {gold!r}", file=sys.stderr)
    return 0


def table(comparison: Comparison) -> str:
    """Return a comparison as a table for people."""
    lines = [f"{'':12}{'n':>6}{'in process %':>14}{'95 % interval':>17}{'live %':>9}{'difference':>12}"]
    for category, row in comparison.as_dict().items():
        bounds = f"{100 * row['low']:.1f} to {100 * row['high']:.1f}"
        lines.append(
            f"{category:<12}{row['n']:>6}{100 * row['accuracy']:>14.1f}{bounds:>17}{100 * row['live_accuracy']:>9.1f}"
            f"{100 * row['difference']:>+12.1f}"
        )
    return "\n".join(lines)
