"""The command `llava-ov rooms episodes`: play recorded episodes to a live node, from the goal to DONE."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..settings import DEFAULTS
from .errors import USAGE, CommandError
from .model_options import add_device, add_model_name, add_server, find_model, node_parameters
from .options import between, count, whole
from .rooms_loops import ACTING, ALL, run_loops

if TYPE_CHECKING:
    from ..live.episode_playback import EpisodeResult

DESCRIPTION = """\
Record episodes as `llava-ov rooms record --episode` does, and play each to the installed node, which is started as a
process of its own: the goal is set, each step is reported when the recording has done it, and the hint that follows
is compared with the step that comes next, or in the end with DONE. Hints rest on the frames that came over DDS.
Whatever the node hints, the recording goes on as it is; a DONE ends the episode.

With --act nothing is recorded, and no node is started: a robot in the rendered room does what the hints say until DONE.
--faults makes a share of its steps fail, or be undone at once. What is counted is whether the goal holds in the room.
"""
EPILOG = """\
examples:
  llava-ov rooms episodes                     20 episodes (minutes)
  llava-ov rooms episodes --act --decoding both --faults 0.2 --count 100
                                              hints carried out, as the model gives them and certified
  llava-ov rooms episodes --count 1 --seed 7  the one that `llava-ov rooms record --episode --seed 7` records

exit codes: 0 all were played, whatever was hinted; 1 the node did not do its part, or an error; 2 wrong usage;
130 Ctrl-C
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--count", type=count, default=20, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=whole, default=0, metavar="N", help="of the first one (default: %(default)s)")
    parser.add_argument(
        "--decoding",
        choices=(*ACTING, ALL),
        default=DEFAULTS.plan_decoding,
        help="how hints are made, as by the parameter plan_decoding; both only with --act (default: %(default)s)",
    )
    parser.add_argument("--act", action="store_true", help="carry the hints out in the room, in process")
    parser.add_argument(
        "--faults",
        type=between(0.0, 1.0),
        default=0.0,
        metavar="F",
        help="with --act: share of the steps that fail or are undone, 0 to 1 (default: %(default)s)",
    )
    add_model_name(parser)
    add_device(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    add_server(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command and return the exit code.

    Raises:
        CommandError: The node is not installed, does not start, refuses the model or publishes no hints.
    """
    if not args.act and (args.faults or args.decoding == ALL):
        raise CommandError("--faults and --decoding both go with --act: a recording goes on as it is", USAGE)
    find_model(args)
    if args.act:
        return run_loops(args)
    from tqdm import tqdm

    from ..live.episode_playback import live_episodes
    from ..live.number_format import comparable_dtype
    from ..live.session import LiveError
    from ..rooms.record import RecordingSettings, plan_recording, truth_path, write_recording

    print("starting a node of its own ...", file=sys.stderr, flush=True)
    seeds = range(args.seed, args.seed + args.count)
    played: list[tuple[int, EpisodeResult]] = []
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            live_episodes(
                node_parameters(args)
                | {"device": args.device, "dtype": comparable_dtype(args.model, args.device)}
                | {"plan_decoding": args.decoding},
                Path(folder) / "node.log",
            ) as episodes,
        ):
            for seed in tqdm(seeds, unit="episode", disable=None, leave=False):
                bag = Path(folder) / f"{seed}.mcap"
                write_recording(plan_recording(RecordingSettings(seed=seed, seconds=None, episode=True)), bag)
                played.append((seed, episodes.play(bag, truth_path(bag))))
                bag.unlink()
    except LiveError as error:
        raise CommandError(str(error)) from None
    print(json.dumps(record(played)) if args.json else table(played))
    return 0


def record(played: Sequence[tuple[int, EpisodeResult]]) -> dict[str, Any]:
    """Return the results ready for JSON.

    Hints for steps and for DONE count alike. Hints that are missing because the node said DONE too early count as
    wrong.
    """
    from ..evaluation.rooms.accuracy import Tally

    total = Tally(sum(one.total for _, one in played), sum(one.right for _, one in played))
    return {
        "episodes": len(played),
        "complete": sum(one.is_complete for _, one in played),
        "hints": total.as_dict(),
        "played": [
            {
                "seed": seed,
                "goal": one.episode.goal,
                "hints": one.total,
                "right": one.right,
                "complete": one.is_complete,
                "turns": [
                    {
                        "right": turn.gold,
                        "hint": turn.hint,
                        "step": turn.step,
                        "confidence": round(turn.confidence, 4),
                        "frames": list(turn.stamps_ns),
                    }
                    for turn in one.turns
                ],
            }
            for seed, one in played
        ],
    }


def table(played: Sequence[tuple[int, EpisodeResult]]) -> str:
    """Return the results as a table for people."""
    lines = [f"{'seed':>6}{'hints':>7}{'right':>7}  {'complete':<10}goal"]
    for seed, one in played:
        complete = "yes" if one.is_complete else "no"
        lines.append(f"{seed:>6}{one.total:>7}{one.right:>7}  {complete:<10}{one.episode.goal}")
    found = record(played)
    hints = found["hints"]
    lines.append(
        f"{found['complete']} of {found['episodes']} episodes complete; {hints['correct']} of {hints['n']} hints right "
        f"({100 * hints['accuracy']:.1f} %, 95 % interval {100 * hints['low']:.1f} to {100 * hints['high']:.1f})"
    )
    return "\n".join(lines)
