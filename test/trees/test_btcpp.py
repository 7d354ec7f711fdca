"""Plans as trees of BehaviorTree.CPP: what is in the file, what is refused, and what the real library reads of it."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import behaviortreepy as bt
import pytest

from llava_ov_ros.planning import Argument, find_vocabulary, load_vocabulary, split_line
from llava_ov_ros.planning.btcpp import TreeError, plan_tree, sought
from llava_ov_ros.questions import find_prompts, load_prompts

ALFRED = load_vocabulary(find_vocabulary("alfred"))
PLAIN = load_prompts(find_prompts("plain"))
PLAN = "GotoLocation countertop; PickupObject knife; SliceObject apple; GotoLocation desk; PutObject knife desk; NoOp"


def tree(line=PLAN, goal="slice the apple", vocabulary=ALFRED, prompts=PLAIN):
    return plan_tree(goal, split_line(line).steps, vocabulary, prompts)


def test_steps_conditions_and_models():
    root = ElementTree.fromstring(tree())
    assert (root.tag, root.attrib) == ("root", {"BTCPP_format": "4", "main_tree_to_execute": "Plan"})
    (sequence,) = root.find("BehaviorTree")
    assert (sequence.tag, sequence.get("name")) == ("Sequence", "slice the apple")
    found = [(node.tag, {key: value for key, value in node.attrib.items() if key != "name"}) for node in sequence]

    def seen(thing):
        return "Condition", {"ID": "AskChoice", "question": f"Is there {thing}?", "expects": "yes", "confidence": "0.5"}

    assert found == [
        ("Action", {"ID": "GotoLocation", "place": "countertop"}),
        seen("a knife"),
        ("Action", {"ID": "PickupObject", "object": "knife"}),
        seen("an apple"),
        ("Action", {"ID": "SliceObject", "object": "apple"}),
        ("Action", {"ID": "GotoLocation", "place": "desk"}),
        ("Action", {"ID": "PutObject", "object": "knife", "receptacle": "desk"}),
    ]
    models = {node.get("ID"): [port.get("name") for port in node] for node in root.find("TreeNodesModel")}
    assert models == {
        "AskChoice": ["question", "expects", "confidence"],
        "GotoLocation": ["place"],
        "PickupObject": ["object"],
        "SliceObject": ["object"],
        "PutObject": ["object", "receptacle"],
    }


def test_only_what_is_touched_and_not_held_is_looked_for():
    assert {name: sought(action) for name, action in ALFRED.actions.items() if sought(action)} == {
        "PickupObject": ("object",),
        "SliceObject": ("object",),
        "ToggleObject": ("lamp",),
    }


def test_questions_in_the_language_of_the_prompts():
    zh = load_prompts(find_prompts("zh"))
    (sequence,) = ElementTree.fromstring(tree("PickupObject knife", prompts=zh)).find("BehaviorTree")
    assert sequence[0].get("question").startswith("画面中是否有")


@pytest.mark.parametrize(
    "goal", ["put \"it\" <there> & 'here'", "把杯子放到桌上", "a -- b ]]> {c}", "bad\x01\ud800\x7f"]
)
def test_the_real_library_reads_whatever_the_goal_is(goal):
    factory = bt.BehaviorTreeFactory()
    factory.register_simple_action("NoOp", lambda node: bt.NodeStatus.SUCCESS)
    vocabulary = replace(ALFRED, actions={"NoOp": replace(ALFRED.actions["NoOp"], ends=False)})
    made = factory.create_tree_from_text(tree("NoOp", goal, vocabulary))
    readable = goal.replace("\x01", "\ufffd").replace("\ud800", "\ufffd").replace("\x7f", "\ufffd")
    assert made.root_node().name() == readable
    assert made.tick_while_running() == bt.NodeStatus.SUCCESS


def renamed(action=None, argument=None):
    """ALFRED with another name of PickupObject or its argument."""
    pick = ALFRED.actions["PickupObject"]
    name = action or pick.name
    if argument:
        effects = tuple(replace(rule, names=(argument,)) for rule in pick.effects)
        pick = replace(pick, arguments=(Argument(argument, "thing"),), effects=effects)
    return replace(ALFRED, actions={name: replace(pick, name=name)}), f"{name} mug"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"action": "pick.up"}, "actions.pick.up: no node of BehaviorTree.CPP can have this name"),
        ({"action": "AskChoice"}, "actions.AskChoice: no node of BehaviorTree.CPP"),
        ({"argument": "name"}, "actions.PickupObject.arguments: 'name' cannot be a port"),
        ({"argument": "物品"}, "actions.PickupObject.arguments: '物品' cannot be a port"),
        ({"argument": "_object"}, "'_object' cannot be a port"),
        ({"argument": "the:object"}, "'the:object' cannot be a port"),
    ],
)
def test_names_that_the_library_refuses(names, said):
    vocabulary, line = renamed(**names)
    with pytest.raises(TreeError, match=said):
        tree(line, vocabulary=vocabulary)


def test_a_value_that_would_be_a_key_of_the_blackboard():
    vocabulary = replace(ALFRED, classes={**ALFRED.classes, "{mug}": ()})
    with pytest.raises(TreeError, match=r"'\{mug\}' of GotoLocation.place would be a key"):
        tree("GotoLocation {mug}", vocabulary=vocabulary)
