"""The command `llava-ov cameras`: list the cameras that publish now, and tell whether every frame arrives."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from .options import positive_s

if TYPE_CHECKING:
    from ..live.camera_check import WatchedTopic

_DESCRIPTION = """\
Listen to every image topic of the running ROS 2 graph for some seconds. Tells type, reliability of the publishers,
rate, size and the share of frames that arrives, and what to do where frames are missing.
"""

_EPILOG = """\
examples:
  llava-ov cameras
  llava-ov cameras --seconds 20     for cameras of a frame every few seconds
  llava-ov cameras --json

The share comes from the middleware's own count of lost messages and from gaps in the stamps (against their median
period), whichever is worse. "-" means that nothing can be known of it.

A topic NAME/compressed is image_topics NAME with image_transport compressed; NAME/compressedDepth, NAME/ffmpeg and
NAME/foxglove likewise. A topic of another name is named in full, with its type (foxglove_msgs/msg/CompressedVideo, ...)
as image_transport.

exit codes: 0 every camera arrives whole; 1 none is there, or frames are missing; 2 wrong usage; 130 Ctrl-C
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "cameras",
        help="list the cameras of the running graph and check that their frames arrive",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "--seconds", type=positive_s, default=5.0, metavar="S", help="how long to listen (default: %(default)g)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per topic and line")


def run(args: argparse.Namespace) -> int:
    """Run the command and return the exit code."""
    from ..fastdds import named_profile
    from ..live.camera_check import advice, watch_cameras

    terminal = sys.stderr.isatty()

    def show(left_s: float) -> None:
        if terminal:
            print(f"\rlistening, {left_s:3.0f} s left", end="", file=sys.stderr, flush=True)

    topics = watch_cameras(args.seconds, show)
    if terminal:
        print("\r" + " " * 24, end="\r", file=sys.stderr)
    hints = advice(topics, named_profile())
    if args.json:
        for topic in topics:
            print(json.dumps(_record(topic)))
    elif topics:
        print(_table(topics))
    else:
        print(
            f"No image topic was published in {args.seconds:g} s. Are the camera's driver and this shell in the same "
            "ROS_DOMAIN_ID, with the same RMW_IMPLEMENTATION?",
            file=sys.stderr,
        )
    for hint in hints:
        print(hint, file=sys.stderr if args.json else sys.stdout)
    return 0 if topics and not hints else 1


def _record(topic: WatchedTopic) -> dict[str, object]:
    return {
        "topic": topic.name,
        "type": topic.kind,
        "reliability": topic.reliability,
        "received": topic.received,
        "lost": topic.lost,
        "rate_hz": topic.rate_hz,
        "size_bytes": topic.size_bytes,
        "picture": topic.picture,
        "delivered": topic.delivered,
        "stamped": topic.stamped,
    }


def _table(topics: list[WatchedTopic]) -> str:
    rows = [("topic", "type", "publishers", "Hz", "KB", "arrived", "picture")]
    for topic in topics:
        share = topic.delivered
        rows.append(
            (
                topic.name,
                topic.kind.rpartition("/")[2],
                topic.reliability,
                f"{topic.rate_hz:.1f}" if topic.rate_hz else "-",
                f"{topic.size_bytes / 1024:.0f}" if topic.received else "-",
                "-" if share is None else f"{share:.0%}",
                topic.picture,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
