"""`llava-ov rooms episodes --act`: hints are carried out in rendered rooms, in process, and steps are made to fail."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .errors import CommandError
from .model_options import load_model

if TYPE_CHECKING:
    from ..evaluation.rooms.closed_loop import ClosedLoop
    from ..settings.allowed_values import Decoding

ALL = "both"
ACTING: tuple[Decoding, ...] = ("constrained", "certified")
"""Decodings that `--decoding both` compares."""


def run_loops(args: argparse.Namespace) -> int:
    """Run the command and return the exit code.

    Raises:
        CommandError: The model cannot be loaded, or the extra `planner` is missing.
    """
    from tqdm import tqdm

    from ..evaluation.rooms.closed_loop import run_closed_loop
    from ..missing_module import planner_missing
    from ..planning import decoding_named, find_vocabulary, load_vocabulary
    from ..questions import find_prompts, load_prompts
    from ..rooms.record import RecordingSettings, plan_recording
    from .rooms_asking import RoomsAsker

    decodings = ACTING if args.decoding == ALL else (decoding_named(args.decoding),)
    if "certified" in decodings and (missing := planner_missing(f"--decoding {args.decoding}")):
        raise CommandError(missing)
    prompts, vocabulary = load_prompts(find_prompts("plain")), load_vocabulary(find_vocabulary("alfred"))
    engine = load_model(argparse.Namespace(**vars(args), dtype="auto", quantize="none"))
    asker = RoomsAsker(engine, "video", prompts)
    seeds = range(args.seed, args.seed + args.count)
    played: dict[str, list[tuple[int, ClosedLoop]]] = {decoding: [] for decoding in decodings}
    for seed in tqdm(seeds, unit="episode", disable=None, leave=False):
        script = plan_recording(RecordingSettings(seed=seed, seconds=None, episode=True)).script
        for decoding in decodings:
            loop = run_closed_loop(script, seed, asker.write, vocabulary, prompts, decoding, args.faults)
            played[decoding].append((seed, loop))
    rows = {decoding: loop_record(some) for decoding, some in played.items()}
    print(json.dumps({"faults": args.faults, "decodings": rows}) if args.json else loop_table(rows))
    return 0


def loop_record(played: Sequence[tuple[int, ClosedLoop]]) -> dict[str, Any]:
    """Return the results of one decoding ready for JSON."""
    from ..evaluation.rooms.accuracy import Tally

    loops = [one for _, one in played]
    counts = ("hints", "planner_hints", "repeats", "impossible", "faults")
    return {
        "reached": Tally(len(loops), sum(one.is_reached for one in loops)).as_dict(),
        "false_done": sum(one.false_done for one in loops),
        **{name: sum(getattr(one, name) for one in loops) for name in counts},
        "slowest_s": round(max((s for one in loops for s in one.hint_s), default=0.0), 3),
        "missed": [{"seed": seed, "goal": one.goal} for seed, one in played if not one.is_reached],
    }


def loop_table(rows: dict[str, dict[str, Any]]) -> str:
    """Return the results as a table for people."""
    lines = [
        f"{'decoding':<13}{'episodes':>9}{'reached':>9}{'%':>7}{'95 % interval':>17}{'false DONE':>12}{'hints':>7}"
        f"{'planner':>9}{'repeats':>9}{'impossible':>12}{'faults':>8}"
    ]
    for decoding, row in rows.items():
        tally = row["reached"]
        bounds = f"{100 * tally['low']:.1f} to {100 * tally['high']:.1f}"
        lines.append(
            f"{decoding:<13}{tally['n']:>9}{tally['correct']:>9}{100 * tally['accuracy']:>7.1f}{bounds:>17}"
            f"{row['false_done']:>12}{row['hints']:>7}{row['planner_hints']:>9}{row['repeats']:>9}"
            f"{row['impossible']:>12}{row['faults']:>8}"
        )
    return "\n".join(lines)
