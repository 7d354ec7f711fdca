"""Measure how long the node's callbacks take while the model generates, compared with the same node at rest.

The node runs in a process of its own with a very small model of random weights, whose answers end only at the token
limit. Rest and generation alternate, so that both are measured under the same load of the machine. Three times are
measured over DDS:

- get: from a GetParameters request to its response
- cancel: from a CancelGoal request to its response; at rest for a goal that has ended, during generation for the goal
  that is being generated
- image: from the stamp of a 320x240 picture, published at 30 Hz, to its callback in the node
"""

from __future__ import annotations

import array
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import rclpy
from action_msgs.srv import CancelGoal
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import GetParameters
from rclpy.action import ActionClient
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image
from std_msgs.msg import Float64

from llava_ov_ros.action import Ask

from ..live.process import NodeProcess
from ..live.session import LiveError
from ..no_op import no_op
from ..node.main import spin
from ..share import shipped
from .probed_node import LATENCY_TOPIC, PROBE_TOPIC

IMAGE_HZ, IMAGE_SIZE = 30.0, (320, 240)
GETS_PER_ROUND = 10
CALL_S, LOAD_S = 20.0, 120.0
MEASURES = ("get", "cancel", "image")
REST, BUSY = "idle", "generating"

Samples = dict[tuple[str, str], list[float]]
"""Seconds by measure and condition."""


def bench_callbacks(seconds: float, on_round: Callable[[float], None] = no_op) -> dict[str, Any]:
    """Measure the callbacks.

    Args:
        seconds: Length of the measurement, without the start of the node.
        on_round: Called before each round with the seconds that are left.

    Returns:
        For each of get, cancel and image: for idle and generating the number of samples, median and 99th percentile in
        milliseconds, and the ratios generating / idle.

    Raises:
        LiveError: The node did not start or did not respond.
    """
    namespace = f"/llava_ov_bench_{os.getpid()}"
    with tempfile.TemporaryDirectory() as folder:
        node = NodeProcess(
            namespace,
            {
                "model": _nano_checkpoint(Path(folder)),
                "device": "cpu",
                "image_topics": [f"{namespace}/{PROBE_TOPIC}"],
                "max_new_tokens": 4096,
                "frozen_after_s": 0.0,
                "evidence": False,
            },
            Path(folder) / "node.log",
            # -P: the working directory may hold the sources, which have no messages.
            command=[sys.executable, "-P", "-m", "llava_ov_ros.bench.probed_node"],
        )
        try:
            with node, _Bench(namespace, node.check) as bench:
                samples = bench.measure(seconds, on_round)
        except LiveError as error:
            raise LiveError(f"{error}\nThe end of the node's log:\n{node.tail()}") from None
    return summary(samples)


def _nano_checkpoint(folder: Path) -> str:
    from ..onevision.shapes import nano_config, write_random_checkpoint

    tokenizer = shipped("models/rooms/tokenizer.json")
    if tokenizer is None:
        raise LiveError("the shipped model models/rooms is missing: install the package again")
    write_random_checkpoint(nano_config(), tokenizer, folder / "nano", seed=1)
    return str(folder / "nano")


class _Bench:
    """A node that is client, camera and stop-watch of the measurement."""

    def __init__(self, namespace: str, check: Callable[[], None]) -> None:
        self._namespace = namespace
        self._check = check
        self._condition: str | None = None
        self._samples: Samples = defaultdict(list)

    def __enter__(self) -> Self:
        self._context = Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node("llava_ov_bench", namespace=self._namespace, context=self._context)
        group = ReentrantCallbackGroup()
        target = f"{self._namespace}/llava_ov"
        self._change = self._node.create_client(ChangeState, f"{target}/change_state", callback_group=group)
        self._get = self._node.create_client(GetParameters, f"{target}/get_parameters", callback_group=group)
        self._cancel = self._node.create_client(CancelGoal, f"{target}/ask/_action/cancel_goal", callback_group=group)
        self._ask = ActionClient(self._node, Ask, f"{target}/ask", callback_group=group)
        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._camera = self._node.create_publisher(Image, PROBE_TOPIC, qos)
        self._pixels = array.array("B", bytes(IMAGE_SIZE[0] * IMAGE_SIZE[1] * 3))
        self._node.create_timer(1 / IMAGE_HZ, self._publish, callback_group=group)
        self._node.create_subscription(Float64, LATENCY_TOPIC, self._take_latency, 100, callback_group=group)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._spinner = threading.Thread(target=spin, args=(self._executor, self._node.get_logger()), daemon=True)
        self._spinner.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._executor.shutdown(timeout_sec=2.0)
        self._spinner.join(timeout=2.0)
        self._ask.destroy()
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def _publish(self) -> None:
        width, height = IMAGE_SIZE
        message = Image(height=height, width=width, encoding="rgb8", step=3 * width)
        message.data = self._pixels
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._camera.publish(message)

    def _take_latency(self, message: Float64) -> None:
        condition = self._condition
        if condition is not None:
            self._samples["image", condition].append(message.data)

    def _wait(self, done: threading.Event, what: str, timeout_s: float = CALL_S) -> None:
        until_s = time.monotonic() + timeout_s
        while not done.wait(0.5):
            self._check()
            if time.monotonic() > until_s:
                raise LiveError(f"{what} did not happen within {timeout_s:g} s")

    def _result(self, future: Any, what: str, timeout_s: float = CALL_S) -> Any:
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        self._wait(done, what, timeout_s)
        return future.result()

    def _begun(self, call: Callable[[], Any], what: str) -> Any:
        """Return the future of an action client's call, made in the executor's thread.

        rclpy's action client registers a request only after it has sent it. If another thread took the response in
        between, the response would be lost.
        """
        return self._result(self._executor.create_task(call), what)

    def _called(self, call: Callable[[], Any], what: str) -> Any:
        return self._result(self._begun(call, what), what)

    def measure(self, seconds: float, on_round: Callable[[float], None]) -> Samples:
        """Bring the node up, then alternate between rest and generation until the time is over."""
        self._bring_up()
        # The goal that is cancelled at rest, and the first forward passes, which are slower.
        ended = self._start_goal()
        self._end_goal(ended)
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0:
            on_round(left_s)
            self._round(REST, ended)
            goal = self._start_goal()
            self._round(BUSY, goal)
            self._called(goal.get_result_async, "the result of a cancelled goal")
            ended = goal
        return self._samples

    def _bring_up(self) -> None:
        until_s = time.monotonic() + LOAD_S
        while not (self._change.wait_for_service(timeout_sec=0.5) and self._ask.wait_for_server(timeout_sec=0.5)):
            self._check()
            if time.monotonic() > until_s:
                raise LiveError(f"the node did not come up in {LOAD_S:g} s")
        for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            request = ChangeState.Request(transition=Transition(id=transition))
            if not self._result(self._change.call_async(request), "a change of state", LOAD_S).success:
                raise LiveError(f"the node refused transition {transition}")
        heard = threading.Event()
        until_s = time.monotonic() + CALL_S
        while not self._camera.get_subscription_count() >= 2:
            self._check()
            if time.monotonic() > until_s:
                raise LiveError("the node did not subscribe to its camera")
            heard.wait(0.05)

    def _start_goal(self) -> Any:
        """Send a goal and return it once the first piece of its answer has arrived.

        The goal is sent again until the camera's first frame has reached the node.
        """
        for _ in range(50):
            generating, ended = threading.Event(), threading.Event()
            goal = self._called(partial(self._send_goal, generating), "the acceptance of a goal")
            result = self._begun(goal.get_result_async, "the request for a result")
            result.add_done_callback(lambda _, flag=ended: flag.set())
            until_s = time.monotonic() + CALL_S
            while not generating.wait(0.05):
                self._check()
                if ended.is_set() or time.monotonic() > until_s:
                    break
            else:
                return goal
        raise LiveError("the node does not answer")

    def _send_goal(self, generating: threading.Event) -> Any:
        return self._ask.send_goal_async(
            Ask.Goal(question="What is there?"), feedback_callback=lambda _: generating.set()
        )

    def _end_goal(self, goal: Any) -> None:
        self._called(goal.cancel_goal_async, "the response to a cancel")
        self._called(goal.get_result_async, "the result of a cancelled goal")

    def _round(self, condition: str, goal: Any) -> None:
        """Measure several gets, then one cancel, while pictures are counted."""
        self._condition = condition
        for _ in range(GETS_PER_ROUND):
            request = GetParameters.Request(names=["clip_frames"])
            self._samples["get", condition].append(self._timed(self._get, request))
        # From here on it may be at rest again.
        self._condition = None
        request = CancelGoal.Request()
        request.goal_info.goal_id = goal.goal_id
        self._samples["cancel", condition].append(self._timed(self._cancel, request))

    def _timed(self, client: Any, request: Any) -> float:
        started_s = time.perf_counter()
        ended_s: list[float] = []
        done = threading.Event()

        def note(_: Any) -> None:
            ended_s.append(time.perf_counter())
            done.set()

        client.call_async(request).add_done_callback(note)
        self._wait(done, f"a response of {client.srv_name}")
        return ended_s[0] - started_s


def summary(samples: Samples) -> dict[str, Any]:
    """Return numbers of samples, medians and 99th percentiles in milliseconds, and the ratios generating / idle."""
    result: dict[str, Any] = {}
    for measure in MEASURES:
        entry: dict[str, Any] = {
            condition: {
                "samples": len(samples[measure, condition]),
                "median_ms": 1e3 * statistics.median(samples[measure, condition] or [0.0]),
                "p99_ms": 1e3 * _percentile(samples[measure, condition], 0.99),
            }
            for condition in (REST, BUSY)
        }
        for name in ("median", "p99"):
            rest, busy = entry[REST][f"{name}_ms"], entry[BUSY][f"{name}_ms"]
            entry[f"{name}_ratio"] = busy / rest if rest > 0 else 0.0
        result[measure] = entry
    return result


def _percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed; 0 if there are no values."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)] if ordered else 0.0
