"""Writes a plan as a tree of BehaviorTree.CPP 4, which Groot2 loads too.

Source of the format: https://www.behaviortree.dev/docs/learn-the-basics/xml_format, and of which names and values are
allowed: BehaviorTree.CPP 4.9, `basic_types.cpp` (IsAllowedPortName, findForbiddenChar) and `xml_parsing.cpp`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from ..questions import Prompts
from .model.attempts import presence_question
from .plan_steps import Step
from .vocabulary import Action, Vocabulary

MAIN_TREE = "Plan"
CONDITION = "AskChoice"
CONDITION_PORTS = {
    "question": ("std::string", "A question to ~/ask of kind yes_no, about what the cameras see now"),
    "expects": ("std::string", "SUCCESS if this is the answer: yes or no"),
    "confidence": ("double", "and if the answer's confidence is at least this, 0 to 1"),
}
FORBIDDEN = re.compile("[\\x00-\\x20<>&\"'/\\\\:*?|.\\x7f]")
"""What the name of a node or a port must not contain."""
NOT_IN_XML = re.compile("[^\\t\\n\\r\\x20-\\x7e\\x80-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
"""What no XML file can have, and the character 127, which newer versions of the library refuse in a name."""


class TreeError(ValueError):
    """A plan that BehaviorTree.CPP cannot have as a tree; the text names the entry of the vocabulary."""


def plan_tree(
    goal: str, steps: Iterable[Step], vocabulary: Vocabulary, prompts: Prompts, confidence: float = 0.5
) -> str:
    """Write an accepted plan as XML.

    The tree is one Sequence. Each step is an action node of the action's name, whose ports are the arguments. Before a
    step that picks something up, or changes the state of something that the robot does not hold, a condition asks
    whether the camera shows such a thing. Nothing is asked about places, which may be out of sight. An action that only
    ends plans is left out.

    Args:
        goal: The goal in words; it is the name of the Sequence.
        steps: Steps that the vocabulary has, all of which can be done.
        vocabulary: Vocabulary of the steps.
        prompts: Has the question whether a thing is there.
        confidence: Least confidence of a condition.

    Raises:
        TreeError: A name of the vocabulary is none that a node or a port can have.
    """
    root = Element("root", BTCPP_format="4", main_tree_to_execute=MAIN_TREE)
    sequence = SubElement(SubElement(root, "BehaviorTree", ID=MAIN_TREE), "Sequence", name=_writable(goal))
    used: dict[str, Action] = {}
    for number, step in enumerate(steps, 1):
        action = vocabulary.actions[step.action]
        if action.ends:
            continue
        used[action.name] = action
        given = {argument.name: value for argument, value in zip(action.arguments, step.arguments, strict=True)}
        for name in sought(action):
            question = presence_question(given[name], vocabulary, prompts).question.text
            asked = {"question": question, "expects": "yes", "confidence": f"{confidence:g}"}
            _node(sequence, "Condition", CONDITION, f"{number}: {question}", asked)
        ports = {_port(action, name): value for name, value in given.items()}
        _node(sequence, "Action", _node_name(action), f"{number}: {step}", ports)
    model = SubElement(root, "TreeNodesModel")
    _model(model, "Condition", CONDITION, CONDITION_PORTS)
    for action in used.values():
        types = {_port(action, one.name): ("std::string", f"a class: {one.type}") for one in action.arguments}
        _model(model, "Action", action.name, types)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def sought(action: Action) -> tuple[str, ...]:
    """The arguments whose things an action picks up, or changes the state of, without holding them already."""
    held = {name for rule in action.requires if rule.kind == "holding" for name in rule.names}
    touched = {rule.names[0] for rule in action.effects if rule.kind in ("pick_up", "set", "clear", "flip")}
    return tuple(one.name for one in action.arguments if one.name in touched - held)


def _node(parent: Element, tag: str, identifier: str, name: str, ports: dict[str, str]) -> None:
    for port, value in ports.items():
        if value.startswith("{") and value.endswith("}"):
            raise TreeError(f"the value {value!r} of {identifier}.{port} would be a key of the blackboard")
    values = {port: _writable(value) for port, value in ports.items()}
    SubElement(parent, tag, {"ID": identifier, "name": _writable(name), **values})


def _model(parent: Element, tag: str, identifier: str, ports: dict[str, tuple[str, str]]) -> None:
    node = SubElement(parent, tag, ID=identifier)
    for name, (kind, meaning) in ports.items():
        SubElement(node, "input_port", name=name, type=kind).text = meaning


def _node_name(action: Action) -> str:
    if FORBIDDEN.search(action.name) or action.name in (CONDITION, "Root", "root"):
        raise TreeError(f"actions.{action.name}: no node of BehaviorTree.CPP can have this name: rename the action")
    return action.name


def _port(action: Action, name: str) -> str:
    if not re.match("[A-Za-z]", name) or FORBIDDEN.search(name) or name in ("name", "ID"):
        raise TreeError(
            f"actions.{action.name}.arguments: {name!r} cannot be a port of BehaviorTree.CPP, whose name begins with a "
            "letter from A to z, has no blanks or marks, and is neither name nor ID: rename the argument"
        )
    return name


def _writable(text: str) -> str:
    """The text without the characters of NOT_IN_XML."""
    return NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)
