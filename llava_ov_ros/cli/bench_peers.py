"""`llava-ov bench peers` and `llava-ov bench weights`: the engine beside a server with the same weights."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ..checkpoints import ADDRESS_FORM, find_checkpoint, is_address
from .errors import USAGE, CommandError
from .model_options import add_device, add_model_name, add_number_format
from .options import count, whole_between

if TYPE_CHECKING:
    # Only for annotations: --help does without torch.
    from ..asking import AnswersQuestions

_PEERS = """\
Measure the engine against a server that runs the same weights, such as vLLM on the same machine: both get the same
questions about the same clips of 1280x720, in turn. P10 time to first token of a new clip; P1 of another question about
a known clip; P2 after one more frame; P4 time per token; P3 16 questions together; P11 four cameras with eight
questions each. Ratios are theirs over ours, medians of the pairs. Frames are sent as PNG, which changes no pixel.
"""
_WEIGHTS = """\
Write random weights in a true shape as a checkpoint that both this engine and servers load. Its answers have no
meaning and never end early, so that each side writes the same number of tokens.
"""
_EXIT_CODES = """
exit codes: 0 measured, whatever came of it; 1 model, server or memory is not to be had; 2 wrong usage; 130 Ctrl-C
"""
_PEERS_EPILOG = f"""\
example, with the server in a terminal of its own (docs/servers.md has its options):
  llava-ov bench weights out/half --shape 0.5b --dtype bfloat16
  vllm serve out/half --dtype bfloat16 --served-model-name half ...
  llava-ov bench peers --model out/half --server http://127.0.0.1:8000/v1 --dtype bfloat16
{_EXIT_CODES}"""
_WEIGHTS_EPILOG = """\
example:
  llava-ov bench weights out/half --shape 0.5b --dtype bfloat16

exit codes: 0 written; 1 the weights cannot be written; 2 wrong usage, or the folder exists; 130 Ctrl-C
"""
_GOALS = ("P10", "P1", "P2", "P4", "P3", "P11")
# More than any server answers at once here, so that the server decides.
_REQUESTS = 64
_SILENCE_S = 600.0


def add_peers(benches: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both commands and their options."""
    peers = benches.add_parser(
        "peers",
        help="how fast beside a server with the same weights?",
        description=_PEERS,
        epilog=_PEERS_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    peers.set_defaults(run=run_peers)
    peers.add_argument("--server", required=True, metavar="URL", help=ADDRESS_FORM)
    add_model_name(peers, served=False)
    peers.add_argument(
        "--remote-model", default="", metavar="NAME", help="the model's name there, if there are several"
    )
    add_device(peers)
    add_number_format(peers)
    peers.add_argument(
        "--frames", type=whole_between(2, 32), default=4, metavar="N", help="frames of a clip (default: %(default)s)"
    )
    peers.add_argument("--repeats", type=count, default=7, metavar="N", help="pairs of runs (default: %(default)s)")
    peers.add_argument("--goal", action="append", choices=_GOALS, help="measure only this one; may be repeated")
    peers.add_argument("--json", action="store_true", help="a JSON list of all goals")
    weights = benches.add_parser(
        "weights",
        help="random weights for `bench peers`",
        description=_WEIGHTS,
        epilog=_WEIGHTS_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    weights.set_defaults(run=run_weights)
    weights.add_argument("directory", type=Path, metavar="FOLDER", help="folder of the checkpoint; it must not exist")
    weights.add_argument(
        "--shape", choices=("nano", "slice", "0.5b", "7b"), default="0.5b", help="of the model (default: %(default)s)"
    )
    weights.add_argument(
        "--dtype", choices=("float32", "bfloat16", "float16"), default="bfloat16", help="default: %(default)s"
    )


def run_weights(args: argparse.Namespace) -> int:
    """Run `bench weights` and return the exit code.

    Raises:
        CommandError: The folder exists, or cannot be written.
    """
    import torch

    from ..bench.random_weights import write_served_checkpoint
    from ..share import shipped

    rooms = shipped("models/rooms/tokenizer.json")
    if rooms is None:
        raise CommandError("the shipped model models/rooms is missing: install the package again")
    print(f"writing random weights of shape {args.shape} ...", file=sys.stderr, flush=True)
    try:
        write_served_checkpoint(args.shape, rooms.parent, args.directory, getattr(torch, args.dtype))
    except FileExistsError:
        raise CommandError(f"{args.directory} exists: name a new folder", USAGE) from None
    except OSError as error:
        raise CommandError(f"{args.directory} cannot be written: {error.strerror or error}") from None
    print(args.directory)
    return 0


def run_peers(args: argparse.Namespace) -> int:
    """Run `bench peers` and return the exit code.

    Raises:
        CommandError: The checkpoint, the memory or the server is not to be had, or an answer is too short.
    """
    if not is_address(args.server):
        raise CommandError(f"--server {args.server} is no address: give {ADDRESS_FORM}", USAGE)
    from ..bench.peers import CAMERAS, peer_benchmark
    from ..engines import open_engine
    from ..onevision import EngineSettings, load_engine
    from ..remote import RemoteSettings, ServerError

    def note(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    opened: list[AnswersQuestions] = []
    measured = []
    try:
        directory = find_checkpoint(args.model)
        note(f"loading {args.model} ...")
        settings = EngineSettings(clip_frames=args.frames, cameras=CAMERAS)
        ours = load_engine(
            str(directory), device=args.device, dtype=args.dtype, quantize=args.quantize, settings=settings
        )
        opened.append(ours)
        remote = RemoteSettings(
            model=args.remote_model,
            image_px=ours.config.vision_config.image_size,
            image_format="png",
            requests=_REQUESTS,
            silence_s=_SILENCE_S,
            clip_frames=args.frames,
        )
        theirs = open_engine(args.server, lambda model: ours, remote)
        opened.append(theirs)
        note(f"{theirs.name}, against {ours.name} on {ours.device}")
        if not args.json:
            heads = f"{'':5}{'ours s':>10}{'theirs s':>10}{'ratio':>7}{'least':>7}{'most':>7}{'target':>8}{'equal':>9}"
            print(f"{heads}  what")
        for goal in peer_benchmark(
            ours, theirs, frames=args.frames, repeats=args.repeats, goals=args.goal or _GOALS, note=note
        ):
            measured.append(asdict(goal))
            if not args.json:
                ratios = "".join(f"{ratio:>7.2f}" for ratio in (goal.ratio, goal.lowest, goal.highest))
                equal = f"{goal.equal_answers}/{goal.answers}"
                print(
                    f"{goal.goal:5}{goal.ours_s:>10.4f}{goal.theirs_s:>10.4f}{ratios}{goal.target:>8g}{equal:>9}"
                    f"  {goal.what}",
                    flush=True,
                )
    except (ValueError, MemoryError, ServerError) as error:
        raise CommandError(str(error)) from None
    finally:
        for engine in opened:
            engine.close()
    if args.json:
        print(json.dumps(measured))
    return 0
