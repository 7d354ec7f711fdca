"""The installed executable as a process of its own: signals in mid-answer, exit codes, arguments, simulated time."""

from __future__ import annotations

import ctypes
import json
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
import yaml
from action_msgs.msg import GoalStatus
from ament_index_python.packages import get_package_prefix
from llava_ov_ros.msg import Answer

from llava_ov_ros.frames import stamp_ns

S = 1_000_000_000
T0_NS = 1_700_000_000 * S
EXECUTABLE = Path(get_package_prefix("llava_ov_ros")) / "lib" / "llava_ov_ros" / "llava_ov_node"
END_S = 60
MIB = 2**20
LIVES, MODEL_MIB = 8, 13


def parameters_of(peer):
    return [part for name, value in peer.parameters.items() for part in ("-p", f"{name}:={json.dumps(value)}")]


@pytest.fixture
def start(tmp_path):
    """Starts the node: `start(*ROS arguments)`; its output is in `node.log`."""
    processes = []

    def run(*arguments):
        with (tmp_path / "node.log").open("wb") as log:
            command = [str(EXECUTABLE), "--ros-args", *arguments]
            processes.append(subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL))
        return processes[-1]

    yield run
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.wait(END_S)


def test_sigint_in_mid_answer_ends_with_code_0_and_everybody_is_told(peer, start, endless, tmp_path):
    client = peer(model=endless)
    process = start(*client.remapping, "-r", f"__ns:={client.namespace}", *parameters_of(client))
    client.meet()
    client.start()
    client.feed()
    answering = client.goal(max_new_tokens=4096)
    answering.chunks.wait()
    waiting = client.goal(max_new_tokens=4096)
    asked = client.ask_later()
    client.diagnostic("queue", lambda status, values: values["waiting"] == "2")
    process.send_signal(signal.SIGINT)
    status, answer = answering.result()
    assert (status, answer.status) == (GoalStatus.STATUS_ABORTED, Answer.CANCELLED)
    assert answer.text
    assert waiting.result()[1].status == Answer.CANCELLED
    told = client.outcome(asked).answer
    assert (told.status, told.message) == (Answer.CANCELLED, "the node is shutting down")
    assert process.wait(END_S) == 0
    assert "Traceback" not in (tmp_path / "node.log").read_text()


def test_simulated_time_a_parameter_file_and_sigterm(peer, start, tmp_path):
    # A whole number for a double, as people write it.
    client = peer(use_sim_time=True, standing_questions=[], max_frame_age_s=5)
    file = tmp_path / "llava_ov.yaml"
    file.write_text(yaml.safe_dump({"/**": {"ros__parameters": client.parameters}}))
    process = start(*client.remapping, "-r", f"__ns:={client.namespace}", "--params-file", str(file))
    client.meet()
    client.start()
    client.tick(T0_NS)
    # A frame is of the future until the time has arrived, and then it is not.
    for i in range(1000):
        client.tick(T0_NS + i)
        client.cameras["front"].send(T0_NS + i)
        values = client.wait_until_received("front")
        if int(values["admitted"]) > 0:
            break
    answer = client.ask()
    assert answer.status == Answer.OK
    assert T0_NS <= stamp_ns(answer.answered_at) < T0_NS + S
    process.send_signal(signal.SIGTERM)
    assert process.wait(END_S) == 0
    assert "Traceback" not in (tmp_path / "node.log").read_text()


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "tgkill"), reason="only glibc sends to one thread of a process")
def test_a_signal_that_another_thread_gets_ends_the_node(peer, start):
    client = peer()
    process = start(*client.remapping, "-r", f"__ns:={client.namespace}")
    client.meet()
    threads = {int(task.name) for task in Path(f"/proc/{process.pid}/task").iterdir()}
    assert ctypes.CDLL(None).tgkill(process.pid, max(threads - {process.pid}), signal.SIGTERM) == 0
    assert process.wait(END_S) == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("-p", "max_new_token:=5"), "unknown parameter max_new_token; `llava-ov parameters` lists those"),
        (("-p", "deadline_s:=soon"), "deadline_s"),
        (("--params-file", "/no/such.yaml"), "/no/such.yaml"),
    ],
)
def test_a_bad_argument_ends_with_code_2_and_one_line(arguments, reason):
    command = [str(EXECUTABLE), "--ros-args", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=END_S)
    assert ended.returncode == 2, ended.stderr
    lines = [line for line in ended.stderr.splitlines() if line.startswith("llava_ov_node: ")]
    assert len(lines) == 1
    assert reason in lines[0]
    assert "Traceback" not in ended.stderr


@pytest.mark.alone
def test_lives_do_not_add_up_in_memory(peer, start):
    """Eight times through configure, activate, an answer, deactivate, cleanup: the last holds what the second did.

    Half of what models that stay would take is allowed.
    """
    client = peer()
    process = start(*client.remapping, "-r", f"__ns:={client.namespace}", *parameters_of(client))
    client.meet()
    resident = []
    for _ in range(LIVES):
        client.start()
        client.feed(count=3)
        assert client.ask().status == Answer.OK
        assert client.transition("deactivate")
        assert client.transition("cleanup")
        resident.append(psutil.Process(process.pid).memory_info().rss)
    print("resident memory in MiB after each life:", [round(rss / MIB, 1) for rss in resident])
    assert resident[-1] - resident[1] <= (LIVES - 2) * MODEL_MIB // 2 * MIB
    _, values = client.diagnostic("model")
    assert values["memory_bytes"] == "0"
