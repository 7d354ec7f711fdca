"""SIGINT, SIGTERM and SIGHUP in every state, one after the other, while the model would load or compute for ever."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from ament_index_python.packages import get_package_prefix
from llava_ov_ros.msg import Answer

INT, TERM = signal.SIGINT, signal.SIGTERM
SLOW_NODE = Path(__file__).with_name("slow_node.py")
EXECUTABLE = Path(get_package_prefix("llava_ov_ros")) / "lib" / "llava_ov_ros" / "llava_ov_node"
END_S = 60


@pytest.fixture
def slow(peer, tmp_path):
    """Starts a node that loads or computes for ever, with a client beside it: `slow("load" or "compute")`."""
    processes = []

    def start(what):
        client = peer(diagnostics_period_s=1.0)
        values = [part for name, value in client.parameters.items() for part in ("-p", f"{name}:={json.dumps(value)}")]
        arguments = ["--ros-args", *client.remapping, "-r", f"__ns:={client.namespace}", *values]
        command = [sys.executable, str(SLOW_NODE), what, *arguments]
        with (tmp_path / "node.log").open("wb") as log:
            # Elsewhere than in the source tree, which has no generated interfaces.
            process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=tmp_path)
        processes.append(process)
        client.meet()
        return client, process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.wait(END_S)


def signalled(process, first, second, gap_s):
    """Send two signals, the second where the node has not ended before; the exit code."""
    process.send_signal(first)
    try:
        return process.wait(gap_s)
    except subprocess.TimeoutExpired:
        process.send_signal(second)
    return process.wait(END_S)


def also_long(*values):
    """Parameters of one of the many orders and pauses, each of which takes a node of its own: for the long tests."""
    return pytest.param(*values, marks=pytest.mark.long)


def test_a_terminal_that_is_closed(slow):
    client, process = slow("load")
    configured = client.transition_later("configure")
    while client.state() != "configuring":
        pass
    process.send_signal(signal.SIGHUP)
    assert process.wait(END_S) == 0
    assert not client.outcome(configured).success


@pytest.mark.parametrize(
    ("first", "second", "gap_s"), [(INT, TERM, 0.1), also_long(TERM, INT, 0.1), also_long(INT, INT, 1.5)]
)
def test_while_a_model_is_loaded(slow, first, second, gap_s):
    client, process = slow("load")
    configured = client.transition_later("configure")
    while client.state() != "configuring":
        pass
    assert signalled(process, first, second, gap_s) == 0
    assert not client.outcome(configured).success


@pytest.mark.parametrize(
    ("first", "second", "gap_s"),
    [(INT, TERM, 0.1), also_long(TERM, INT, 1.5), also_long(INT, INT, 3.0), also_long(TERM, INT, 6.0)],
)
def test_in_the_middle_of_a_forward_pass(slow, tmp_path, first, second, gap_s):
    client, process = slow("compute")
    client.start()
    client.feed(count=1)
    asked, waiting = client.ask_later(), client.ask_later("Another?", mode="multi_image")
    client.diagnostic("queue", lambda status, values: status.message == "answering" and values["waiting"] == "1")
    assert signalled(process, first, second, gap_s) == 0
    for future in (asked, waiting):
        answer = client.outcome(future).answer
        assert answer.status == Answer.CANCELLED
        assert answer.message.startswith("the node is shutting down")
    log = (tmp_path / "node.log").read_text()
    assert log.index("stopping") < log.index("in the middle of a forward pass")
    assert "Traceback" not in log


def test_while_a_node_is_deactivated_in_the_middle_of_a_forward_pass(slow):
    client, process = slow("compute")
    client.start()
    client.feed(count=1)
    asked = client.ask_later()
    client.diagnostic("queue", lambda status, values: status.message == "answering")
    deactivated = client.transition_later("deactivate")
    while client.state() != "deactivating":
        pass
    assert signalled(process, INT, TERM, 1.5) == 0
    assert client.outcome(asked).answer.status == Answer.CANCELLED
    assert client.outcome(deactivated).success


@pytest.mark.parametrize(
    ("state", "first", "second", "gap_s"),
    [
        ("unconfigured", INT, TERM, 0.1),
        also_long("unconfigured", TERM, INT, 0.1),
        also_long("inactive", INT, INT, 0.3),
        ("active", TERM, INT, 0.1),
        also_long("active", INT, INT, 0.3),
    ],
)
def test_while_nothing_is_asked(slow, tmp_path, state, first, second, gap_s):
    client, process = slow("compute")
    for label in {"unconfigured": (), "inactive": ("configure",), "active": ("configure", "activate")}[state]:
        assert client.transition(label)
    assert signalled(process, first, second, gap_s) == 0
    log = (tmp_path / "node.log").read_text()
    assert log.count("stopping") == 1
    # rclpy waits for action servers that are destroyed meanwhile, and raises.
    assert "entities go while the executor has ended" in log
    assert "Traceback" not in log


@pytest.mark.parametrize("number", [INT, also_long(TERM)])
def test_the_third_signal_of_a_number_ends_the_node_at_once(slow, number):
    client, process = slow("compute")
    client.start()
    client.feed(count=1)
    client.ask_later()
    client.diagnostic("queue", lambda status, values: status.message == "answering")
    pause = threading.Event()
    while process.poll() is None:
        # Signals of a number that are pending together count once.
        process.send_signal(number)
        pause.wait(0.2)
    assert process.returncode == -number


@pytest.mark.parametrize("number", [INT, TERM])
def test_a_signal_while_the_node_is_still_being_imported(number, wait_until):
    process = subprocess.Popen([str(EXECUTABLE)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    status = Path(f"/proc/{process.pid}/status")

    def taken():
        caught = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt"))
        return int(caught.split()[1], 16) >> (TERM - 1) & 1

    wait_until(taken, "the handlers")
    assert "_rclpy" not in Path(f"/proc/{process.pid}/maps").read_text()
    process.send_signal(number)
    output, _ = process.communicate(timeout=END_S)
    assert (process.returncode, output) == (0, "")


def test_a_node_that_was_told_to_stop_leaves_the_graph(slow, wait_until):
    client, process = slow("compute")
    client.start()
    assert signalled(process, INT, INT, 0.1) == 0
    own = ("llava_ov", client.namespace)
    # One that is killed stays for 20 s.
    wait_until(lambda: own not in client.node.get_node_names_and_namespaces(), "its end in the graph", 10.0)
