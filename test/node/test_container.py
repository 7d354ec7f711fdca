"""The node as a container runs it: no home directory, little that can be written, ended by SIGTERM."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from ament_index_python.packages import get_package_prefix

ROOT = Path(__file__).resolve().parents[2]
EXECUTABLE = Path(get_package_prefix("llava_ov_ros")) / "lib" / "llava_ov_ros" / "llava_ov_node"
END_S = 60


def without_home(**variables):
    """The environment of a user who has no home directory."""
    return {name: value for name, value in os.environ.items() if name not in ("HOME", "ROS_HOME")} | variables


def test_without_a_place_for_logs_no_node_starts_and_says_so():
    environment = {name: value for name, value in without_home().items() if name != "ROS_LOG_DIR"}
    ended = subprocess.run([EXECUTABLE], env=environment, capture_output=True, text=True, timeout=END_S, check=False)
    assert ended.returncode == 2, ended.stderr
    assert "llava_ov_node: failed to initialize logging" in ended.stderr


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_with_one_it_starts_and_is_ended_in_order(peer, tmp_path, by):
    client = peer()
    arguments = ["--ros-args", *client.remapping, "-r", f"__ns:={client.namespace}"]
    environment = without_home(ROS_LOG_DIR=str(tmp_path / "log"))
    with subprocess.Popen([EXECUTABLE, *arguments], env=environment, stderr=subprocess.DEVNULL) as process:
        killer = threading.Timer(END_S, process.kill)
        killer.start()
        client.meet()
        assert client.state() == "unconfigured"
        process.send_signal(by)
        assert process.wait(END_S) == 0
        killer.cancel()
    assert list((tmp_path / "log").iterdir())


def test_what_the_image_copies_and_starts_is_there():
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    for source in re.findall(r"^COPY (\S+) ", dockerfile, flags=re.MULTILINE):
        assert (ROOT / source).exists(), source
    (command,) = re.findall(r"^CMD (.*)$", dockerfile, flags=re.MULTILINE)
    assert str(EXECUTABLE.relative_to(EXECUTABLE.parents[3])) in command
    assert "ROS_LOG_DIR=" in dockerfile


def test_the_service_stops_the_launch_file_and_leaves_it_time():
    unit = (ROOT / "deploy" / "llava_ov.service").read_text()
    assert "KillSignal=SIGINT" in unit, "ros2 launch that is ended by SIGTERM leaves its nodes running"
    assert "KillMode=mixed" in unit
    launch = (ROOT / "launch" / "llava_ov.launch.py").read_text()
    waits_s = sum(int(found) for found in re.findall(r'_AFTER_S = "(\d+)"', launch))
    (stop_s,) = map(int, re.findall(r"TimeoutStopSec=(\d+)", unit))
    assert stop_s > waits_s > 0
