"""The programs in examples/, as clients of a real node."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
END_S = 100.0


def example(name, *arguments, typed=None):
    """Runs a program of the examples to its end, with what a person types."""
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    return subprocess.run(command, input=typed, capture_output=True, text=True, timeout=END_S, check=False)


def test_a_question_by_the_example(rig, scripted):
    robot = rig(load=scripted(lambda clips, question, on_text, should_stop: "a red mug"))
    robot.feed()
    ended = example("ask.py", "What is there?", "--node", robot.name)
    assert (ended.returncode, ended.stdout) == (0, "a red mug  (confidence 0.50, from 4 frames)\n"), ended.stderr


def test_a_refusal_by_the_example(rig, scripted):
    robot = rig(load=scripted(lambda clips, question, on_text, should_stop: "a red mug"))
    ended = example("ask.py", "What is there?", "--node", robot.name)
    assert ended.returncode == 1, ended.stderr
    assert ended.stdout.startswith("no answer (status 3): camera 'front'")


def test_the_example_without_a_node():
    ended = example("ask.py", "What is there?", "--node", "/nobody", "--wait", "0.2")
    assert (ended.returncode, "/nobody" in ended.stdout) == (2, True), ended.stderr


@pytest.mark.parametrize("goal", ["put the mug on the desk", ""])
def test_hints_are_followed_by_the_example(rig, scripted, goal):
    def script(clips, question, on_text, should_stop):
        done = question.partition("Done: ")[2].count(";") + ("nothing" not in question)
        return ["GotoLocation shelf", "PickupObject mug", "DONE"][min(done, 2)]

    robot = rig(load=scripted(script), hint_period_s=0.05, hint_confidence=0.2)
    robot.feed()
    where = ("--ros-args", "-r", f"__ns:={robot.namespace}")
    ended = example("follow_hints.py", goal, *where, typed="yes\nyes\n")
    if not goal:
        assert ended.returncode == 1
        assert "goal is empty" in ended.stderr
        return
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == ["GotoLocation shelf", "PickupObject mug", "done"]
