"""Runs the real node for long under all that it offers, and prints what it holds: memory, threads, file descriptors.

Run it as `python test/node/soak.py --minutes 60` in an environment in which the node works. Pictures of the shipped
recording go to the node at 30 Hz, with the shipped model; standing questions, questions, plans, hints, cancels and
lifecycle changes go on meanwhile. Ends with code 1 where the node ends by itself or a request is never answered.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from lifecycle_msgs.msg import Transition
from llava_ov_ros.action import Ask as AskAction
from llava_ov_ros.msg import ActionHint, Answer
from llava_ov_ros.srv import Ask, ClearGoal, Plan, ReportStep, SetGoal
from rclpy.action import ActionClient

from llava_ov_ros.frames import DecodeOptions, Rgb, decode
from llava_ov_ros.live.picture_questions import TOPIC, jpeg_message
from llava_ov_ros.live.player import staged_base
from llava_ov_ros.live.process import NodeProcess, use_large_segments
from llava_ov_ros.live.session import LiveError, Session
from llava_ov_ros.node.messages import to_stamp
from llava_ov_ros.questions import Status
from llava_ov_ros.replay import image_topics, read_messages
from llava_ov_ros.share import shipped

RATE_HZ = 30
MARKS_MIN = (10, 30, 60)
START_S, LOAD_S, ANSWER_S = 60.0, 300.0, 120.0
LIFECYCLE_S = 45.0
"""Between two lifecycle changes; every second one gives the model up and loads it again."""
CANCEL_AFTER_S = 0.25
GOAL = "put the mug on the desk"


@dataclass(frozen=True)
class Held:
    """What the node's process holds at a moment."""

    rss_mb: float
    threads: int
    descriptors: int


def held(pid: int) -> Held:
    """Memory in use (RSS), threads and open file descriptors of a process, as Linux tells them."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return Held(
        int(status["VmRSS"].split()[0]) / 1024, int(status["Threads"]), len(list(Path(f"/proc/{pid}/fd").iterdir()))
    )


class SoakSession(Session):
    """A session that asks for everything."""

    def __enter__(self) -> Self:
        super().__enter__()
        name = self._node_name
        self._services = {
            kind: self._node.create_client(kind, f"{name}/{service}")
            for kind, service in (
                (Plan, "plan"),
                (SetGoal, "set_goal"),
                (ClearGoal, "clear_goal"),
                (ReportStep, "step_done"),
            )
        }
        self._action = ActionClient(self._node, AskAction, f"{name}/ask")
        self.ended: Counter[str] = Counter()
        self._node.create_subscription(Answer, f"{name}/answers", self._count("answers"), 100)
        self._node.create_subscription(ActionHint, f"{name}/action_hint", self._count("hints"), 100)
        return self

    def __exit__(self, *raised: Any) -> None:
        self._action.destroy()
        super().__exit__(*raised)

    def _count(self, topic: str) -> Any:
        def take(message: Any) -> None:
            self.ended[f"{topic} {Status(message.status).name}"] += 1

        return take

    def call(self, request: Any) -> Any:
        """Call the service that a request belongs to; its response."""
        kind = next(kind for kind in self._services if isinstance(request, kind.Request))
        client = self._services[kind]
        self.wait_for(client.service_is_ready, START_S, f"there is no {client.srv_name}")
        return self._call(client, [request], ANSWER_S)[0]

    def ask_and_cancel(self) -> None:
        """Send a long question to the action, cancel it a moment later, and wait for its end."""
        self.wait_for(self._action.server_is_ready, START_S, "there is no action ~/ask")
        goal = AskAction.Goal(question="Describe the room.", max_new_tokens=256)
        handle = self._outcome(lambda: self._action.send_goal_async(goal))
        ended = self._executor.create_task(handle.get_result_async)
        time.sleep(CANCEL_AFTER_S)
        self._outcome(handle.cancel_goal_async)
        self.wait_for(ended.done, ANSWER_S, "the action has no result")
        result = ended.result()
        self.wait_for(result.done, ANSWER_S, "a cancelled goal has no end")
        self.ended[f"goals {Status(result.result().result.answer.status).name}"] += 1

    def _outcome(self, call: Any) -> Any:
        """What a call of the action's client brings; it is made in the executor's thread, which takes the response."""
        begun = self._executor.create_task(call)
        self.wait_for(lambda: begun.done() and begun.result().done(), ANSWER_S, "the action does not respond")
        return begun.result().result()


def pictures() -> list[Rgb]:
    """The frames of the shipped recording."""
    bag = shipped("examples/demo_room")
    assert bag is not None
    topic = image_topics(bag)[0].name
    return [decode(message.message, "camera", DecodeOptions()) for message in read_messages(bag, [topic])]


class Camera:
    """Publishes the recording again and again at 30 Hz, stamped with the time of now, in a thread of its own."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(5)

    def _run(self) -> None:
        frames = itertools.cycle([jpeg_message(picture, 0) for picture in pictures()])
        start_s = time.monotonic()
        for number, message in enumerate(frames):
            if self._end.wait(max(0.0, start_s + number / RATE_HZ - time.monotonic())):
                return
            message.header.stamp = to_stamp(time.time_ns())
            self._session.player.send(TOPIC.name, message)


def deeds(session: SoakSession) -> Iterator[Any]:
    """All that is asked for, one thing after the other, for ever."""
    while True:
        for kind in ("text", "yes_no", "count", "change", "phrase"):
            yield lambda kind=kind: session.ask([Ask.Request(question="Is there a mug?", kind=kind)] * 3, ANSWER_S)
        yield lambda: session.call(SetGoal.Request(goal=GOAL))
        yield lambda: session.call(Plan.Request(goal=GOAL, deadline_s=20.0))
        yield session.ask_and_cancel
        yield lambda: session.call(ReportStep.Request(step="GotoLocation desk"))
        yield lambda: session.ask([Ask.Request(question="Where is the mug?", mode="image")], ANSWER_S)
        yield lambda: session.call(ClearGoal.Request())


def change_lifecycle(session: Session, unload: bool) -> None:
    """Deactivate and activate the node, its model given up and loaded again in between where that is wanted."""
    session.change_state(Transition.TRANSITION_DEACTIVATE, START_S)
    if unload:
        session.change_state(Transition.TRANSITION_CLEANUP, START_S)
        session.configure(LOAD_S)
    session.activate(START_S)


def soak(session: SoakSession, pid: int, minutes: float, every_s: float) -> None:
    """Ask for everything for so long, and print what the node holds."""
    began_s = time.monotonic()
    deeds_done = changes = 0
    lines: list[str] = []
    work = deeds(session)
    next_print_s, next_change_s, marks = every_s, LIFECYCLE_S, [mark for mark in MARKS_MIN if mark <= minutes]

    def say(elapsed_s: float, note: str = "") -> str:
        now = held(pid)
        line = (
            f"{elapsed_s / 60:6.1f} min  {now.rss_mb:8.1f} MiB RSS  {now.threads:4d} threads  {now.descriptors:4d} "
            f"descriptors  {session.player.published[TOPIC.name]} pictures  {deeds_done} deeds  "
            f"{changes} lifecycle changes{note}"
        )
        print(line, flush=True)
        return line

    say(0.0)
    while (elapsed_s := time.monotonic() - began_s) < 60 * minutes:
        if elapsed_s >= next_print_s:
            mark = marks.pop(0) if marks and elapsed_s >= 60 * marks[0] else None
            line = say(elapsed_s, "" if mark is None else f"  <- {mark} minutes")
            next_print_s += every_s
            if mark is not None:
                lines.append(line)
        if elapsed_s >= next_change_s:
            changes += 1
            change_lifecycle(session, unload=changes % 2 == 0)
            next_change_s += LIFECYCLE_S
        next(work)()
        deeds_done += 1
    lines.append(say(time.monotonic() - began_s, "  <- end"))
    print("\n".join(["summary:", *lines]))
    print("ends heard: " + ", ".join(f"{name} {count}" for name, count in sorted(session.ended.items())))


def main() -> int:
    """Run the soak; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (default 60)")
    parser.add_argument("--every", type=float, default=60.0, help="seconds between two lines (default 60)")
    args = parser.parse_args()
    use_large_segments()
    namespace = f"/llava_ov_soak_{os.getpid()}"
    parameters = {
        "image_topics": [staged_base(TOPIC, namespace)],
        "image_transport": [TOPIC.transport],
        "standing_questions": ["Which object moved?", "Is a hand there?"],
        "standing_period_s": 2.0,
        "hint_period_s": 1.0,
        "max_new_tokens": 32,
    }
    with tempfile.TemporaryDirectory() as folder:
        node = NodeProcess(namespace, parameters, Path(folder) / "node.log", clock=f"{namespace}/clock")
        try:
            with SoakSession([TOPIC], node.name, namespace=namespace, check=node.check) as session, node:
                session.wait_until_up(START_S)
                session.configure(LOAD_S)
                session.activate(START_S)
                with Camera(session):
                    soak(session, node.pid, args.minutes, args.every)
                if (code := node.end()) != 0:
                    raise LiveError(f"the node ended with exit code {code}")
        except LiveError as error:
            print(f"{error}\nThe end of the node's log:\n{node.tail()}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
