"""Plans and hints for other packages: published where these can be imported, and the node needs none of them."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from llava_ov_ros.msg import ActionHint

from llava_ov_ros.node.other_messages import OtherMessages, message_types
from llava_ov_ros.planning import find_vocabulary, load_vocabulary, split_line

GOAL = "put the mug on the desk"


@dataclass
class PlanItem:
    """The fields of plansys2_msgs/msg/PlanItem."""

    time: float = 0.0
    action: str = ""
    duration: float = 0.0


@dataclass
class Plan:
    """The fields of plansys2_msgs/msg/Plan, the newest version's `structure` included."""

    items: list[PlanItem] = field(default_factory=list)
    structure: list[int] = field(default_factory=list)


@dataclass
class Intent:
    """The fields of hri_actions_msgs/msg/Intent."""

    intent: str = ""
    data: str = ""
    source: str = ""
    modality: str = ""
    priority: int = 0
    confidence: float = 0.0


class Node:
    """In the place of a node: notes what it is to publish, and what it warns of."""

    def __init__(self):
        self.published, self.warned = {}, []

    def create_publisher(self, kind, topic, depth):
        """A publisher that keeps what it publishes."""
        kept = self.published.setdefault(topic, [])

        def publish(message):
            assert isinstance(message, kind)
            kept.append(message)

        return SimpleNamespace(publish=publish)

    def get_logger(self):
        """Keeps warnings."""
        return SimpleNamespace(warning=self.warned.append)


@pytest.fixture
def install(monkeypatch):
    """Makes a package of messages importable: `install("plansys2_msgs", Plan, ...)`."""

    def make(package, *types):
        module = ModuleType(f"{package}.msg")
        for one in types:
            setattr(module, one.__name__, one)
        monkeypatch.setitem(sys.modules, package, ModuleType(package))
        monkeypatch.setitem(sys.modules, f"{package}.msg", module)

    return make


@pytest.fixture(scope="module")
def alfred():
    return load_vocabulary(find_vocabulary("alfred"))


def hint(step="", kind=ActionHint.STEP, **fields):
    action, *arguments = step.split(" ")
    return ActionHint(goal=GOAL, hint=kind, action=action, arguments=arguments, confidence=0.75, **fields)


def test_an_accepted_plan_for_plansys2(install, alfred):
    install("plansys2_msgs", Plan, PlanItem)
    node = Node()
    others = OtherMessages(node)
    assert list(node.published) == ["~/plansys2_plan"]
    others.plan(split_line("GotoLocation shelf; PickupObject mug"), alfred)
    assert node.published["~/plansys2_plan"] == [
        Plan([PlanItem(0.0, "(gotolocation shelf)", 1.0), PlanItem(1.0, "(pickupobject mug)", 1.0)])
    ]
    others.hint(hint("PickupObject mug"), object(), alfred)
    assert node.warned == []


def test_a_hint_as_an_intent_once_for_each_turn(install, alfred):
    install("hri_actions_msgs", Intent)
    node = Node()
    others = OtherMessages(node)
    assert list(node.published) == ["~/intents"]
    first, second = object(), object()
    others.hint(hint("GotoLocation shelf"), first, alfred)
    others.hint(hint("GotoLocation shelf"), first, alfred)
    others.hint(hint("PickupObject mug"), first, alfred)
    # A model that wavers between two steps has neither acted on twice.
    others.hint(hint("GotoLocation shelf"), first, alfred)
    others.hint(hint("PickupObject mug"), second, alfred)
    found = [(one.intent, json.loads(one.data), one.confidence) for one in node.published["~/intents"]]
    grab = ("__intent_grab_object__", {"object": "mug"}, 0.75)
    assert found == [("__intent_move_to__", {"goal": "shelf"}, 0.75), grab, grab]
    others.plan(split_line("GotoLocation shelf"), alfred)


@pytest.mark.parametrize("kind", [ActionHint.NONE, ActionHint.DONE, ActionHint.UNSURE, ActionHint.CANNOT_TELL])
def test_what_is_no_step_to_be_done_is_no_intent(install, alfred, kind):
    install("hri_actions_msgs", Intent)
    node = Node()
    others = OtherMessages(node)
    others.hint(hint("PickupObject mug" if kind == ActionHint.UNSURE else "", kind), object(), alfred)
    others.hint(hint("PutObject mug desk", violations=["nothing is held"]), object(), alfred)
    assert node.published["~/intents"] == []


def test_without_the_packages_there_is_nothing(monkeypatch, alfred):
    for package in ("plansys2_msgs", "hri_actions_msgs"):
        if importlib.util.find_spec(package) is not None:
            pytest.skip(f"{package} is installed")
        assert message_types(package, "Plan") is None
    node = Node()
    others = OtherMessages(node)
    others.plan(split_line("GotoLocation shelf"), alfred)
    others.hint(hint("PickupObject mug"), object(), alfred)
    assert (node.published, node.warned) == ({}, [])


def test_a_package_that_cannot_be_used_is_a_warning(install, tmp_path, monkeypatch):
    install("plansys2_msgs", Plan)
    node = Node()
    OtherMessages(node)
    assert node.published == {}
    assert node.warned == ["not published for other packages: plansys2_msgs.msg has no PlanItem"]
    broken = tmp_path / "broken_msgs"
    broken.mkdir()
    (broken / "__init__.py").write_text("")
    (broken / "msg.py").write_text("import nothing_of_this_name\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="nothing_of_this_name"):
        message_types("broken_msgs", "Plan")


# Names and fields of the messages, as in PlanSys2/ros2_planning_system and ros4hri/hri_actions_msgs.
DEFINITIONS = {
    "plansys2_msgs": {
        "PlanItem": "float32 time\nstring action\nfloat32 duration\n",
        "Plan": "plansys2_msgs/PlanItem[] items\n",
    },
    "hri_actions_msgs": {
        "Intent": "string intent\nstring data\nstring source\nstring modality\nuint8 priority\nfloat32 confidence\n",
    },
}


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_live_node_beside_generated_packages(tmp_path):
    for package, messages in DEFINITIONS.items():
        if importlib.util.find_spec(package) is not None:
            pytest.skip(f"{package} is installed")
        folder = tmp_path / "src" / package
        (folder / "msg").mkdir(parents=True)
        for name, text in messages.items():
            (folder / "msg" / f"{name}.msg").write_text(text)
        files = " ".join(f"msg/{name}.msg" for name in messages)
        (folder / "CMakeLists.txt").write_text(
            f"cmake_minimum_required(VERSION 3.16)\nproject({package})\nfind_package(ament_cmake REQUIRED)\n"
            "find_package(rosidl_default_generators REQUIRED)\n"
            f"rosidl_generate_interfaces(${{PROJECT_NAME}} {files})\nament_package()\n"
        )
        (folder / "package.xml").write_text(
            f'<package format="3"><name>{package}</name><version>0.0.0</version><description>of a test</description>'
            '<maintainer email="a@example.org">a test</maintainer><license>Apache-2.0</license>'
            "<buildtool_depend>ament_cmake</buildtool_depend><build_depend>rosidl_default_generators</build_depend>"
            "<exec_depend>rosidl_default_runtime</exec_depend>"
            "<member_of_group>rosidl_interface_packages</member_of_group>"
            "<export><build_type>ament_cmake</build_type></export></package>"
        )
    cmake = f"-DBUILD_TESTING=OFF -DPython3_EXECUTABLE={sys.executable}"
    built = subprocess.run(
        ["bash", "-c", f"CMAKE_PREFIX_PATH=$AMENT_PREFIX_PATH:$CMAKE_PREFIX_PATH colcon build --cmake-args {cmake}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    beside = Path(__file__).with_name("listen_for_other_packages.py")
    # A new interpreter must look for libraries anew.
    environment = {name: value for name, value in os.environ.items() if name != "_ROS_WHEELS_BOOTSTRAP_COMPLETE"}
    ended = subprocess.run(
        ["bash", "-c", f"source install/local_setup.bash && exec {sys.executable} -P {beside}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment,
        timeout=200,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found["plan"] == [
        [0.0, "(gotolocation shelf)", 1.0],
        [1.0, "(pickupobject mug)", 1.0],
        [2.0, "(gotolocation desk)", 1.0],
        [3.0, "(putobject mug desk)", 1.0],
    ]
    of_the_robot = ["__myself__", "__modality_internal__", 128, 0.9]
    assert found["intents"] == [
        ["__intent_move_to__", '{"goal": "shelf"}', *of_the_robot],
        ["__intent_grab_object__", '{"object": "mug"}', *of_the_robot],
    ]
