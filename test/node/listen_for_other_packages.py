"""Run by test_other_messages.py beside generated packages: a live node, and what it publishes for them, as JSON."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import uuid
from typing import Any

import numpy as np
import rclpy
from hri_actions_msgs.msg import Intent
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from llava_ov_ros.srv import Plan as PlanService
from llava_ov_ros.srv import ReportStep, SetGoal
from plansys2_msgs.msg import Plan
from rclpy.executors import MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from llava_ov_ros.node.main import spin
from llava_ov_ros.node.messages import to_stamp
from llava_ov_ros.node.node import LlavaOvNode
from llava_ov_ros.onevision import Generated

PATIENCE_S = 60.0
GOAL = "put the mug on the desk"
PLAN = "GotoLocation shelf; PickupObject mug; GotoLocation desk; PutObject mug desk"


class Model:
    """Says the plan, or of it the step that comes next."""

    name = "model"

    def stream(self, clips: Any, asks: Any, **how: Any) -> Any:
        """The answers."""
        for number, ask in enumerate(asks):
            done = 0 if "Done: nothing" in ask.question else 1
            text = PLAN if "Plan?" in ask.question else PLAN.split("; ")[done]
            yield number, Generated(text, (1,), (0.9,), "stop", 9, 0.1, 0.2, end_probability=1.0)

    def prepare(self, clips: Any, **how: Any) -> bool:
        """Has nothing to prepare."""
        return False

    at_once = 1

    def memory_bytes(self) -> int:
        """Holds nothing."""
        return 0

    def may_hold(self) -> dict[str, int]:
        """Needs nothing."""
        return {}

    def counted(self) -> dict[str, int | str]:
        """Computes nothing."""
        return {}

    def close(self) -> None:
        """Has nothing to give back."""


def until(condition: Any, what: str) -> Any:
    give_up_s = time.monotonic() + PATIENCE_S
    pause = threading.Event()
    while not (value := condition()):
        assert time.monotonic() < give_up_s, what
        pause.wait(0.02)
    return value


def main() -> None:
    rclpy.init()
    namespace = f"/t{uuid.uuid4().hex[:12]}"
    given = {
        "plan_grounding": False,
        "hint_period_s": 0.1,
        "max_frame_age_s": 60.0,
        "image_topics": ["camera/image_raw"],
    }
    node = LlavaOvNode(
        load=lambda settings: Model(),
        namespace=namespace,
        parameter_overrides=[Parameter(name, value=value) for name, value in given.items()],
    )
    peer = rclpy.create_node("peer", namespace=namespace)
    plans: list[Plan] = []
    intents: list[Intent] = []
    peer.create_subscription(Plan, "llava_ov/plansys2_plan", plans.append, 10)
    peer.create_subscription(Intent, "llava_ov/intents", intents.append, 10)
    camera = peer.create_publisher(Image, "camera/image_raw", 10)
    for one, executor in ((node, MultiThreadedExecutor(16)), (peer, SingleThreadedExecutor())):
        executor.add_node(one)
        threading.Thread(target=spin, args=(executor, one.get_logger()), daemon=True).start()

    def call(kind: Any, service: str, request: Any) -> Any:
        client = peer.create_client(kind, f"llava_ov/{service}")
        until(client.service_is_ready, service)
        future = client.call_async(request)
        until(future.done, f"the response of {service}")
        return future.result()

    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        assert call(ChangeState, "change_state", ChangeState.Request(transition=Transition(id=transition))).success
    for publisher in node.publishers:
        if publisher.topic_name.endswith(("/plansys2_plan", "/intents")):
            until(publisher.get_subscription_count, publisher.topic_name)
    until(camera.get_subscription_count, "the camera's subscription")
    picture = np.zeros((4, 6, 3), dtype=np.uint8).tobytes()
    header = Header(stamp=to_stamp(time.time_ns()), frame_id="optical")
    camera.publish(Image(header=header, height=4, width=6, encoding="rgb8", step=18, data=picture))
    until(lambda: call(PlanService, "plan", PlanService.Request(goal=GOAL)).plan.steps, "a plan")
    assert call(SetGoal, "set_goal", SetGoal.Request(goal=GOAL)).success
    until(lambda: len(intents) == 1, "the first intent")
    assert call(ReportStep, "step_done", ReportStep.Request(step="GotoLocation shelf")).success
    until(lambda: len(intents) == 2 and plans, "the second intent")
    json.dump(
        {
            "plan": [[item.time, item.action, item.duration] for item in plans[0].items],
            "intents": [
                [one.intent, one.data, one.source, one.modality, one.priority, round(one.confidence, 4)]
                for one in intents
            ],
        },
        sys.stdout,
    )
    sys.stdout.flush()
    # Nothing is left to be tried; the process ends without taking the graph apart.
    os._exit(0)


if __name__ == "__main__":
    main()
