"""The command `llava-ov doctor`: find what will not work on this machine and say what to do about it."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict

from ..checkpoints import is_address
from ..checks import Check, Level
from .errors import FAILED
from .machine_checks import (
    check_extras,
    check_logs,
    check_model,
    check_ros,
    check_segment,
    check_shared_memory,
    check_versions,
)
from .model_options import add_device, add_model_name, add_server, check_server_options, server_options
from .options import positive_s
from .server_checks import check_server

_DESCRIPTION = """\
Check what goes wrong most: versions, ROS 2 and its middleware, logs, shared memory, cameras and their clocks, the
model, its device and memory, or the server that answers. One line each, with the remedy. Changes nothing and asks no
network but the ROS graph and that server.
"""
_EPILOG = """\
examples:
  llava-ov doctor
  llava-ov doctor --model ~/models/ov-0.5b --device cuda
  llava-ov doctor --model http://robot-server:8000/v1
  llava-ov doctor --json

exit codes: 0 nothing in the way; 1 something will not work ("fail"); 2 wrong usage; 130 Ctrl-C
"""
GRAPH_S = 60.0
"""The middleware may wait this long before it counts as hanging."""
MARKS = {Level.OK: "ok  ", Level.NOTE: "note", Level.WARN: "WARN", Level.FAIL: "FAIL"}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "doctor",
        help="check this machine: what will not work, and what to do about it",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add_model_name(parser)
    add_device(parser)
    parser.add_argument(
        "--seconds",
        type=positive_s,
        default=2.0,
        metavar="S",
        help="how long to listen to cameras (default: %(default)g)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    add_server(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command and return the exit code.

    Raises:
        CommandError: Options about a server are given without one.
    """
    check_server_options(args, args.model)
    worst = False
    for check in checks(args):
        worst = worst or check.level is Level.FAIL
        print(json.dumps(asdict(check)) if args.json else line(check), flush=True)
    return FAILED if worst else 0


def line(check: Check) -> str:
    """Return the line that shows a finding to people."""
    return f"{MARKS[check.level]}  {check.name}: {check.found}" + (f"  ->  {check.remedy}" if check.remedy else "")


def checks(args: argparse.Namespace) -> Iterator[Check]:
    """Yield all findings, those of the fast checks first."""
    is_served = is_address(args.model)
    yield from check_versions(is_served=is_served)
    yield check_logs()
    yield check_shared_memory()
    yield check_segment()
    ros = list(check_ros())
    yield from ros
    if all(one.level is Level.OK for one in ros):
        yield from check_graph(args.seconds)
    if is_served:
        from ..remote import RemoteSettings

        yield from check_server(args.model, RemoteSettings(**server_options(args)))
    else:
        yield from check_model(args.model, args.device)
    yield check_extras()


def check_graph(seconds: float) -> Iterator[Check]:
    """Run the checks that need ROS 2 in a process of their own and return their findings."""
    # -P: in the source tree, the folder llava_ov_ros has no messages.
    command = [sys.executable, "-P", "-m", "llava_ov_ros.live.graph_check", str(seconds)]
    remedy = "unset RMW_IMPLEMENTATION, or install what it names; see the lines above for logs and shared memory"
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=GRAPH_S + seconds, check=False)
    except subprocess.TimeoutExpired:
        yield Check("middleware", Level.FAIL, f"it does not come up within {GRAPH_S:g} s", remedy)
        return
    if ended.returncode != 0:
        said = [one.strip() for one in ended.stderr.splitlines() if one.strip()]
        if said and said[-1].startswith(ModuleNotFoundError.__name__):
            yield Check("middleware", Level.FAIL, f"not looked at: {said[-1]}", "see versions, above")
            return
        reason = next((one for one in said if "librmw" in one or "RMW" in one), said[-1] if said else "without a word")
        yield Check("middleware", Level.FAIL, f"it does not start: {reason[:300]}", remedy)
        return
    for one in json.loads(ended.stdout.splitlines()[-1]):
        yield Check(one["name"], Level(one["level"]), one["found"], one["remedy"])
