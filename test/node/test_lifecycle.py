"""The managed node's transitions: a model that is not there, impossible transitions, memory, races."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading

import pytest
from action_msgs.msg import GoalStatus
from llava_ov_ros.msg import Answer
from rcl_interfaces.msg import Log

from llava_ov_ros.share import shipped


def test_the_states_of_a_life(rig):
    robot = rig(active=False)
    seen = [robot.state()]
    for label in ("configure", "activate", "deactivate", "activate", "deactivate", "cleanup", "configure"):
        assert robot.transition(label)
        seen.append(robot.state())
    robot.activate()
    seen.append(robot.state())
    assert seen == [
        "unconfigured",
        "inactive",
        "active",
        "inactive",
        "active",
        "inactive",
        "unconfigured",
        "inactive",
        "active",
    ]
    robot.feed(count=1)
    assert robot.ask().status == Answer.OK
    assert robot.transition("shutdown")
    assert robot.state() == "finalized"
    assert robot.ask().status == Answer.INACTIVE


def test_an_impossible_transition_fails_and_the_node_lives_on(rig):
    robot = rig(active=False)
    for label in ("activate", "deactivate", "cleanup"):
        assert not robot.transition(label)
    robot.start()
    assert not robot.transition("configure")
    robot.feed(count=1)
    assert robot.ask().status == Answer.OK


@pytest.mark.parametrize("missing", ["the directory", "model.safetensors", "tokenizer.json", "config.json"])
def test_a_missing_model_is_named_and_a_good_one_heals(rig, tmp_path, missing):
    rooms = shipped("models/rooms")
    model = tmp_path / "my_model"
    if missing != "the directory":
        shutil.copytree(rooms, model, ignore=shutil.ignore_patterns(missing))
    robot = rig(active=False, model=str(model))
    log = robot.listen(Log, "/rosout")
    assert not robot.transition("configure")
    assert robot.state() == "unconfigured"
    status, _ = robot.diagnostic("model", lambda status, values: status.level == status.ERROR)
    error = log.wait(lambda line: line.level == Log.ERROR).msg
    for text in (status.message, error):
        assert text.startswith("cannot load the model: ")
        assert str(model) in text
        assert (missing if missing != "the directory" else "no directory") in text
    assert robot.set(model=str(rooms)).successful
    robot.start()
    robot.feed(count=1)
    assert robot.ask().status == Answer.OK
    status, values = robot.diagnostic("model")
    assert (status.level, status.message, values["model"]) == (status.OK, "loaded", "rooms")


def test_whatever_loading_raises_is_said(rig):
    def fail(settings):
        raise KeyError("vision_config")

    robot = rig(load=fail, active=False)
    assert not robot.transition("configure")
    assert robot.state() == "unconfigured"
    status, _ = robot.diagnostic("model", lambda status, values: status.level == status.ERROR)
    assert status.message == "cannot load the model: KeyError: 'vision_config'"


def test_a_device_of_another_name_is_said(rig):
    robot = rig(active=False, device="tpu9")
    assert not robot.transition("configure")
    status, _ = robot.diagnostic("model", lambda status, values: status.level == status.ERROR)
    assert "device is 'tpu9'" in status.message


def test_buffered_frames_outlive_a_deactivation(rig, scripted):
    robot = rig(load=scripted(lambda *_: "an answer"))
    stamps = robot.feed(count=3)
    assert robot.transition("deactivate")
    assert robot.transition("activate")
    assert len(robot.ask().frames) == len(stamps)


def test_the_subscriptions_end_with_deactivation(rig, scripted, wait_until):
    robot = rig(load=scripted(lambda *_: "an answer"))
    camera = robot.cameras["front"].publisher
    assert robot.transition("deactivate")
    wait_until(lambda: camera.get_subscription_count() == 0, "the end of the subscription")
    assert robot.transition("activate")
    wait_until(lambda: camera.get_subscription_count() == 1, "a new subscription")


def test_transitions_race_with_everything_else(rig, scripted):
    """Diagnostics, parameters, pictures, goals and questions go on while the state changes again and again."""
    robot = rig(
        load=scripted(lambda *_: "an answer"),
        image_qos="match",
        standing_questions=["Now?"],
        standing_period_s=0.05,
    )
    log = robot.listen(Log, "/rosout")
    robot.feed(count=1)
    done = threading.Event()
    statuses, problems = [], []

    def ask():
        try:
            while not done.is_set():
                statuses.append(robot.ask().status)
                status, answer = robot.goal().result()
                statuses.append(answer.status)
                assert status in (GoalStatus.STATUS_SUCCEEDED, GoalStatus.STATUS_ABORTED)
        except Exception as error:  # noqa: BLE001 - told by the test's own thread
            problems.append(error)

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()
    for i in range(12):
        for label in ("deactivate", "cleanup", "configure", "activate") if i % 3 == 0 else ("deactivate", "activate"):
            assert robot.transition(label)
        assert robot.set(standing_period_s=0.05 + i % 2).successful
    done.set()
    for asker in askers:
        asker.join(60)
        assert not asker.is_alive()
    assert problems == []
    assert set(statuses) <= {Answer.OK, Answer.INACTIVE, Answer.NO_FRAMES, Answer.CANCELLED}
    assert robot.transition("deactivate")
    robot.activate()
    robot.feed(count=1)
    assert robot.ask().status == Answer.OK
    robot.diagnostic("queue")
    assert [line.msg for line in log.messages if line.level >= Log.ERROR] == []


def test_a_model_that_is_not_there_is_told_before_torch_is_imported(tmp_path):
    """In a process of its own, since here torch is imported already."""
    check = (
        "import sys, rclpy\n"
        "from rclpy.parameter import Parameter\n"
        "from llava_ov_ros.node.main import LlavaOvNode\n"
        "rclpy.init()\n"
        "node = LlavaOvNode(parameter_overrides=[Parameter('model', value='/nowhere/model')])\n"
        "changed = node.trigger_configure()\n"
        "assert 'no directory /nowhere/model' in node._fault, node._fault\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
        "node.destroy_node()\n"
        "rclpy.shutdown()\n"
        "print(changed.name)"
    )
    # Elsewhere than in the source tree, which has no generated interfaces.
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["FAILURE"]), done.stderr
