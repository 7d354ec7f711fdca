"""Runs the planner Fast Downward (extra `planner`) as a process of its own, which is bounded in time and memory.

Fast Downward is GPL-3.0: it is never imported, and gets files. Blind A* search finds a shortest plan or visits every
state that can be reached, so its "no plan" is a proof. Exit codes: https://www.fast-downward.org/ExitCodes
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

MOST_MEMORY_MB = 1024
"""Address space of the translator and of the search, each."""
SEARCH = "astar(blind())"
_POLL_S = 0.02
_UNSOLVABLE = (10, 11)
_MEMORY = (20, 22, 24)
_TIME = (21, 23)
# One search at a time: a node has few cores, and its model needs them.
_ONE = threading.Lock()
# The shell bounds the memory and the processor time of the program that takes its place; the latter so that no search
# outlives a killed node for long.
_BOUNDED = 'ulimit -v "$1" && ulimit -t "$2" && shift 2 && exec "$@"'
_LONGEST_S = 3600


class SearchEnd(StrEnum):
    """How a search ended."""

    FOUND = "found"
    NONE = "none"
    """There is no plan: all states that can be reached were visited."""
    TIME = "time"
    """The time was over, or nobody wants the plan any more."""
    MEMORY = "memory"


class PlannerError(RuntimeError):
    """The planner failed; the message has its last words."""


@dataclass(frozen=True)
class FoundPlan:
    """The end of a search, and the plan if there is one: its actions, each with its arguments, in lower case."""

    end: SearchEnd
    actions: tuple[tuple[str, ...], ...] = ()


def run_fast_downward(
    domain: str, problem: str, until_s: float, should_stop: Callable[[], bool] = lambda: False
) -> FoundPlan:
    """Search for a shortest plan.

    Args:
        domain: Text of the PDDL domain.
        problem: Text of the PDDL problem.
        until_s: When to give up, on the monotonic clock.
        should_stop: Returns whether to give up at once; called every few hundredths of a second.

    Raises:
        PlannerError: The planner is not installed, or ended otherwise than documented.
    """
    found = find_spec("up_fast_downward")
    if found is None or not found.submodule_search_locations:
        raise PlannerError("the planner Fast Downward is not installed: pip install 'up-fast-downward>=1,<2'")
    binary = Path(found.submodule_search_locations[0], "downward", "builds", "release", "bin", "downward")

    def is_over() -> bool:
        return time.monotonic() > until_s or should_stop()

    while not _ONE.acquire(timeout=_POLL_S):
        if is_over():
            return FoundPlan(SearchEnd.TIME)
    try:
        with tempfile.TemporaryDirectory(prefix="llava_ov_plan_") as name:
            folder = Path(name)
            (folder / "domain.pddl").write_text(domain, encoding="utf-8")
            (folder / "problem.pddl").write_text(problem, encoding="utf-8")
            translate = [sys.executable, "-m", "fast_downward.translate", "domain.pddl", "problem.pddl"]
            for command in (translate, [str(binary), "--search", SEARCH, "--internal-plan-file", "plan"]):
                left_s = math.ceil(min(max(until_s - time.monotonic(), 0), _LONGEST_S)) + 1
                end = _run([str(MOST_MEMORY_MB * 1024), str(left_s), *command], folder, is_over)
                if end is not None:
                    return FoundPlan(end)
            return FoundPlan(SearchEnd.FOUND, _actions((folder / "plan").read_text(encoding="utf-8")))
    finally:
        _ONE.release()


def _run(command: Sequence[str], folder: Path, is_over: Callable[[], bool]) -> SearchEnd | None:
    """Run one program of the planner to its end; None if the next one can go on.

    Args:
        command: The most KiB of memory and seconds of processor time, the program and its arguments.
        folder: Where its files are.
        is_over: Returns whether to kill it.

    Raises:
        PlannerError: The program ended otherwise than documented.
    """
    sas = folder / "output.sas"
    with (folder / "log").open("w+b") as log, (sas if sas.exists() else Path(os.devnull)).open("rb") as task:
        process = subprocess.Popen(
            ["/bin/sh", "-c", _BOUNDED, "sh", *command],
            cwd=folder,
            stdin=task,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while (code := _waited(process)) is None:
                if is_over():
                    return SearchEnd.TIME
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if code == 0:
            return None
        for codes, end in ((_UNSOLVABLE, SearchEnd.NONE), (_MEMORY, SearchEnd.MEMORY), (_TIME, SearchEnd.TIME)):
            if code in codes:
                return end
        log.seek(max(0, log.tell() - 500))
        said = " ".join(log.read().decode(errors="replace").split())
        if "MemoryError" in said:
            return SearchEnd.MEMORY
        raise PlannerError(f"Fast Downward ended with code {code}: {said}")


def _waited(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(_POLL_S)
    except subprocess.TimeoutExpired:
        return None


def _actions(text: str) -> tuple[tuple[str, ...], ...]:
    """The actions of a plan file, such as `(putobject mug_1 desk_1)`."""
    return tuple(tuple(line.strip(" ()").split()) for line in text.splitlines() if line.startswith("("))
