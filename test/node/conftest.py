"""A live node and a client beside it: real rclpy, real Fast DDS, the package's own messages."""

from __future__ import annotations

import array
import gc
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from llava_ov_ros.action import Ask as AskAction
from llava_ov_ros.action import Plan as PlanAction
from llava_ov_ros.msg import Answer, Plan
from llava_ov_ros.srv import Ask as AskService
from llava_ov_ros.srv import ClearGoal, ReportStep, SetGoal
from llava_ov_ros.srv import Plan as PlanService
from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.executors import MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from llava_ov_ros.frames.message_types import TRANSPORTS, appends
from llava_ov_ros.node.image_messages import message_class
from llava_ov_ros.node.main import spin
from llava_ov_ros.node.messages import to_stamp
from llava_ov_ros.node.node import LlavaOvNode, load_from
from llava_ov_ros.onevision import Counters, Generated
from llava_ov_ros.onevision.generated import weighed
from llava_ov_ros.onevision.shapes import nano_config, write_random_checkpoint
from llava_ov_ros.share import shipped

# The node collects garbage when it gives a model up: not each time through all of torch.
gc.freeze()

S = 1_000_000_000
PATIENCE_S = 40.0
"""How long to wait for what must come; only a failing test waits so long."""
TRANSITIONS = {
    "configure": Transition.TRANSITION_CONFIGURE,
    "activate": Transition.TRANSITION_ACTIVATE,
    "deactivate": Transition.TRANSITION_DEACTIVATE,
    "cleanup": Transition.TRANSITION_CLEANUP,
    "shutdown": Transition.TRANSITION_ACTIVE_SHUTDOWN,
}


def until(condition: Callable[[], Any], what: str, timeout_s: float = PATIENCE_S) -> Any:
    """Wait for something of the graph that tells nobody when it changes; return what it is then."""
    pause = threading.Event()
    give_up_s = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < give_up_s, f"not within {timeout_s:g} s: {what}"
        pause.wait(0.005)
    return value


def result_of(future: Any, timeout_s: float = PATIENCE_S) -> Any:
    """What an rclpy future brings."""
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    assert done.wait(timeout_s), f"no response within {timeout_s:g} s"
    return future.result()


class Heard:
    """What has come on a topic, in order."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self._more = threading.Condition()

    def take(self, message: Any) -> None:
        """Note a message and wake whoever waits for it."""
        with self._more:
            self.messages.append(message)
            self._more.notify_all()

    def wait(self, wanted: Callable[[Any], bool] = lambda message: True, after: int = 0) -> Any:
        """The first message, not counting the first `after`, that is as wanted."""

        def found() -> list[Any]:
            return [message for message in self.messages[after:] if wanted(message)]

        with self._more:
            seen = self._more.wait_for(found, PATIENCE_S)
            assert seen, f"none of {len(self.messages)} messages is it; the last are {self.messages[-2:]}"
            return found()[0]

    def wait_for_count(self, count: int) -> list[Any]:
        """All messages, once there are so many."""
        with self._more:
            enough = self._more.wait_for(lambda: len(self.messages) >= count, PATIENCE_S)
            assert enough, f"{len(self.messages)} messages instead of {count}"
            return list(self.messages)


class CameraDriver:
    """Publishes pictures like a camera's driver; no two are alike unless a test gives them."""

    def __init__(self, peer: Any, topic: str, transport: str, reliable: bool) -> None:
        self._peer = peer
        self._raw = transport == "raw"
        self.topic = f"{topic}/{transport}" if appends(transport) else topic
        self.kind = message_class(TRANSPORTS.get(transport, transport))
        qos = QoSProfile(
            depth=100, reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        )
        self.publisher = peer.create_publisher(self.kind, self.topic, qos)
        self._random = np.random.default_rng(3)
        self.sent = 0

    def picture(self) -> np.ndarray:
        """Soft blocks of random colours, uint8 (48, 64, 3)."""
        blocks = self._random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        return cv2.resize(blocks, (64, 48), interpolation=cv2.INTER_LINEAR)

    def send_packet(self, stamp_ns: int, data: bytes, codec: str = "h264") -> None:
        """Publish a packet of a video; transports of which each message holds a picture by itself have `send`."""
        header = Header(stamp=to_stamp(stamp_ns), frame_id="optical")
        octets = array.array("B", data)
        if hasattr(self.kind, "pts"):
            message = self.kind(header=header, width=320, height=240, encoding=f"{codec};yuv420p;bgr8", data=octets)
        elif hasattr(self.kind, "timestamp"):
            message = self.kind(timestamp=header.stamp, frame_id=header.frame_id, format=codec, data=octets)
        else:
            message = self.kind(header=header, format=codec, data=octets)
        self.publisher.publish(message)
        self.sent += 1

    def send(self, stamp_ns: int, picture: np.ndarray | None = None, **fields: Any) -> int:
        """Publish one picture, fields of the message replaced by those given; returns the stamp."""
        rgb = self.picture() if picture is None else picture
        header = Header(stamp=to_stamp(stamp_ns), frame_id=f"{self.topic.strip('/').replace('/', '_')}_optical")
        if self._raw:
            height, width = rgb.shape[:2]
            content = {"height": height, "width": width, "encoding": "rgb8", "step": 3 * width, "data": rgb.tobytes()}
            self.publisher.publish(Image(header=header, **{**content, **fields}))
        else:
            data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes()
            self.publisher.publish(CompressedImage(header=header, **{"format": "jpeg", "data": data, **fields}))
        self.sent += 1
        return stamp_ns


class Goal:
    """A goal of an action on its way.

    Attributes:
        feedback: What has come of it, in order.
    """

    def __init__(self, client: ActionClient, executor: SingleThreadedExecutor, goal: Any) -> None:
        self._executor = executor
        self._chunks = Heard()
        self.feedback = Heard()

        def take(message: Any) -> None:
            self.feedback.take(message.feedback)
            if isinstance(message.feedback, AskAction.Feedback):
                self._chunks.take(message.feedback.chunk)

        self._handle = result_of(self._begun(lambda: client.send_goal_async(goal, take)))
        assert self._handle.accepted
        self._result = self._begun(self._handle.get_result_async)

    def _begun(self, call: Callable[[], Any]) -> Any:
        """The future of a call, which is made in the executor's thread.

        rclpy's action client sends first and takes note afterwards: a response that another thread takes in between
        is nobody's.
        """
        return result_of(self._executor.create_task(call))

    @property
    def chunks(self) -> Heard:
        """The pieces of an answer so far."""
        return self._chunks

    def cancel(self) -> int:
        """Ask for the goal's end; how many goals are being cancelled."""
        return len(result_of(self._begun(self._handle.cancel_goal_async)).goals_canceling)

    def result(self) -> tuple[int, Any]:
        """Status of the goal (action_msgs/GoalStatus), and the answer or plan."""
        response = result_of(self._result)
        kind = "answer" if isinstance(response.result, AskAction.Result) else "plan"
        return response.status, getattr(response.result, kind)

    def is_done(self) -> bool:
        """Whether the result has come."""
        return self._result.done()


class Peer:
    """A client of one node, with cameras; the node runs in this process or in another.

    Attributes:
        name: The node's fully qualified name.
        cameras: What publishes for the node, by the cameras' names.
        parameters: What the node is to be started with.
        remapping: ROS arguments that it is to be started with.
    """

    def __init__(self, cameras: Mapping[str, str], reliable: bool, given: Mapping[str, Any]) -> None:
        self.context = Context()
        rclpy.init(context=self.context, signal_handler_options=SignalHandlerOptions.NO)
        self.namespace = f"/t{uuid.uuid4().hex[:12]}"
        self.name = f"{self.namespace}/llava_ov"
        self.node = rclpy.create_node("peer", context=self.context, namespace=self.namespace)
        topics = [f"{self.namespace}/{name}/image_raw" for name in cameras]
        self.cameras = {
            name: CameraDriver(self.node, topic, transport, reliable)
            for (name, transport), topic in zip(cameras.items(), topics, strict=True)
        }
        self.parameters: dict[str, Any] = {
            "cameras": list(cameras) or ["camera"],
            "image_topics": topics,
            # Every frame stays in the clip, so that a test sees all that it has sent.
            "clip_spacing_s": 0.0,
            "image_transport": list(cameras.values()),
            # None of a test's frames may be lost or left out, or grow old while a busy machine is slow.
            "image_qos_depth": 100,
            "admission_rate_hz": 0.0,
            "max_frame_age_s": 60.0,
            "diagnostics_period_s": 0.1,
            **given,
        }
        self.diagnostics = Heard()
        # Two nodes of one test have the same name, and their diagnostics must not be taken for one another's.
        diagnostics = f"{self.namespace}/diagnostics"
        self.remapping = ["-r", f"/diagnostics:={diagnostics}"]
        self.node.create_subscription(DiagnosticArray, diagnostics, self.diagnostics.take, 100)
        self._service = self.node.create_client(AskService, f"{self.name}/ask")
        every = QoSProfile(depth=5000)
        self._action = ActionClient(self.node, AskAction, f"{self.name}/ask", feedback_sub_qos_profile=every)
        self._plan_service = self.node.create_client(PlanService, f"{self.name}/plan")
        self._plan_action = ActionClient(self.node, PlanAction, f"{self.name}/plan", feedback_sub_qos_profile=every)
        self._goal_services = {
            kind: self.node.create_client(kind, f"{self.name}/{name}")
            for kind, name in ((SetGoal, "set_goal"), (ClearGoal, "clear_goal"), (ReportStep, "step_done"))
        }
        self._change_state = self.node.create_client(ChangeState, f"{self.name}/change_state")
        self._get_state = self.node.create_client(GetState, f"{self.name}/get_state")
        self._parameters = AsyncParameterClient(self.node, self.name)
        self._clock = self.node.create_publisher(Clock, "/clock", 10)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._spinner = threading.Thread(target=spin, args=(self._executor, self.node.get_logger()), daemon=True)
        self._spinner.start()

    @staticmethod
    def outcome(future: Any) -> Any:
        """What an rclpy future brings."""
        return result_of(future)

    def close(self) -> None:
        """Leave the graph."""
        self._action.destroy()
        self._plan_action.destroy()
        self._executor.shutdown(timeout_sec=2.0)
        self._spinner.join(10)
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)

    def meet(self) -> None:
        """Wait until the node's services are there."""
        services = (self._service, self._plan_service, *self._goal_services.values())
        for client in (*services, self._change_state, self._get_state):
            until(client.service_is_ready, f"service {client.srv_name}")
        until(self._action.server_is_ready, "the action server")
        until(self._plan_action.server_is_ready, "the action server of plans")
        until(self._parameters.services_are_ready, "the parameter services")

    def listen(self, kind: type, topic: str) -> Heard:
        """Subscribe to a topic; a name without / is one of the node's own."""
        heard = Heard()
        full = topic if topic.startswith("/") else f"{self.name}/{topic}"
        subscription = self.node.create_subscription(kind, full, heard.take, 5000)
        until(subscription.get_publisher_count, f"publisher of {full}")
        return heard

    def transition_later(self, label: str) -> Any:
        """Ask the service for a transition, and return the future of its response."""
        if label == "configure":
            for camera in self.cameras.values():
                # The node counts from here on.
                camera.sent = 0
        request = ChangeState.Request(transition=Transition(id=TRANSITIONS[label]))
        return self._change_state.call_async(request)

    def transition(self, label: str) -> bool:
        """Take the node through a transition, by the service; whether it succeeded."""
        return result_of(self.transition_later(label)).success

    def state(self) -> str:
        """The lifecycle state's label, such as active."""
        return result_of(self._get_state.call_async(GetState.Request())).current_state.label

    def start(self) -> None:
        """Configure and activate, and wait until the cameras are heard."""
        assert self.transition("configure")
        self.activate()

    def activate(self) -> None:
        """Activate the inactive node, and wait until no picture that a camera sends can be lost to discovery.

        The node knows the publishers before it subscribes, so that it does not subscribe anew for their reliability,
        and the publishers have forgotten the subscriptions of an earlier life, so that those that they count are new.
        """
        for name, camera in self.cameras.items():
            until(
                lambda c=camera: c.publisher.get_subscription_count() == 0, f"the end of {camera.topic}'s subscription"
            )
            self.diagnostic(f"camera {name}", lambda status, values: values["publishers"] == "1")
        assert self.transition("activate")
        for name, camera in self.cameras.items():
            until(camera.publisher.get_subscription_count, f"the node's subscription of {camera.topic}")
            self.diagnostic(f"camera {name}", lambda status, values: values["publishers"] == values["matched"] == "1")

    def ask_later(self, question: str = "What colour is the pan?", **fields: Any) -> Any:
        """Call the service and return the future of its response."""
        return self._service.call_async(AskService.Request(question=question, **fields))

    def ask(self, question: str = "What colour is the pan?", **fields: Any) -> Answer:
        """Call the service and wait for the answer."""
        return result_of(self.ask_later(question, **fields)).answer

    def goal(self, question: str = "What colour is the pan?", **fields: Any) -> Goal:
        """Send a goal to the action."""
        return Goal(self._action, self._executor, AskAction.Goal(question=question, **fields))

    def plan_later(self, goal: str = "put the mug on the desk", **fields: Any) -> Any:
        """Call the service for plans and return the future of its response."""
        return self._plan_service.call_async(PlanService.Request(goal=goal, **fields))

    def plan(self, goal: str = "put the mug on the desk", **fields: Any) -> Plan:
        """Call the service for plans and wait for the plan."""
        return result_of(self.plan_later(goal, **fields)).plan

    def plan_goal(self, goal: str = "put the mug on the desk", **fields: Any) -> Goal:
        """Send a goal to the action for plans."""
        return Goal(self._plan_action, self._executor, PlanAction.Goal(goal=goal, **fields))

    def tell(self, request: Any) -> Any:
        """Call one of the services that set a goal, clear it or report a step; its response."""
        kind = next(kind for kind in self._goal_services if isinstance(request, kind.Request))
        return result_of(self._goal_services[kind].call_async(request))

    def set(self, **values: Any) -> SetParametersResult:
        """Set parameters, all at once."""
        parameters = [Parameter(name, value=value) for name, value in values.items()]
        return result_of(self._parameters.set_parameters_atomically(parameters)).result

    def load_later(self, path: Path) -> Any:
        """Future of the response to setting the parameters of a file, as `ros2 param load` sets them."""
        return self._parameters.load_parameter_file(str(path))

    def get_later(self, *names: str) -> Any:
        """Future of the values of parameters."""
        return self._parameters.get_parameters(list(names))

    def describe(self) -> list[ParameterDescriptor]:
        """Descriptions of all the node's parameters."""
        names = result_of(self._parameters.list_parameters()).result.names
        return result_of(self._parameters.describe_parameters(names)).descriptors

    def feed(self, *names: str, count: int = 4, period_s: float = 0.5, newest_ns: int | None = None) -> list[int]:
        """Send pictures of some cameras (of all) with even stamps up to now, and wait until they have arrived."""
        newest_ns = time.time_ns() if newest_ns is None else newest_ns
        stamps = [newest_ns - round(i * period_s * S) for i in reversed(range(count))]
        for stamp in stamps:
            for name in names or self.cameras:
                self.cameras[name].send(stamp)
        for name in names or self.cameras:
            self.wait_until_received(name)
        return stamps

    def wait_until_received(self, name: str) -> dict[str, str]:
        """Wait for all that a camera has sent; the diagnostics' values then."""
        sent = self.cameras[name].sent
        return self.diagnostic(f"camera {name}", lambda status, values: int(values["received"]) >= sent)[1]

    def diagnostic(
        self, part: str, wanted: Callable[[DiagnosticStatus, dict[str, str]], bool] = lambda status, values: True
    ) -> tuple[DiagnosticStatus, dict[str, str]]:
        """Wait for a diagnostic of the node's part (model, queue, camera NAME), published from now on, as wanted."""

        def find(message: DiagnosticArray) -> Any:
            for status in message.status:
                values = {pair.key: pair.value for pair in status.values}
                if status.name == f"{self.name}: {part}" and wanted(status, values):
                    return status, values
            return None

        return find(self.diagnostics.wait(find, after=len(self.diagnostics.messages)))

    def tick(self, time_ns: int) -> None:
        """Publish a time on /clock."""
        self._clock.publish(Clock(clock=to_stamp(time_ns)))


class Rig(Peer):
    """A client and, in another executor of the same process, the node.

    Attributes:
        live: The node under test.
    """

    def __init__(
        self,
        load: Callable[..., Any],
        cameras: Mapping[str, str],
        reliable: bool,
        given: Mapping[str, Any],
        remap: Mapping[str, str],
    ) -> None:
        super().__init__(cameras, reliable, given)
        self._ended = False
        self.remapping += [part for old, new in remap.items() for part in ("-r", f"{old}:={new}")]
        try:
            self.live = LlavaOvNode(
                load=load,
                context=self.context,
                namespace=self.namespace,
                cli_args=["--ros-args", *self.remapping],
                use_global_arguments=False,
                parameter_overrides=[Parameter(name, value=value) for name, value in self.parameters.items()],
            )
        except BaseException:
            super().close()
            raise
        self._live_executor = MultiThreadedExecutor(64, context=self.context)
        self._live_executor.add_node(self.live)
        self._live_spinner = threading.Thread(
            target=spin, args=(self._live_executor, self.live.get_logger()), daemon=True
        )
        self._live_spinner.start()
        self.meet()
        for action in ("ask", "plan"):
            feedback = f"{self.name}/{action}/_action/feedback"
            until(lambda topic=feedback: self.live.count_subscribers(topic), f"the discovery of who hears {feedback}")

    def end_node(self) -> None:
        """End the node, once."""
        if not self._ended:
            self._ended = True
            self.live.destroy_node()

    def close(self) -> None:
        """End the node, then leave."""
        self.end_node()
        self._live_executor.shutdown(timeout_sec=2.0)
        self._live_spinner.join(10)
        super().close()

    def listen(self, kind: type, topic: str) -> Heard:
        """Subscribe to a topic, and wait until the node knows."""
        heard = super().listen(kind, topic)
        full = topic if topic.startswith("/") else f"{self.name}/{topic}"
        until(lambda: self.live.count_subscribers(full), f"the node's discovery of who hears {full}")
        for publisher in self.live.publishers:
            if publisher.topic_name == full:
                until(publisher.get_subscription_count, f"the subscription of {full}")
        return heard

    def set_clock(self, time_ns: int) -> None:
        """Publish a time on /clock, and wait until the node has it (parameter use_sim_time)."""

        def arrived() -> bool:
            # What is published before the node knows this publisher is lost.
            self.tick(time_ns)
            return self.live.get_clock().now().nanoseconds == time_ns

        until(arrived, f"the node's clock at {time_ns}")


class Scripted:
    """In the model's place: does what a test's function does.

    The function gets the clips, the question, `on_text` and `should_stop`; it returns the text (of choices, one), or
    raises. A text has the probability 0.25, a choice is the likeliest.
    """

    name = "scripted"

    def __init__(self, script: Callable[..., str]) -> None:
        self._script = script

    def ask(self, question: str, **how: Any) -> tuple[str, dict[str, Any]]:
        """One question, as `stream` takes it."""
        return question, how

    def stream(self, clips: Any, asks: Any, **how: Any) -> Iterator[tuple[int, Generated]]:
        """Runs the function for each question."""
        for number, (question, ask) in enumerate(asks):
            text = self._script(clips, question, ask["on_text"], ask["should_stop"])
            given = ask.get("choices") or ()
            choices = weighed(given, [0.0 if choice == text else -3.0 for choice in given]) if given else ()
            finish = ask["should_stop"]() or "stop"
            yield number, Generated(text, (1, 2), (0.5, 0.5), finish, 10, 0.1, 0.2, choices=choices)

    def prepare(self, clips: Any, **how: Any) -> bool:
        """Has nothing to prepare."""
        return False

    def memory_bytes(self) -> int:
        """Holds nothing."""
        return 0

    def planned_bytes(self) -> int:
        """Needs nothing."""
        return 0

    def counters(self) -> Counters:
        """Computes nothing."""
        return Counters(0, 0, 0, 0, 0, 0, 0, 0, 0)

    def close(self) -> None:
        """Has nothing to give back."""


@pytest.fixture
def rig() -> Iterator[Callable[..., Rig]]:
    """Starts nodes: `rig(load=..., cameras={name: transport}, reliable=True, remap={old: new}, **parameters)`."""
    rigs: list[Rig] = []

    def start(
        load: Callable[..., Any] = load_from,
        cameras: Mapping[str, str] | None = None,
        reliable: bool = True,
        active: bool = True,
        remap: Mapping[str, str] | None = None,
        **parameters: Any,
    ) -> Rig:
        one = Rig(load, {"front": "raw"} if cameras is None else cameras, reliable, parameters, remap or {})
        rigs.append(one)
        if active:
            one.start()
        return one

    yield start
    while rigs:
        rigs.pop().close()
    # The rest of a managed node goes with its memory: here, while no thread of another node runs.
    gc.collect()


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    """Makes clients of nodes in other processes: `peer(cameras={name: transport}, **parameters)`."""
    peers: list[Peer] = []

    def make(cameras: Mapping[str, str] | None = None, reliable: bool = True, **parameters: Any) -> Peer:
        peers.append(Peer({"front": "raw"} if cameras is None else cameras, reliable, parameters))
        return peers[-1]

    yield make
    for one in peers:
        one.close()


@pytest.fixture(scope="session")
def scripted() -> Callable[..., Any]:
    """Makes the `load` of a node whose model is a function: `scripted(lambda clips, question, on_text, stop: text)`."""
    return lambda script: lambda settings: Scripted(script)


def _checkpoint(directory: Path, layers: int) -> str:
    config = nano_config()
    config.text_config.num_hidden_layers = layers
    config.text_config.layer_types = ["full_attention"] * layers
    rooms = shipped("models/rooms")
    assert rooms is not None
    write_random_checkpoint(config, rooms / "tokenizer.json", directory, seed=1)
    return str(directory)


@pytest.fixture(scope="session")
def nano(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Directory of a checkpoint whose answers have exactly max_new_tokens tokens, a millisecond each."""
    return _checkpoint(tmp_path_factory.mktemp("models") / "nano", layers=2)


@pytest.fixture(scope="session")
def endless(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Directory of a checkpoint whose longest answer (4096 tokens) takes half a minute: no test waits for its end."""
    return _checkpoint(tmp_path_factory.mktemp("models") / "endless", layers=24)


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., Any]:
    """Waits for a condition of the graph: `wait_until(condition, what)`."""
    return until
