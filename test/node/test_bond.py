"""The node's half of a bond: what it says, and when; only where the package bond is installed."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace

import pytest

from llava_ov_ros.node.bond import Bond


@dataclass
class Status:
    """The fields of bond/msg/Status."""

    header: SimpleNamespace = field(default_factory=SimpleNamespace)
    id: str = ""
    instance_id: str = ""
    active: bool = False
    heartbeat_timeout: float = 0.0
    heartbeat_period: float = 0.0


class Node:
    """In the place of a node: notes what is published, and lets a test call what it subscribes and times."""

    def __init__(self):
        self.said, self.hear, self.beat, self.open = [], None, None, 0

    def get_name(self):
        """The id of the bond."""
        return "llava_ov"

    def get_clock(self):
        """A clock that stands."""
        return SimpleNamespace(now=lambda: SimpleNamespace(to_msg=lambda: 0))

    def create_publisher(self, kind, topic, qos):
        """A publisher that keeps what it publishes."""
        assert (kind, topic) == (Status, "bond")
        self.open += 1
        return SimpleNamespace(publish=self.said.append)

    def create_subscription(self, kind, topic, callback, qos, callback_group):
        """Keeps the callback."""
        assert (kind, topic) == (Status, "bond")
        self.open += 1
        self.hear = callback

    def create_timer(self, period_s, callback, group, clock):
        """Keeps the callback."""
        self.open += 1
        self.beat = callback

    def _destroy(self, entity):
        self.open -= 1

    destroy_publisher = destroy_subscription = destroy_timer = _destroy


@pytest.fixture
def node(monkeypatch):
    """A node where the package bond is installed."""
    module = ModuleType("bond.msg")
    module.Status = Status
    monkeypatch.setitem(sys.modules, "bond", ModuleType("bond"))
    monkeypatch.setitem(sys.modules, "bond.msg", module)
    return Node()


def test_an_active_node_says_that_it_lives_and_in_the_end_that_it_does_not(node):
    bond = Bond(node)
    assert node.open == 0
    bond.start()
    node.beat()
    node.beat()
    bond.stop()
    assert [status.active for status in node.said] == [True, True, False]
    assert {(status.id, status.heartbeat_timeout, status.heartbeat_period) for status in node.said} == {
        ("llava_ov", 4.0, 0.1)
    }
    assert len({status.instance_id for status in node.said}) == 1
    assert node.open == 0
    bond.stop()
    assert len(node.said) == 3


def test_the_end_of_the_other_half_is_answered_and_the_next_bond_is_another_instance(node):
    bond = Bond(node)
    bond.start()
    node.beat()
    for heard in (
        Status(id="llava_ov", instance_id="manager", active=True),
        Status(id="another_node", instance_id="manager", active=False),
        node.said[0],
    ):
        node.hear(heard)
    assert len(node.said) == 1
    node.hear(Status(id="llava_ov", instance_id="manager", active=False))
    assert [status.active for status in node.said] == [True, False]
    bond.stop()
    bond.start()
    node.beat()
    assert node.said[-1].instance_id != node.said[0].instance_id


def test_without_the_package_nothing_is_said():
    if importlib.util.find_spec("bond") is not None:
        pytest.skip("bond is installed")
    node = Node()
    bond = Bond(node)
    bond.start()
    bond.stop()
    assert (node.said, node.open) == ([], 0)
