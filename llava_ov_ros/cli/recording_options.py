"""Options of the commands that keep answers and plans beside the pictures, and the recorder for them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import CommandError

if TYPE_CHECKING:
    # Only for annotations: these bring numpy and OpenCV, which --help does without.
    from ..replay import ImageTopic
    from ..replay.recorder import Recorder


def add_recording(output: argparse._ArgumentGroup) -> None:
    """Add --record, --rrd and --node."""
    output.add_argument(
        "--record",
        type=Path,
        metavar="FILE.mcap",
        help="write the cameras' messages, as they are, with answers and evidence pictures as a bag",
    )
    output.add_argument(
        "--rrd", type=Path, metavar="FILE.rrd", help="write the same for the viewer of Rerun (extra rerun)"
    )
    output.add_argument(
        "--node",
        default="/llava_ov",
        metavar="NAME",
        help="the node that answers; topics of --record and --rrd begin with its name (default: %(default)s)",
    )


def recorder_of(args: argparse.Namespace, topics: Sequence[ImageTopic]) -> Recorder:
    """Begin the files of --record and --rrd; without these options the recorder writes nothing.

    Args:
        args: The options of the command.
        topics: The topics of the cameras.

    Raises:
        CommandError: Rerun is not installed.
        BagError: A file exists or cannot be written.
    """
    from ..replay.mcap_sink import McapSink
    from ..replay.recorder import Recorder, Sink
    from ..replay.rerun_sink import RerunSink

    if args.rrd is not None and find_spec("rerun") is None:
        raise CommandError("--rrd needs Rerun: pip install 'rerun-sdk>=0.41,<0.42'")
    sinks: list[Sink] = []
    if args.record is not None:
        sinks.append(McapSink(args.record, {topic.name: topic.type for topic in topics}, args.node))
    if args.rrd is not None:
        sinks.append(RerunSink(args.rrd, [topic.name for topic in topics], args.node))
    return Recorder(sinks)
