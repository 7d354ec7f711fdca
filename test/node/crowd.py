"""Many clients of one node in a process of their own: all ask at once, or send goals and cancel them at random.

    python test/node/crowd.py NODE --nodes 10 --asks 40 --goals 40

It prints `ready` when it has met the node, waits for a line on standard input, and ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import sys
import threading
import time
from collections import Counter
from typing import Any

import rclpy
from action_msgs.msg import GoalStatus
from llava_ov_ros.action import Ask as AskAction
from llava_ov_ros.srv import Ask
from rclpy.action import ActionClient
from rclpy.exceptions import InvalidHandle
from rclpy.executors import ExternalShutdownException, ShutdownException, SingleThreadedExecutor
from rclpy.qos import QoSProfile

from llava_ov_ros.questions import Status

MEETING_S = 60.0
GREETING_S = 1.0
CANCEL_PERIOD_S = 0.01
PAUSE_S = 0.5


class Crowd:
    """Client nodes that share one executor.

    Attributes:
        ends: How often each request ended, by its id, and how: a status of an answer, beside a goal's final state.
    """

    def __init__(self, name: str, nodes: int, depth: int, seed: int) -> None:
        self._random = random.Random(seed)
        qos = QoSProfile(depth=depth)
        self._executor = SingleThreadedExecutor()
        self._nodes = [
            rclpy.create_node(f"crowd_{seed}_{number}", start_parameter_services=False, enable_rosout=False)
            for number in range(nodes)
        ]
        self._services = [node.create_client(Ask, f"{name}/ask", qos_profile=qos) for node in self._nodes]
        self._actions = [
            ActionClient(
                node,
                AskAction,
                f"{name}/ask",
                goal_service_qos_profile=qos,
                result_service_qos_profile=qos,
                cancel_service_qos_profile=qos,
            )
            for node in self._nodes
        ]
        for node in self._nodes:
            self._executor.add_node(node)
        self._known: set[Any] = set()
        self._lock = threading.Lock()
        self._later: list[tuple[float, Any]] = []
        self.ends: dict[str, list[str]] = {}
        self.latencies_s: list[float] = []
        self._nodes[0].create_timer(CANCEL_PERIOD_S, self._do_what_is_due)
        self._spinner = threading.Thread(target=self._spin, daemon=True)
        self._spinner.start()

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException, ShutdownException, InvalidHandle):
            self._executor.spin()

    def meet(self) -> None:
        """Have every client ask until it is answered once, in each of the ways that are used.

        Node and client discover each other independently: where only the client knows the node, a request is lost.
        """
        until_s = time.monotonic() + MEETING_S
        while waiting := [one for one in (*self._services, *self._actions) if one not in self._known]:
            if time.monotonic() > until_s:
                raise TimeoutError(f"{len(waiting)} of {2 * len(self._nodes)} clients do not hear the node")
            self.do(lambda some=tuple(waiting): [self._greet(one) for one in some])
            time.sleep(GREETING_S)

    def _greet(self, client: Any) -> None:
        def cancel(handle: Any) -> None:
            handle.cancel_goal_async().add_done_callback(lambda _: self._known.add(client))

        def get(handle: Any) -> None:
            handle.get_result_async().add_done_callback(lambda _: cancel(handle))

        # An empty question is refused at once.
        if client in self._services and client.service_is_ready():
            client.call_async(Ask.Request()).add_done_callback(lambda _: self._known.add(client))
        elif client in self._actions and client.server_is_ready():
            client.send_goal_async(AskAction.Goal()).add_done_callback(lambda future: get(future.result()))

    def do(self, work: Any) -> None:
        """Have something done in the executor's thread.

        rclpy's action client sends first and takes note afterwards: a response that another thread takes in between
        is nobody's.
        """
        self._executor.create_task(work)

    def ask(self, number: int, request: Ask.Request) -> None:
        """Call the service."""
        self._begin(request.request_id)
        began_s = time.monotonic()

        def end(future: Any) -> None:
            self._latency(began_s)
            self._end(request.request_id, Status(future.result().answer.status).name)

        self._services[number % len(self._services)].call_async(request).add_done_callback(end)

    def send(self, number: int, goal: AskAction.Goal, cancel_after_s: float | None = None, then: Any = None) -> None:
        """Send a goal; `then` is called when its result has come."""
        self._begin(goal.request_id)
        began_s = time.monotonic()

        def end(future: Any) -> None:
            response = future.result()
            state = {
                GoalStatus.STATUS_SUCCEEDED: "succeeded",
                GoalStatus.STATUS_ABORTED: "aborted",
                GoalStatus.STATUS_CANCELED: "canceled",
            }.get(response.status, str(response.status))
            self._latency(began_s)
            self._end(goal.request_id, f"{Status(response.result.answer.status).name}, {state}")
            if then is not None:
                then()

        def accepted(future: Any) -> None:
            handle = future.result()
            if not handle.accepted:
                self._end(goal.request_id, "refused")
                return
            handle.get_result_async().add_done_callback(end)
            if cancel_after_s is not None:
                with self._lock:
                    self._later.append((time.monotonic() + cancel_after_s, handle.cancel_goal_async))

        self._actions[number % len(self._actions)].send_goal_async(goal).add_done_callback(accepted)

    def cancel_at_random(self, goals: int, at_once: int, most_s: float, **fields: Any) -> None:
        """Send goals, so many at a time for every client, and cancel each after a time of up to `most_s`."""
        numbers = iter(range(goals))

        def one() -> None:
            number = next(numbers, None)
            if number is not None:
                after_s = self._random.uniform(0, most_s)
                self.send(number, goal_of(number, self._random, **fields), after_s, then=one)

        for _ in range(at_once * len(self._nodes)):
            one()

    def _do_what_is_due(self) -> None:
        with self._lock:
            due = [one for one in self._later if one[0] <= time.monotonic()]
            self._later = [one for one in self._later if one not in due]
        for _, act in due:
            act()

    def _begin(self, request_id: str) -> None:
        with self._lock:
            self.ends[request_id] = []

    def _end(self, request_id: str, how: str) -> None:
        with self._lock:
            self.ends[request_id].append(how)

    def _latency(self, began_s: float) -> None:
        with self._lock:
            self.latencies_s.append(time.monotonic() - began_s)

    def count(self) -> int:
        """Requests that have ended."""
        with self._lock:
            return sum(bool(ends) for ends in self.ends.values())

    def wait_for(self, count: int, patience_s: float) -> bool:
        """Wait until so many requests have ended; False where for so long none has."""
        last, changed_s = -1, time.monotonic()
        while (now := self.count()) < count:
            if now != last:
                last, changed_s = now, time.monotonic()
            if time.monotonic() - changed_s > patience_s:
                return False
            time.sleep(0.02)
        return True

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown(timeout_sec=5.0)
        self._spinner.join(5.0)
        rclpy.try_shutdown()


def goal_of(number: int, chosen: random.Random, **fields: Any) -> AskAction.Goal:
    """A goal with an id of its own."""
    return AskAction.Goal(request_id=f"goal-{number}-{chosen.getrandbits(48):x}", **fields)


def main() -> int:
    """Ask as the command line says; returns 0 where every request ended exactly once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("node")
    parser.add_argument("--nodes", type=int, default=10, help="client nodes")
    parser.add_argument("--asks", type=int, default=0, help="calls of the service, all at once")
    parser.add_argument("--goals", type=int, default=0, help="goals of the action, all at once")
    parser.add_argument("--cancelled", type=int, default=0, help="goals that are cancelled at random")
    parser.add_argument("--depth", type=int, default=1000, help="of the clients")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=0.0, help="how long all of it is done again and again")
    parser.add_argument("--patience-s", type=float, default=30.0)
    options = parser.parse_args()
    rclpy.init()
    crowd = Crowd(options.node, options.nodes, options.depth, options.seed)
    crowd.meet()
    print("ready", flush=True)
    sys.stdin.readline()
    chosen = random.Random(options.seed + 1000)
    fields = {"question": "What colour is the pan?", "max_new_tokens": options.tokens}

    def begin() -> None:
        for number in range(options.asks):
            request_id = f"ask-{number}-{chosen.getrandbits(48):x}"
            crowd.ask(number, Ask.Request(request_id=request_id, **fields))
        for number in range(options.goals):
            crowd.send(number, goal_of(number, chosen, **fields))
        crowd.cancel_at_random(options.cancelled, 10, 0.5, **{**fields, "max_new_tokens": 300})

    each = options.asks + options.goals + options.cancelled
    began_s = time.monotonic()
    rounds, all_ended = 0, True
    while all_ended and (rounds == 0 or time.monotonic() - began_s < options.seconds):
        rounds += 1
        crowd.do(begin)
        all_ended = crowd.wait_for(rounds * each, options.patience_s)
        time.sleep(PAUSE_S)
    taken_s = time.monotonic() - began_s
    found = Counter(how for ends in crowd.ends.values() for how in ends)
    never = sorted(request for request, ends in crowd.ends.items() if not ends)
    often = sorted(request for request, ends in crowd.ends.items() if len(ends) > 1)
    ids = sorted(crowd.ends)
    latencies = sorted(crowd.latencies_s)
    print(
        json.dumps(
            {
                "sent": len(ids),
                "ended": crowd.count(),
                "taken_s": round(taken_s, 2),
                "slowest_s": round(latencies[-1], 2) if latencies else None,
                "ends": found,
                "never": never,
                "often": often,
                "ids": ids,
            }
        ),
        flush=True,
    )
    crowd.close()
    return 0 if not never and not often else 1


if __name__ == "__main__":
    sys.exit(main())
