"""config/sros2 holds what the node really has in the graph, no more and no less."""

from __future__ import annotations

import contextlib
import xml.etree.ElementTree as ElementTree
from fnmatch import fnmatchcase

import pytest
from fixtures.web_page import WebProcess
from rclpy.action import get_action_client_names_and_types_by_node, get_action_server_names_and_types_by_node
from rclpy.node import NodeNameNonExistentError
from websockets.sync.client import connect

from llava_ov_ros.node.transitions import RCLError
from llava_ov_ros.share import shipped

CLAIMS = "/llava_ov/_claims/*"
# Only with use_sim_time, or where other packages are installed: publish, subscribe.
OPTIONAL = {
    "/clock",
    "/bond",
    *(f"/llava_ov/{name}" for name in ("annotations", "intents", "markers", "plansys2_plan")),
}


def allowed(enclave):
    """Names by what is allowed with them, as sros2 expands them (its permissions.xsl)."""
    root = ElementTree.parse(shipped("config/sros2/llava_ov.policy.xml")).getroot()
    assert (root.tag, root.get("version")) == ("policy", "0.2.0")
    (profile,) = root.findall(f"enclaves/enclave[@path='{enclave}']/profiles/profile")
    namespace, node = profile.get("ns").rstrip("/"), profile.get("node")
    found = {}
    for group in profile:
        for use, verdict in group.attrib.items():
            assert verdict == "ALLOW"
            for entry in group:
                name = entry.text
                if name.startswith("~"):
                    name = f"{namespace}/{node}{name[1:]}"
                elif not name.startswith("/"):
                    name = f"{namespace}/{name}"
                found.setdefault(use, set()).add(name)
    return found


def in_graph(node, name, namespace, prefix):
    """What the node of a name has in the graph, `prefix` left out of all names."""

    def names(pairs):
        return {found.removeprefix(prefix) for found, _ in pairs}

    served = names(get_action_server_names_and_types_by_node(node, name, namespace))
    called = names(get_action_client_names_and_types_by_node(node, name, namespace))
    of_actions = tuple(f"{action}/_action/" for action in served | called)

    def plain(pairs):
        return {found for found in names(pairs) if not found.startswith(of_actions)}

    return {
        "publish": plain(node.get_publisher_names_and_types_by_node(name, namespace)),
        "subscribe": plain(node.get_subscriber_names_and_types_by_node(name, namespace)),
        "reply": plain(node.get_service_names_and_types_by_node(name, namespace)),
        "request": plain(node.get_client_names_and_types_by_node(name, namespace)),
        "execute": served,
        "call": called,
    }


@pytest.fixture
def robot(rig, scripted):
    return rig(cameras={"camera": "raw"}, load=scripted("a mug"))


@pytest.fixture
def graph(robot):
    """What a live node has, its namespace left out."""
    return in_graph(robot.node, "llava_ov", robot.namespace, robot.namespace)


def test_the_policy_is_what_the_node_has(graph):
    policy = allowed("/llava_ov")
    claims = {name for name in graph["publish"] if fnmatchcase(name, CLAIMS)}
    assert claims
    has = {use: names - claims - OPTIONAL for use, names in graph.items() if names}
    assert has == {use: names - {CLAIMS} - OPTIONAL for use, names in policy.items()}


def test_who_asks_may_neither_set_parameters_nor_change_states(graph):
    client = allowed("/llava_ov_client")
    assert client["call"] == graph["execute"]
    assert client["request"] <= graph["reply"]
    assert not [name for name in client["request"] if "param" in name or "state" in name]
    assert client["subscribe"] <= graph["publish"]
    assert client["publish"] == {"/rosout", "/parameter_events"}, "no goals, no pictures, no transitions"


def test_the_page_has_what_its_enclave_allows(robot, tmp_path, wait_until):
    policy = allowed("/llava_ov_web")
    web = WebProcess(robot.name, tmp_path / "web.log")
    try:
        # Cameras are heard while somebody watches.
        with connect(f"{web.address.replace('http', 'ws')}/api/events", proxy=None):

            def has():
                # Until the node is known, rcl knows no names.
                with contextlib.suppress(RCLError, NodeNameNonExistentError):
                    found = in_graph(robot.node, "llava_ov_web", "/", robot.namespace)
                    return {use: names for use, names in found.items() if names}
                return {}

            wait_until(lambda: has() == policy, f"{policy} in the graph")
    finally:
        assert web.end() == 130
