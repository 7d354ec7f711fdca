"""Inconsiderate neighbours of a well-behaved client: how long it waits for its answers, without them and beside them.

    python test/node/neighbours.py --seconds 120

A node of its own is started, and asked once a second: first in quiet, then while all at once two crowds send many
requests at once, somebody sends requests that are too long or as long as they may be, as many standing questions are
asked as may wait, and somebody looks at the evidence. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from llava_ov_ros.msg import Answer
from llava_ov_ros.srv import Ask, SetGoal
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image

from llava_ov_ros.live.process import NodeProcess
from llava_ov_ros.live.session import Session
from llava_ov_ros.node.main import spin
from llava_ov_ros.node.messages import to_stamp
from llava_ov_ros.questions import Status

CROWD = Path(__file__).with_name("crowd.py")
PERIOD_S = 1.0
PATIENCE_S = 60.0
AGAIN_S = 0.1
CAMERA_HZ = 2.0
QUEUE_SIZE = 8
STANDING = [f"Is it {number}?" for number in range(QUEUE_SIZE)]
LONG = [
    {"question": "What colour is the pan? " * 400_000},
    {"question": "x" * 1_000_000},
    {"question": "?", "kind": "choice", "choices": [str(number) for number in range(20_000)]},
    {"question": "?", "history": ["x"] * 20_000},
    {"question": "Where is it? " * 700},
    {"question": "?", "kind": "choice", "choices": [f"number {number}" for number in range(100)]},
    {"question": "?", "history": ["what is there " * 600] * 4},
]


class Client:
    """Asks once a second; where the queue is full, again after a tenth of a second."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.waited_s: list[float] = []
        self.ends: Counter[str] = Counter()
        self.refused = 0

    def ask(self) -> None:
        """One question, until it is answered."""
        began_s = time.monotonic()
        while True:
            (answer,) = self._session.ask([Ask.Request(question="What colour is the pan?")], PATIENCE_S)
            if answer.status != Answer.QUEUE_FULL or time.monotonic() - began_s > PATIENCE_S:
                break
            self.refused += 1
            time.sleep(AGAIN_S)
        self.waited_s.append(time.monotonic() - began_s)
        self.ends[Status(answer.status).name] += 1

    def ask_for(self, seconds: float) -> dict[str, Any]:
        """Ask for some seconds, and say what came of it."""
        until_s = time.monotonic() + seconds
        while (began_s := time.monotonic()) < until_s:
            self.ask()
            time.sleep(max(0.0, PERIOD_S - (time.monotonic() - began_s)))
        return {
            "asked": len(self.waited_s),
            "ends": dict(self.ends),
            "refused_before": self.refused,
            "median_s": round(float(np.percentile(self.waited_s, 50)), 3),
            "p95_s": round(float(np.percentile(self.waited_s, 95)), 3),
        }


class Camera:
    """A camera that shows something else each time, and somebody who looks at the evidence."""

    def __init__(self, namespace: str) -> None:
        self._node = rclpy.create_node("camera", namespace=namespace)
        self._publisher = self._node.create_publisher(Image, "image_raw", 10)
        self._random = np.random.default_rng(1)
        self.pictures = 0
        self._node.create_subscription(CompressedImage, "llava_ov/evidence/compressed", self._count, 10)
        self._node.create_timer(1 / CAMERA_HZ, self._send)
        self._parameters = self._node.create_client(SetParameters, "llava_ov/set_parameters")
        self._goal = self._node.create_client(SetGoal, "llava_ov/set_goal")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._spinner = threading.Thread(target=spin, args=(self._executor, self._node.get_logger()), daemon=True)
        self._spinner.start()

    def _count(self, _: CompressedImage) -> None:
        self.pictures += 1

    def _send(self) -> None:
        picture = self._random.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        message = Image(height=48, width=64, encoding="rgb8", step=192, data=picture.tobytes())
        message.header.stamp = to_stamp(time.time_ns())
        self._publisher.publish(message)

    def set_standing(self, questions: list[str]) -> None:
        """Have the node ask standing questions."""
        parameter = Parameter("standing_questions", value=questions).to_parameter_msg()
        self._parameters.wait_for_service(PATIENCE_S)
        response = self._parameters.call(SetParameters.Request(parameters=[parameter]))
        assert response.results[0].successful, response.results[0].reason

    def send_long_goal(self) -> bool:
        """A goal that is far too long; whether it was taken."""
        success: bool = self._goal.call(SetGoal.Request(goal="x" * 1_000_000)).success
        return success

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown(timeout_sec=5.0)
        self._spinner.join(5.0)
        self._node.destroy_node()


def send_long_ones(session: Session, camera: Camera, stop: threading.Event, ends: Counter[str]) -> None:
    """Send requests that are too long, or as long as they may be, one after the other."""
    while not stop.is_set():
        for fields in LONG:
            (answer,) = session.ask([Ask.Request(**fields)], PATIENCE_S)
            ends[Status(answer.status).name] += 1
        assert not camera.send_long_goal()


def peak_megabytes(process: NodeProcess) -> int:
    """Most memory that the node has had."""
    assert process._process is not None
    lines = Path(f"/proc/{process._process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024


def crowds_of(node: str, seconds: float) -> list[subprocess.Popen[str]]:
    """Two processes with ten clients each, which have met the node."""
    arguments = ["--nodes", "10", "--asks", "40", "--goals", "20", "--seconds", str(seconds), "--patience-s", "90"]
    crowds = [
        subprocess.Popen(
            [sys.executable, str(CROWD), node, "--seed", str(number), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in (1, 2)
    ]
    for crowd in crowds:
        assert crowd.stdout is not None
        assert crowd.stdout.readline() == "ready\n"
    return crowds


def main() -> int:
    """Measure, and print what was found; returns 0 where every request of everybody ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="rooms")
    parser.add_argument("--seconds", type=float, default=120.0, help="beside the neighbours")
    parser.add_argument("--quiet-s", type=float, default=30.0, help="without them")
    options = parser.parse_args()
    namespace = f"/neighbours_{os.getpid()}"
    parameters = {
        "model": options.model,
        "image_topics": [f"{namespace}/image_raw"],
        "queue_size": QUEUE_SIZE,
        "standing_period_s": 1.0,
        "max_frame_age_s": 60.0,
    }
    log = Path(tempfile.mkdtemp()) / "node.log"
    rclpy.init()
    camera = Camera(namespace)
    found: dict[str, Any] = {}
    name = f"{namespace}/llava_ov"
    with Session([], name) as session, Session([], name) as long_ones, NodeProcess(namespace, parameters, log) as node:
        for one in (session, long_ones):
            one.wait_until_up(PATIENCE_S)
        session.configure(PATIENCE_S)
        session.activate(PATIENCE_S)
        while session.ask([Ask.Request(question="?")], PATIENCE_S)[0].status != Answer.OK:
            time.sleep(AGAIN_S)
        found["quiet"] = Client(session).ask_for(options.quiet_s)
        crowds = crowds_of(name, options.seconds)
        camera.set_standing(STANDING)
        stop, ends = threading.Event(), Counter[str]()
        long_sender = threading.Thread(target=send_long_ones, args=(long_ones, camera, stop, ends))
        long_sender.start()
        for crowd in crowds:
            assert crowd.stdin is not None
            crowd.stdin.write("\n")
            crowd.stdin.flush()
        found["beside"] = Client(session).ask_for(options.seconds)
        stop.set()
        long_sender.join()
        told = [json.loads(crowd.communicate(timeout=options.seconds + 2 * PATIENCE_S)[0]) for crowd in crowds]
        found["crowds"] = [{key: one[key] for key in ("sent", "ended", "ends", "never", "often")} for one in told]
        found["long"] = dict(ends)
        found["pictures"] = camera.pictures
        found["peak_mb"] = peak_megabytes(node)
    camera.close()
    rclpy.try_shutdown()
    print(json.dumps(found))
    return int(any(one["never"] or one["often"] for one in found["crowds"]))


if __name__ == "__main__":
    sys.exit(main())
