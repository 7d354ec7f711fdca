"""The command `llava-ov rooms record`: write a rendered room as a ROS 2 bag, with the truth about it."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

from .errors import USAGE, CommandError
from .options import between, count, whole, whole_between

SHORTEST_S = 3.0
DEFAULT_S = 30.0
RATES_HZ = (2.0, 60.0)
MOST_CAMERAS = 4
SIDES_PX = (64, 4096)
NOT_OURS = (".db3", ".bag")

DESCRIPTION = """\
Render a room as one or several cameras see it, and write it as a ROS 2 bag with the truth beside it: what happens
when, and questions with their answers and times, as `llava-ov replay --questions` takes them.

Without --episode all rests, then a hand carries one thing elsewhere (at times something appears or disappears), and
so on. With --episode a household goal is reached step by step. The same seed gives the same bytes.
"""
EPILOG = """\
examples:
  llava-ov rooms record room.mcap
      30 s of one camera in room.mcap, the truth in room.truth.json
  llava-ov rooms record kitchen --seed 7 --seconds 60 --cameras 2
      a folder with metadata.yaml and truth.json; topics /front/image_raw/compressed and /left/image_raw/compressed
  llava-ov rooms record goal.mcap --episode
      a plan carried out; the truth has the goal, every step's time, and what is to be done next after each
  llava-ov rooms record r1.mcap --seed 1 --seconds 60 --drawn --questions 60
      a recording to evaluate models on: no question is asked of every recording
  llava-ov replay room.mcap --questions room.truth.json
      ask the questions

exit codes: 0 written; 1 it could not be written; 2 wrong usage; 130 Ctrl-C. An interrupted recording leaves nothing.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "out", metavar="OUT", type=Path, help="OUT.mcap: one file and OUT.truth.json; another name: a rosbag2 folder"
    )
    parser.add_argument(
        "--seconds",
        type=between(SHORTEST_S),
        metavar="S",
        help=f"length, at least {SHORTEST_S:g} (default: {DEFAULT_S:g})",
    )
    parser.add_argument("--episode", action="store_true", help="carry out a plan, as long as it takes")
    parser.add_argument("--seed", type=whole, default=0, metavar="N", help="which room (default: %(default)s)")
    parser.add_argument(
        "--cameras",
        type=whole_between(1, MOST_CAMERAS),
        default=1,
        metavar="K",
        help=f"1 to {MOST_CAMERAS} (default: %(default)s)",
    )
    parser.add_argument(
        "--rate",
        type=between(*RATES_HZ),
        default=5.0,
        metavar="HZ",
        help=f"frames per second, {RATES_HZ[0]:g} to {RATES_HZ[1]:g} (default: %(default)g)",
    )
    parser.add_argument(
        "--size", type=_size, default=(640, 480), metavar="WIDTHxHEIGHT", help="of the pictures (default: 640x480)"
    )
    parser.add_argument(
        "--jpeg-quality", type=whole_between(1, 100), default=80, metavar="Q", help="1 to 100 (default: %(default)s)"
    )
    parser.add_argument(
        "--questions", type=count, default=12, metavar="N", help="at most so many (default: %(default)s)"
    )
    parser.add_argument(
        "--drawn",
        action="store_true",
        help="draw all questions as `llava-ov rooms evaluate` does; otherwise the same are asked of every first move",
    )
    parser.add_argument("--note", metavar="TEXT", help="a remark for the truth, instead of the usual one")


def run(args: argparse.Namespace) -> int:
    """Run the command and return the exit code.

    Raises:
        CommandError: The recording cannot be made as asked, or cannot be written.
    """
    if args.episode and args.seconds is not None:
        raise CommandError(
            "--seconds with --episode: a plan takes as long as its steps; leave out one of the two", USAGE
        )
    _check_place(args.out)

    from tqdm import tqdm

    from ..rooms.record import NOTE, RecordingSettings, plan_recording, truth_path, write_recording

    width, height = args.size
    settings = RecordingSettings(
        seed=args.seed,
        seconds=None if args.episode else args.seconds or DEFAULT_S,
        episode=args.episode,
        cameras=args.cameras,
        rate_hz=args.rate,
        width=width,
        height=height,
        jpeg_quality=args.jpeg_quality,
        questions=args.questions,
        drawn=args.drawn,
        note=NOTE if args.note is None else args.note,
    )
    recording = plan_recording(settings)
    total = recording.frames * len(recording.cameras)
    try:
        with (
            tqdm(total=total, unit=" frames", disable=None, leave=False, delay=1.0) as bar,
        ):
            write_recording(recording, args.out, bar.update)
    except OSError as error:
        raise CommandError(f"{args.out}: {error.strerror or error}") from None
    truth, size = truth_path(args.out), _bytes(args.out) / 1e6
    print(f"{args.out}: {total} frames of {_cameras_text(args.cameras)}, {recording.script.last_s:g} s, {size:.1f} MB")
    print(f"{truth}: what is true of it, and {len(recording.questions)} questions with their answers")
    topic = f" --topic {recording.cameras[0].topic}" if args.cameras > 1 else ""
    print(f"\nAsk them:  llava-ov replay {args.out}{topic} --questions {truth}")
    return 0


def _check_place(out: Path) -> None:
    from ..rooms.record import truth_path

    if out.suffix in NOT_OURS:
        raise CommandError(f"{out}: bags are written as mcap; end the name in .mcap, or name a folder", USAGE)
    for path in (out, truth_path(out)):
        if path.exists():
            raise CommandError(f"{path} exists already: remove it, or choose another name")
    if not out.parent.is_dir():
        raise CommandError(f"{out}: the folder {out.parent} does not exist; make it first")
    if not os.access(out.parent, os.W_OK):
        raise CommandError(f"{out}: the folder {out.parent} is not writable")


def _bytes(out: Path) -> int:
    return out.stat().st_size if out.is_file() else sum(file.stat().st_size for file in out.iterdir())


def _cameras_text(cameras: int) -> str:
    return "one camera" if cameras == 1 else f"{cameras} cameras"


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, such as 640x480")
    width, height = int(found[1]), int(found[2])
    if not all(SIDES_PX[0] <= side <= SIDES_PX[1] for side in (width, height)):
        raise argparse.ArgumentTypeError(f"{text}: each side must be {SIDES_PX[0]} to {SIDES_PX[1]} pixels")
    return width, height
