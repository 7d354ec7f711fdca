"""Two nodes of one name in one namespace: at most one configures, and by the rule of docs/architecture.md which."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest
import rclpy
from rclpy.context import Context
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions

from llava_ov_ros.node import own_name
from llava_ov_ros.node.bring_up import bring_up
from llava_ov_ros.node.node import LlavaOvNode

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class Twins:
    """Nodes of one name, as processes would have them: each in a context of its own."""

    def __init__(self, load):
        self._load = load
        self._namespace = f"/t{uuid.uuid4().hex[:12]}"
        self._contexts = []
        self.nodes = []

    def make(self):
        """One more node of the name."""
        context = Context()
        rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
        self._contexts.append(context)
        self.nodes.append(LlavaOvNode(load=self._load, context=context, namespace=self._namespace))
        return self.nodes[-1]

    def end(self, node):
        """End a node."""
        context = self._contexts.pop(self.nodes.index(node))
        self.nodes.remove(node)
        node.destroy_node()
        rclpy.try_shutdown(context=context)

    def seen(self):
        """Whether every node sees all of them, claims included."""
        return all(
            node.get_node_names_and_namespaces().count((node.get_name(), node.get_namespace())) == len(self.nodes)
            and len(node._own_name._rivals("made_")) == len(self.nodes) - 1
            for node in self.nodes
        )


@pytest.fixture
def twins(scripted, wait_until):
    """Nodes of one name, whose loads end when all nodes have seen each other."""

    def load(settings):
        wait_until(one.seen, "discovery")
        return scripted(lambda *_: "an answer")(settings)

    one = Twins(load)
    yield one
    for node in list(one.nodes):
        one.end(node)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(own_name, "WAIT_S", 1.0)


def test_of_two_that_start_together_the_one_made_first_configures(twins, impatient):
    first, second = twins.make(), twins.make()
    ends = {}
    threads = [
        threading.Thread(target=lambda node=node: ends.update({node: node.trigger_configure()}))
        for node in (second, first)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (ends[first], ends[second]) == (SUCCESS, FAILURE)
    assert second._fault.startswith(f"another node is named {second.get_fully_qualified_name()}")


def test_a_configured_node_keeps_the_name_even_from_one_made_earlier_by_the_clock(twins, impatient, monkeypatch):
    first = twins.make()
    assert first.trigger_configure() == SUCCESS
    with monkeypatch.context() as patch:
        # The clocks of two machines may differ.
        patch.setattr(time, "time_ns", lambda: 1)
        second = twins.make()
    assert second._own_name._claim < first._own_name._claim
    assert second.trigger_configure() == FAILURE


def test_a_later_node_is_refused_and_configures_when_the_other_has_gone(twins, impatient, wait_until):
    first = twins.make()
    assert first.trigger_configure() == SUCCESS
    second = twins.make()
    wait_until(twins.seen, "discovery")
    assert second.trigger_configure() == FAILURE
    assert first.trigger_cleanup() == SUCCESS
    # It is still there, and may be configured again at any time.
    assert second.trigger_configure() == FAILURE
    assert first.trigger_configure() == SUCCESS
    twins.end(first)
    wait_until(twins.seen, "the end of the first")
    assert second.trigger_configure() == SUCCESS


def test_a_node_waits_for_the_end_of_the_other(twins, wait_until):
    first = twins.make()
    second = twins.make()
    wait_until(twins.seen, "discovery")
    ends = []
    waiting = threading.Thread(target=lambda: ends.append(second.trigger_configure()))
    waiting.start()
    wait_until(lambda: second._transitions.state == "configuring", "the waiting node")
    assert ends == []
    twins.end(first)
    waiting.join(60)
    assert ends == [SUCCESS]


def test_a_node_that_ends_while_it_waits_ends_at_once(twins, wait_until):
    twins.make()
    second = twins.make()
    wait_until(twins.seen, "discovery")
    ends = []
    waiting = threading.Thread(target=lambda: ends.append(second.trigger_configure()))
    waiting.start()
    wait_until(lambda: second._transitions.state == "configuring", "the waiting node")
    second._ending.set()
    waiting.join(20)
    assert ends == [FAILURE]
    assert second._fault == "the node ended before its name was free"


@pytest.mark.long
def test_the_successor_of_a_killed_node_waits_until_the_graph_forgets_it(peer, tmp_path, wait_until):
    """Which takes Fast DDS 20 s."""
    client = peer()

    def claims():
        topics = [topic for topic, _ in client.node.get_topic_names_and_types()]
        return len([topic for topic in topics if topic.startswith(f"{client.name}/_claims/made_")])

    arguments = ["--ros-args", *client.remapping, "-r", f"__ns:={client.namespace}"]
    command = [sys.executable, str(Path(__file__).with_name("slow_node.py")), "compute", *arguments]
    with subprocess.Popen(command, cwd=tmp_path) as killed:
        client.meet()
        killed.kill()
    with subprocess.Popen(command, cwd=tmp_path) as successor:
        try:
            wait_until(lambda: claims() == 2, "both in the graph")
            assert bring_up(client.name, lambda: False) == ""
            wait_until(lambda: claims() == 1, "the end of the killed node in the graph")
        finally:
            successor.kill()
