"""Measure the CPU time that the node takes while nobody asks it, with cameras of 1280x720 rgb8 at 30 Hz.

The cameras are a process of their own, and so is each node: the installed one, with the shipped model and default
parameters. Of several nodes (one for each number of cameras, and those of another installation), one at a time is
active; an inactive node has no subscription and stands still. They take turns, so that all of them are measured under
the same load of the machine.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lifecycle_msgs.msg import Transition

from ..frames import NS_PER_S
from ..live.process import NodeProcess, use_large_segments
from ..live.session import DiagnosticsReport, LiveError, Session
from ..no_op import no_op
from ..settings import Value

START_S, TURN_S = 180.0, 30.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
CAMERAS = (sys.executable, "-P", "-m", "llava_ov_ros.bench.idle_cameras")
"""The command of the cameras (-P: the working directory may hold the sources, which have no messages)."""
OURS = "ours"


@dataclass(frozen=True)
class IdleTurn:
    """One turn of one node.

    Attributes:
        cpu: CPU seconds of the node's process, user and system, per second.
        received_hz: Messages that the node has received per second, of all cameras.
        admitted_hz: Frames that entered the node's buffers per second, of all cameras.
    """

    cpu: float
    received_hz: float
    admitted_hz: float


@dataclass(frozen=True)
class IdleCost:
    """The turns of one node, and their medians.

    Attributes:
        node: `ours`, or the command of the other installation's node.
        cameras: Number of cameras.
        turns: The turns, in the order in which they were measured.
        cpu: Median of the turns' CPU seconds per second.
        received_hz: Median of the messages received per second.
        admitted_hz: Median of the frames admitted per second.
    """

    node: str
    cameras: int
    turns: tuple[IdleTurn, ...]
    cpu: float
    received_hz: float
    admitted_hz: float


def bench_idle(
    seconds: float,
    cameras: Sequence[int],
    repeats: int,
    against: str | None = None,
    on_turn: Callable[[str], None] = no_op,
) -> list[IdleCost]:
    """Measure nodes that nobody asks, in turn.

    Args:
        seconds: Length of one turn.
        cameras: Numbers of cameras; each has a node of its own.
        repeats: Turns of each node.
        against: Command of the node of another installation, which is measured with the same cameras; None: only ours.
        on_turn: Called with a line of text about each turn that has ended.

    Returns:
        The cost of each node, ours and the other in turn, by rising number of cameras.

    Raises:
        LiveError: A node did not start, or received nothing from its cameras.
    """
    use_large_segments()
    namespace = f"/llava_ov_bench_{os.getpid()}"
    topics = [f"{namespace}/camera_{number}" for number in range(max(cameras))]
    commands = {OURS: None} | ({} if against is None else {against: [against]})
    turns: dict[tuple[str, int], list[IdleTurn]] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        logs = Path(folder)
        publishing = NodeProcess(namespace, {}, logs / "cameras.log", command=[*CAMERAS, *topics])
        running.enter_context(publishing)
        nodes = {}
        for count in sorted(set(cameras)):
            for index, (name, command) in enumerate(commands.items()):
                node = _Node(f"{namespace}/node_{index}_{count}", topics[:count], logs, command, publishing)
                nodes[name, count] = running.enter_context(node)
        for _ in range(repeats):
            for key, node in nodes.items():
                turn = node.turn(seconds)
                turns.setdefault(key, []).append(turn)
                on_turn(f"{key[1]} cameras, {key[0]}: {turn.cpu:.3f} s/s, {turn.received_hz:.1f} messages/s")
    return [
        IdleCost(
            name,
            count,
            tuple(of_node),
            statistics.median(turn.cpu for turn in of_node),
            statistics.median(turn.received_hz for turn in of_node),
            statistics.median(turn.admitted_hz for turn in of_node),
        )
        for (name, count), of_node in turns.items()
    ]


class _Node:
    """A node that is measured, and the session that drives it."""

    def __init__(
        self,
        namespace: str,
        topics: Sequence[str],
        logs: Path,
        command: Sequence[str] | None,
        cameras: NodeProcess,
    ) -> None:
        names = [topic.rpartition("/")[2] for topic in topics]
        parameters: dict[str, Value] = {"device": "cpu", "cameras": names, "image_topics": list(topics)}
        log = logs / f"{namespace.rpartition('/')[2]}.log"
        self._process = NodeProcess(namespace, parameters, log, command=command)
        self._cameras = cameras
        self._session = Session([], self._process.name, namespace=namespace, check=self._check)
        self._running = ExitStack()

    def _check(self) -> None:
        for process in (self._cameras, self._process):
            try:
                process.check()
            except LiveError as error:
                raise LiveError(f"{process.name}: {error}\nThe end of its log:\n{process.tail()}") from None

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            starting.enter_context(self._process)
            starting.enter_context(self._session)
            self._session.wait_until_up(START_S)
            self._session.configure(START_S)
            self._running = starting.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._running.close()

    def turn(self, seconds: float) -> IdleTurn:
        """Activate the node, measure it once its cameras' frames come in, and deactivate it."""
        reports: list[DiagnosticsReport] = []
        self._session.activate(TURN_S)
        with self._session.diagnostics(reports.append, TURN_S):
            # The counts go on from those of the turn before.
            self._session.wait_for(
                lambda: bool(reports) and _each_grew(reports[0], reports[-1], "admitted"),
                TURN_S,
                f"{self._process.name} received no frame of its cameras: its log has\n{self._process.tail()}",
            )
            until_s = time.monotonic() + seconds
            del reports[:-1]
            before_s, began_s = self._cpu_s(), time.monotonic()
            self._session.wait_for(
                lambda: time.monotonic() >= until_s and len(reports) > 1, seconds + TURN_S, "no diagnostics came"
            )
            cpu = (self._cpu_s() - before_s) / (time.monotonic() - began_s)
        self._session.change_state(Transition.TRANSITION_DEACTIVATE, TURN_S)
        first, last = reports[0], reports[-1]
        between_s = (last.now_ns - first.now_ns) / NS_PER_S

        def rate(key: str) -> float:
            return sum(_count(last, topic, key) - _count(first, topic, key) for topic in last.cameras) / between_s

        return IdleTurn(cpu, rate("received"), rate("admitted"))

    def _cpu_s(self) -> float:
        """CPU seconds of the node's process so far, user and system (proc(5), `utime` and `stime`)."""
        # The name of the process, in brackets, may hold spaces.
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def _each_grew(first: DiagnosticsReport, last: DiagnosticsReport, key: str) -> bool:
    return all(_count(last, topic, key) > _count(first, topic, key) for topic in last.cameras)


def _count(report: DiagnosticsReport, topic: str, key: str) -> int:
    return int(report.cameras[topic].get(key, "0"))
