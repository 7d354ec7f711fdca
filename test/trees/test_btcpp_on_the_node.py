"""The tree of a plan, ticked by the real BehaviorTree.CPP: the node decides its conditions, and steps are reported."""

from __future__ import annotations

from xml.etree import ElementTree
from xml.etree.ElementTree import SubElement

import behaviortreepy as bt
import pytest
import rclpy
from fixtures.mug_episode import GOAL, STEPS
from llava_ov_ros.msg import ActionHint

from llava_ov_ros.clients import AskClient, HintClient, PlanClient
from llava_ov_ros.planning import Step, find_vocabulary, load_vocabulary
from llava_ov_ros.planning.btcpp import plan_tree
from llava_ov_ros.questions import find_prompts, load_prompts


def with_portless_leaves(text):
    """The tree for nodes registered from Python, which behaviortreepy cannot give ports.

    Each node becomes a subtree of its name, with the same attributes, in which a leaf reads them from the blackboard.
    """
    root = ElementTree.fromstring(text)
    leaves = {}
    for node in root.find("BehaviorTree/Sequence"):
        leaves[node.get("ID")] = node.tag
        node.tag = "SubTree"
    root.remove(root.find("TreeNodesModel"))
    for name, kind in leaves.items():
        SubElement(SubElement(root, "BehaviorTree", ID=name), kind, ID=f"{name}Leaf")
    return ElementTree.tostring(root, encoding="unicode")


class Skills:
    """What a robot registers: a condition that asks the node, and actions whose ends are reported to the node."""

    def __init__(self, robot, node, tree):
        self.robot, self.done, self.halted = robot, [], []
        self._ask, self.hints = AskClient(node), HintClient(node)
        self._factory = bt.BehaviorTreeFactory()
        self._factory.register_simple_condition("AskChoiceLeaf", self._seen)
        actions = {step.split()[0]: ("place",) for step in STEPS}
        actions |= {"PickupObject": ("object",), "PutObject": ("object", "receptacle")}
        for name, ports in actions.items():
            begin = lambda leaf, n=name, p=ports: self._begin(leaf, n, p)  # noqa: E731
            self._factory.register_simple_stateful_action(f"{name}Leaf", begin, self._finish, self._halt)
        self.tree = self._factory.create_tree_from_text(with_portless_leaves(tree))
        self._step = ""

    def _seen(self, leaf):
        given = leaf.config().blackboard
        answer = self._ask.ask(given.get_string("question"), kind="yes_no").wait()
        wanted = answer.yes == (given.get_string("expects") == "yes")
        sure = answer.confidence >= float(given.get_string("confidence"))
        return bt.NodeStatus.SUCCESS if answer.known and wanted and sure else bt.NodeStatus.FAILURE

    def _begin(self, leaf, name, ports):
        self._step = " ".join((name, *map(leaf.config().blackboard.get_string, ports)))
        self.robot.show(STEPS.index(self._step) + 1)
        return bt.NodeStatus.RUNNING

    def _finish(self, leaf):
        self.hints.report_done(self._step).wait()
        self.done.append(self._step)
        return bt.NodeStatus.SUCCESS

    def _halt(self, leaf):
        self.halted.append(self._step)


@pytest.fixture
def node(mug_robot):
    """A node of a program, which nobody spins."""
    mug_robot.show(0)
    made = rclpy.create_node("btcpp", context=mug_robot.context, namespace=mug_robot.namespace)
    yield made
    made.destroy_node()


@pytest.fixture
def tree(node):
    """The tree of the plan that the node makes for the goal."""
    alfred, plain = load_vocabulary(find_vocabulary("alfred")), load_prompts(find_prompts("plain"))
    plan = PlanClient(node).plan(GOAL).wait()
    steps = [Step(one.action, tuple(one.arguments)) for one in plan.steps]
    assert list(map(str, steps)) == list(STEPS)
    return plan_tree(GOAL, steps, alfred, plain)


def test_from_the_goal_to_done(mug_robot, node, tree):
    skills = Skills(mug_robot, node, tree)
    skills.hints.set_goal(GOAL).wait()
    assert skills.tree.tick_while_running() == bt.NodeStatus.SUCCESS
    assert skills.done == list(STEPS)
    assert skills.hints.next_step().wait().hint == ActionHint.DONE
    skills.hints.clear().wait()


def test_halted_in_the_middle_of_a_step(mug_robot, node, tree):
    skills = Skills(mug_robot, node, tree)
    assert skills.tree.tick_exactly_once() == bt.NodeStatus.RUNNING
    skills.tree.halt_tree()
    assert (skills.halted, skills.done) == ([STEPS[0]], [])


def test_without_the_thing_no_step_is_begun(mug_robot, node, tree):
    gone = tree.replace("Is there a mug?", "Is there an apple?")
    skills = Skills(mug_robot, node, gone)
    skills.hints.set_goal(GOAL).wait()
    assert skills.tree.tick_while_running() == bt.NodeStatus.FAILURE
    assert skills.done == [STEPS[0]]
    skills.hints.clear().wait()
