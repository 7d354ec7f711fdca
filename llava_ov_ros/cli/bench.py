"""The command `llava-ov bench`: measurements on this machine."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

from .bench_peers import add_peers
from .errors import CommandError
from .model_options import add_device, add_number_format
from .options import count, positive_s

_CALLBACKS = """\
Start the node with a nano model of random weights that generates without end, and measure what its callbacks take
while it generates, against the same node at rest: reading a parameter, cancelling a goal (both to the response), and
an image of 320x240 at 30 Hz (from its stamp to its callback). Rest and generation alternate.
"""


_ENGINE = """\
Measure the engine against transformers' generate: same random weights, same clip, one process, both sides in turn.
P1 time to first token, clip unchanged; P2 after one new frame; P3 16 questions together; P4 time per token; P5
preprocessing; P6 work over the ideal; P7 a robot's second; P8 CPU time from message to model input; P9 what holding
answers to a grammar costs. Ratios are theirs over ours, and targets (>=) the least; of P6 and P9 they are ours over the
other, and targets (<=) the most.
"""
_IDLE = """\
Start the node with the shipped model and default parameters, and another process that publishes 1280x720 rgb8 pictures
at 30 Hz for each of its cameras; nobody asks. Measure the CPU time of the node's process, in seconds per second.
"""
_EPILOG = """\
examples:
  llava-ov bench callbacks                                does the node respond while its model generates?
  llava-ov bench idle                                     what do cameras cost while nobody asks?
  llava-ov bench engine                                   how much faster than transformers' generate?
  llava-ov bench engine --shape 0.5b --goal P1 --goal P2  two of the measurements, with the 0.5B's true shapes

exit codes: 0 measured, whatever came of it; 1 a device, memory or the node is not to be had; 2 wrong usage; 130 Ctrl-C
"""
_GOALS = ("P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P9")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "bench",
        help="measure on this machine",
        description="Measure on this machine.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    benches = parser.add_subparsers(title="what to measure", metavar="WHAT", required=True)
    callbacks = benches.add_parser(
        "callbacks",
        help="does the node respond while the model generates?",
        description=_CALLBACKS,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    callbacks.set_defaults(run=run_callbacks)
    callbacks.add_argument(
        "--seconds", type=positive_s, default=30.0, metavar="S", help="how long to measure (default: %(default)g)"
    )
    callbacks.add_argument("--json", action="store_true", help="one JSON object")
    idle = benches.add_parser(
        "idle",
        help="what do cameras cost while nobody asks?",
        description=_IDLE,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    idle.set_defaults(run=run_idle)
    idle.add_argument(
        "--seconds", type=positive_s, default=20.0, metavar="S", help="length of one turn (default: %(default)g)"
    )
    idle.add_argument(
        "--cameras",
        type=count,
        nargs="+",
        default=[1, 4],
        metavar="N",
        help="numbers of cameras, each for a node of its own (default: 1 4)",
    )
    idle.add_argument(
        "--repeats", type=count, default=5, metavar="N", help="turns of each node; medians count (default: %(default)s)"
    )
    idle.add_argument(
        "--against", metavar="COMMAND", help="the executable of another installation's node, measured in turn with ours"
    )
    idle.add_argument("--json", action="store_true", help="a JSON list with every turn")
    engine = benches.add_parser(
        "engine",
        help="how much faster than transformers' generate?",
        description=_ENGINE,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    engine.set_defaults(run=run_engine)
    engine.add_argument(
        "--shape",
        choices=("nano", "slice", "0.5b", "7b"),
        default="slice",
        help="of the model; slice has the 0.5B's true widths and two layers of each part (default: %(default)s)",
    )
    add_device(engine)
    add_number_format(engine)
    engine.add_argument(
        "--repeats", type=count, default=7, metavar="N", help="runs of each side; medians count (default: %(default)s)"
    )
    engine.add_argument("--goal", action="append", choices=_GOALS, help="measure only this one; may be repeated")
    engine.add_argument("--json", action="store_true", help="a JSON list of all goals")
    add_peers(benches)


def run_callbacks(args: argparse.Namespace) -> int:
    """Run `bench callbacks` and return the exit code.

    Raises:
        CommandError: The node did not start or did not respond.
    """
    from ..bench.callbacks import bench_callbacks
    from ..live.session import LiveError

    print("starting the node ...", file=sys.stderr, flush=True)
    shown = [args.seconds + 5]

    def show(left_s: float) -> None:
        if shown[0] - left_s >= 5:
            shown[0] = left_s
            print(f"measuring, {left_s:.0f} s left", file=sys.stderr, flush=True)

    try:
        result = bench_callbacks(args.seconds, show)
    except LiveError as error:
        raise CommandError(str(error)) from None
    print(json.dumps(result) if args.json else _table(result))
    return 0


def run_idle(args: argparse.Namespace) -> int:
    """Run `bench idle` and return the exit code.

    Raises:
        CommandError: A node did not start, or received nothing from its cameras.
    """
    from ..bench.idle import bench_idle
    from ..live.session import LiveError

    print("starting the nodes ...", file=sys.stderr, flush=True)
    try:
        costs = bench_idle(
            args.seconds,
            args.cameras,
            args.repeats,
            args.against,
            lambda line: print(line, file=sys.stderr, flush=True),
        )
    except LiveError as error:
        raise CommandError(str(error)) from None
    if args.json:
        print(json.dumps([asdict(cost) for cost in costs]))
        return 0
    print(f"{'cameras':>7}{'CPU s/s':>9}{'received/s':>12}{'admitted/s':>12}  node")
    for cost in costs:
        print(f"{cost.cameras:>7}{cost.cpu:>9.3f}{cost.received_hz:>12.1f}{cost.admitted_hz:>12.1f}  {cost.node}")
    return 0


def run_engine(args: argparse.Namespace) -> int:
    """Run `bench engine` and return the exit code.

    Raises:
        CommandError: The device or quantisation is not available, or the model does not fit into memory.
    """
    from ..bench.engine_goals import check_shape_fits, engine_benchmark
    from ..onevision.loading import place_and_dtype
    from ..onevision.quantise import check_quantisation
    from ..share import shipped

    tokenizer = shipped("models/rooms/tokenizer.json")
    if tokenizer is None:
        raise CommandError("the shipped model models/rooms is missing: install the package again")
    try:
        device, dtype = place_and_dtype(args.device, args.dtype)
        check_quantisation(args.quantize, device, dtype)
        check_shape_fits(args.shape, device, dtype, args.quantize)
    except (ValueError, MemoryError) as error:
        raise CommandError(str(error)) from None

    def note(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    measured = []
    if not args.json:
        print(f"{'':4}{'ours s':>11}{'theirs s':>11}{'ratio':>8}{'target':>9}{'tokens':>8}  what")
    for goal in engine_benchmark(
        args.shape,
        tokenizer,
        device=device,
        dtype=dtype,
        quantize=args.quantize,
        repeats=args.repeats,
        goals=tuple(args.goal or _GOALS),
        note=note,
    ):
        measured.append(asdict(goal))
        if not args.json:
            times = "".join(f"{'-' if s is None else f'{s:.5f}':>11}" for s in (goal.ours_s, goal.theirs_s))
            same = {True: "same", False: "DIFFER", None: "-"}[goal.identical_tokens]
            target = f"{'<=' if goal.at_most else '>='} {goal.target:g}"
            print(f"{goal.goal:4}{times}{goal.ratio:>8.2f}{target:>9}{same:>8}  {goal.what}", flush=True)
    if args.json:
        print(json.dumps(measured))
    return 0


def _table(result: dict[str, Any]) -> str:
    lines = [f"{'':8}{'':>12}{'samples':>9}{'median ms':>11}{'p99 ms':>9}"]
    for measure, entry in result.items():
        for condition in ("idle", "generating"):
            row = entry[condition]
            lines.append(
                f"{measure:<8}{condition:>12}{row['samples']:>9}{row['median_ms']:>11.2f}{row['p99_ms']:>9.2f}"
            )
        lines.append(f"{measure:<8}{'ratio':>12}{'':>9}{entry['median_ratio']:>11.2f}{entry['p99_ratio']:>9.2f}")
    return "\n".join(lines)
