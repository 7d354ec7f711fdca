"""Entry point of `llava-ov`. Commands import what they need when they run, so that --help appears at once."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence

from ..missing_module import says_missing
from ..share import shipped
from . import bench, cameras, demo, doctor, eval, parameters, plan, replay, rooms, score, web
from .errors import FAILED, INTERRUPTED, USAGE, CommandError
from .parsers import CommandParser
from .stopping import leaving_in_order

_EPILOG = """\
examples:
  llava-ov demo                                           the whole way once, with a shipped recording
  llava-ov doctor                                         what will not work on this machine, and what to do
  llava-ov cameras                                        do my cameras' frames arrive?
  llava-ov web                                            a page in the browser about the running node
  llava-ov replay my_bag                                  which cameras did I record?
  llava-ov replay my_bag --ask "What colour is the mug?"  ask at the end of the recording
  llava-ov eval my_suite.yaml --out out/evaluation        score a model on bags whose answers are known
  llava-ov replay --help                                  more of these
  llava-ov plan my_bag --goal "put the mug on the desk"   a plan in the robot's vocabulary, checked

exit codes: 0 fine; 1 a question was not answered, or something cannot be used; 2 wrong usage; 130 Ctrl-C
"""


def version() -> str:
    """Return the package's version from package.xml, which every kind of installation has."""
    manifest = shipped("package.xml")
    found = re.search(r"<version>(.+?)</version>", manifest.read_text()) if manifest else None
    return found.group(1) if found else "unknown"


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = CommandParser(
        prog="llava-ov",
        description="Ask a LLaVA-OneVision model about camera streams; every answer names the frames it rests on.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"llava-ov {version()}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in (demo, doctor, replay, parameters, cameras, web, bench, rooms, plan, eval, score):
        command.add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The arguments; None: those of the process.

    Returns:
        The exit code.
    """
    parser = make_parser()
    args = parser.parse_args(argv)
    run: Callable[[argparse.Namespace], int] | None = getattr(args, "run", None)
    if run is None:
        parser.print_help()
        return USAGE
    try:
        with leaving_in_order():
            return run(args)
    except CommandError as error:
        return _fail(str(error), error.code)
    except ModuleNotFoundError as error:
        return _fail(says_missing(error.name), FAILED)
    except KeyboardInterrupt:
        return _fail("stopped", INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output (head, less) has gone; without this Python complains again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _fail(message: str, code: int) -> int:
    print(f"llava-ov: error: {message}", file=sys.stderr)
    return code
