"""`llava-ov doctor` finds faults that were really planted, each with its remedy."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import venv
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="most of what is checked concerns ROS 2")

import rclpy
from rclpy.context import Context
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from safetensors.torch import load_file, save_file
from sensor_msgs.msg import Image

from llava_ov_ros.checkpoints import CheckpointError
from llava_ov_ros.cli.machine_checks import VERSIONS, check_model, check_shared_memory, is_within
from llava_ov_ros.fastdds import PROFILE_VARIABLES
from llava_ov_ros.onevision import load_engine
from llava_ov_ros.share import shipped

pytestmark = pytest.mark.ros

ROOT = Path(__file__).resolve().parents[2]
HOUR_NS = 3600 * 10**9


def examined(*words, python=sys.executable, **variables):
    """What the command finds in an environment with other variables: exit code, and findings by their names."""
    command = [str(python), "-P", "-m", "llava_ov_ros.cli.start", "doctor", "--json", "--seconds", "1", *words]
    environment = {name: value for name, value in os.environ.items() if name not in PROFILE_VARIABLES} | variables
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=110, check=False)
    assert ended.returncode in (0, 1), ended.stderr
    return ended.returncode, {one["name"]: one for one in map(json.loads, ended.stdout.splitlines())}


@pytest.fixture(autouse=True)
def quiet_domain(domain_of_children, monkeypatch):
    """A domain without the cameras of other tests."""
    monkeypatch.setenv("ROS_DOMAIN_ID", domain_of_children)


def test_nothing_is_in_the_way_here():
    profile = str(shipped("config/fastdds.xml"))
    code, found = examined(**dict.fromkeys(PROFILE_VARIABLES, profile))
    assert code == 0, [one for one in found.values() if one["level"] == "fail"]
    assert {one["level"] for one in found.values()} <= {"ok", "note", "warn"}
    for name in ("versions", "logs", "shared-memory segment", "ROS 2", "middleware", "model"):
        assert found[name]["level"] == "ok", found[name]
    assert all(one["remedy"] for one in found.values() if one["level"] != "ok")


def small_segment(folder):
    file = folder / "small.xml"
    file.write_text(shipped("config/fastdds.xml").read_text().replace("33554432", "262144"))
    return dict.fromkeys(PROFILE_VARIABLES, str(file))


def no_xml(folder):
    (folder / "profile.xml").write_text("<dds>")
    return dict.fromkeys(PROFILE_VARIABLES, str(folder / "profile.xml"))


def no_folder_for_logs(folder):
    (folder / "file").touch()
    return {"ROS_LOG_DIR": str(folder / "file" / "log")}


def old_transformers(folder):
    """As pip leaves one; the newer package behind it on the path is not looked at."""
    about = folder / "transformers-4.40.2.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: transformers\nVersion: 4.40.2\n")
    return {"PYTHONPATH": os.pathsep.join([str(folder), os.environ["PYTHONPATH"]])}


FAULTS = {
    "a middleware that is not installed": (
        lambda folder: {"RMW_IMPLEMENTATION": "rmw_nowhere_cpp"},
        "middleware",
        "rmw_nowhere_cpp",
        "RMW_IMPLEMENTATION",
    ),
    "a small segment": (small_segment, "shared-memory segment", "256 KB", "config/fastdds.xml"),
    "a profile that is no XML": (no_xml, "shared-memory segment", "is not XML", "config/fastdds.xml"),
    "a profile that is not there": (
        lambda folder: dict.fromkeys(PROFILE_VARIABLES, "/nowhere.xml"),
        "shared-memory segment",
        "No such file",
        "config/fastdds.xml",
    ),
    "logs that cannot be written": (no_folder_for_logs, "logs", "Not a directory", "ROS_LOG_DIR"),
    "no home directory": (
        lambda folder: dict.fromkeys(("HOME", "ROS_HOME", "ROS_LOG_DIR"), ""),
        "logs",
        "HOME",
        "ROS_LOG_DIR",
    ),
    "an old transformers": (old_transformers, "versions", "transformers 4.40.2 is not >=4.54", "pip install"),
    "an old ROS 2": (lambda folder: {"ROS_DISTRO": "humble"}, "ROS 2", "humble is too old", "Jazzy"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault, tmp_path):
    plant, name, said, remedy = FAULTS[fault]
    code, found = examined(**plant(tmp_path))
    assert code == 1
    assert found[name]["level"] == "fail"
    assert said in found[name]["found"]
    assert remedy in found[name]["remedy"]


def test_a_model_without_weights(tmp_path):
    model = tmp_path / "model"
    shutil.copytree(shipped("models/rooms"), model, ignore=shutil.ignore_patterns("model.safetensors"))
    code, found = examined("--model", str(model))
    assert (code, found["model"]["level"]) == (1, "fail")
    assert f"{model} has neither model.safetensors nor" in found["model"]["found"]
    assert "download" in found["model"]["remedy"]


def without_image_mean_of_siglip(model):
    (model / "preprocessor_config.json").write_text('{"image_mean": [0.48145466, 0.4578275, 0.40821073]}')


def without_a_tensor(model):
    tensors = load_file(model / "model.safetensors")
    tensors.pop(sorted(tensors)[-1])
    save_file(tensors, model / "model.safetensors")


def of_another_kind(model):
    (model / "config.json").write_text('{"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2"}')


# What another copy of the same model would mend, and what only another model does.
AGAIN, ANOTHER = "download it again", "name another model: llava-hf/llava-onevision-qwen2-0.5b-ov-hf"


@pytest.mark.parametrize(
    ("plant", "said", "remedy"),
    [
        (lambda model: (model / "tokenizer.json").unlink(), "neither tokenizer.json nor vocab.json", AGAIN),
        (lambda model: (model / "tokenizer.json").write_text("{}"), "is no tokenizer", AGAIN),
        (lambda model: (model / "config.json").write_text("{"), "is not JSON", AGAIN),
        (lambda model: (model / "prompt_style").write_text("mine"), "known styles are", ANOTHER),
        (without_image_mean_of_siglip, "image_mean is [0.48145466", ANOTHER),
        (without_a_tensor, "1 tensors are missing", ANOTHER),
        (of_another_kind, "this is not a LLaVA-OneVision checkpoint", ANOTHER),
    ],
)
def test_a_model_that_would_not_load(tmp_path, plant, said, remedy):
    """Each is refused here as `load_engine` refuses it."""
    model = tmp_path / "model"
    shutil.copytree(shipped("models/rooms"), model)
    plant(model)
    (found,) = check_model(str(model), "cpu")
    assert found.level == "fail"
    assert said in found.found
    assert remedy in found.remedy
    with pytest.raises(CheckpointError) as raised:
        load_engine(str(model), device="cpu")
    assert str(raised.value) == found.found


def test_a_device_that_is_not_there():
    code, found = examined("--device", "cuda:99")
    assert (code, found["model"]["level"]) == (1, "fail")
    assert "cuda:99" in found["model"]["found"]


@pytest.mark.parametrize(("off_ns", "said"), [(-HOUR_NS, "3600.0 s old"), (HOUR_NS, "s in the future")])
def test_a_publisher_whose_clock_differs(off_ns, said, quiet_domain):
    context = Context()
    rclpy.init(
        context=context, domain_id=int(os.environ["ROS_DOMAIN_ID"]), signal_handler_options=SignalHandlerOptions.NO
    )
    node = rclpy.create_node("driver", context=context)
    publisher = node.create_publisher(Image, "/off/image_raw", QoSProfile(depth=5))
    done = threading.Event()

    def drive():
        while not done.wait(0.05):
            image = Image(height=2, width=2, encoding="mono8", step=2, data=bytes(4))
            now_ns = node.get_clock().now().nanoseconds + off_ns
            image.header.stamp.sec, image.header.stamp.nanosec = divmod(now_ns, 10**9)
            publisher.publish(image)

    thread = threading.Thread(target=drive)
    thread.start()
    try:
        code, found = examined("--seconds", "4")
    finally:
        done.set()
        thread.join()
        node.destroy_node()
        rclpy.shutdown(context=context)
    clock = found["clock of /off/image_raw"]
    assert (code, clock["level"]) == (1, "fail")
    assert said in clock["found"]
    assert "chrony" in clock["remedy"]
    assert "stamp_source" in clock["remedy"]


def test_ros_that_is_not_sourced(tmp_path):
    """A bare Python: nothing is sourced, and none of the model's libraries is there."""
    venv.create(tmp_path / "bare", with_pip=False)
    bare = {"PYTHONPATH": str(ROOT), "AMENT_PREFIX_PATH": "", "ROS_DISTRO": "", "LD_LIBRARY_PATH": ""}
    code, found = examined(python=tmp_path / "bare" / "bin" / "python", **bare)
    assert code == 1
    assert found["ROS 2"]["level"] == "fail"
    assert "setup.bash" in found["ROS 2"]["remedy"]
    assert "torch is missing" in found["versions"]["found"]
    assert found["model"]["level"] == "fail"
    assert "middleware" not in found


def test_shared_memory_that_cannot_be_written(tmp_path):
    file = tmp_path / "shm"
    file.touch()
    found = check_shared_memory(file)
    assert found.level == "fail"
    assert "Not a directory" in found.found
    assert "--ipc=host" in found.remedy


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_shared_memory_of_another_user(tmp_path):
    port = tmp_path / "fastrtps_port7411"
    port.touch()
    assert check_shared_memory(tmp_path).level == "ok"
    os.chown(port, 10001, 10001)
    found = check_shared_memory(tmp_path)
    assert found.level == "warn"
    assert "uid 10001" in found.found
    assert "FASTDDS_BUILTIN_TRANSPORTS=UDPv4" in found.remedy


def test_bounds_of_versions_are_those_of_the_installation():
    ranges = {}
    for line in (ROOT / "setup.py").read_text().split("RANGES", 1)[1].split("}", 1)[0].splitlines():
        name, _, bounds = line.strip().rstrip(",").replace('"', "").partition(": ")
        if bounds.startswith(">="):
            ranges[name] = bounds
    assert {name: ranges[name] for name in VERSIONS} == dict(VERSIONS)
    assert set(ranges) - set(VERSIONS) <= {"opencv-python-headless"}, "ROS 2 from packages brings its own OpenCV"


@pytest.mark.parametrize(
    ("version", "bounds", "is_in"),
    [
        ("4.57.1", ">=4.54,<6", True),
        ("4.53.9", ">=4.54,<6", False),
        ("6.0", ">=4.54,<6", False),
        ("6.0.0", ">=4.54,<6", False),
        ("2.13.0+cpu", ">=2.6", True),
        ("1.0", ">=1.0.0,<2", True),
        ("5.0.0rc1", ">=5", True),
    ],
)
def test_versions_are_compared_as_numbers(version, bounds, is_in):
    assert is_within(version, bounds) is is_in
