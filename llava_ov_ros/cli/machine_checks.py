"""The checks of `llava-ov doctor` without ROS: versions, extras, shared memory, logs, the model and its device."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path

from ..checks import Check, Level
from ..fastdds import DEFAULT_SEGMENT_BYTES, PROFILE_VARIABLES, named_profile
from ..missing_module import install_line

VERSIONS: Mapping[str, str] = {
    "transformers": ">=4.54,<6",
    "torch": ">=2.6",
    "tokenizers": ">=0.21",
    "safetensors": ">=0.4.3",
    "huggingface-hub": ">=0.34",
    "numpy": ">=1.26",
    "pillow": ">=10.1,<13",
    "pyyaml": ">=6",
    "rosbags": ">=0.11,<0.12",
    "mcap": ">=1.0,<2",
    "tqdm": ">=4.66",
    "jsonschema": ">=4.10,<5",
    "llguidance": ">=1.0,<2",
    "httpx": ">=0.26,<1",
    "httpx-sse": ">=0.4,<0.5",
}
"""As in setup.py."""
OF_CHECKPOINTS = ("transformers", "torch", "tokenizers", "safetensors", "huggingface-hub", "llguidance")
"""What only a model on this machine needs."""
OF_SERVERS = ("httpx", "httpx-sse")
"""What only a model on a server needs."""
EXTRAS: Mapping[str, tuple[str, str, str]] = {
    "av": ("video", "H.264 and H.265 video", "pip install 'av>=17,<19'"),
    "pycocoevalcap": ("captioning", "BLEU, METEOR and CIDEr of ScanQA", "pip install '.[captioning]' in the checkout"),
    "ray": ("ray", "llava-ov eval --ray", "pip install '.[ray]' in the checkout"),
    "lmms_eval": ("lmms-eval", "lmms-eval's benchmarks", "pip install '.[lmms-eval]' in the checkout"),
    "uvicorn": ("web", "llava-ov web", "pip install '.[web]' in the checkout"),
    "torchao": ("quantize", "the parameter quantize", "pip install '.[quantize]' in the checkout"),
}
"""Modules that only some need: their name, what for, and how to install them."""
TOO_OLD = ("foxy", "galactic", "humble", "iron")
PICTURE_BYTES = 640 * 480 * 3
"""Of one raw picture, for which the shared-memory segment must have room."""
REAL = "llava-hf/llava-onevision-qwen2-0.5b-ov-hf, or another of docs/checkpoints.md"
SHARED_MEMORY = Path("/dev/shm")
ROOM_BYTES = 32 * 2**20


def check_versions(*, is_served: bool = False) -> Iterator[Check]:
    """Check the versions of Python and of the packages that the model needs.

    Args:
        is_served: Whether the model is on a server.
    """
    wrong = []
    needless = OF_CHECKPOINTS if is_served else OF_SERVERS
    for name, versions in VERSIONS.items():
        if name in needless:
            continue
        try:
            found = installed(name)
        except PackageNotFoundError:
            wrong.append(f"{name} is missing")
            continue
        if not is_within(found, versions):
            wrong.append(f"{name} {found} is not {versions}")
    if sys.version_info < (3, 11):  # noqa: UP036 - a sourced ROS 2 may bring an older one
        wrong.append(f"Python {platform.python_version()} is not >=3.11")
    if wrong:
        yield Check("versions", Level.FAIL, "; ".join(wrong), install_line())
    else:
        main = "httpx" if is_served else "transformers"
        yield Check("versions", Level.OK, f"Python {platform.python_version()}, {main} {installed(main)}")


def is_within(found: str, versions: str) -> bool:
    """Whether a version such as 4.57.1 is within bounds such as `>=4.54,<6`; a pre-release counts by its numbers."""
    have = _numbers(found)
    for bound in versions.split(","):
        least = bound.startswith(">=")
        edge = _numbers(bound.lstrip("<>="))
        length = max(len(have), len(edge))
        padded = [(*one, *(0,) * (length - len(one))) for one in (have, edge)]
        if (padded[0] >= padded[1]) != least:
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[+a-zA-Z]", version)[0]))


def check_ros() -> Iterator[Check]:
    """Check that ROS 2 and this package are sourced."""
    distribution = os.environ.get("ROS_DISTRO", "")
    if importlib.util.find_spec("rclpy") is None:
        yield Check(
            "ROS 2",
            Level.FAIL,
            "rclpy is not found: the node and live commands will not start (replay, plan and eval do without)",
            "source /opt/ros/jazzy/setup.bash and your workspace's install/setup.bash; in the checkout tools/env.bash",
        )
    elif distribution in TOO_OLD:
        yield Check("ROS 2", Level.FAIL, f"{distribution} is too old", "take ROS 2 Jazzy or later")
    elif importlib.util.find_spec("llava_ov_ros.msg") is None:
        text = "the messages of llava_ov_ros are not built"
        yield Check("ROS 2", Level.FAIL, text, "colcon build, then source install/setup.bash of the workspace")
    else:
        bare = "" if shutil.which("ros2") else ", without the command ros2: llava_ov_node --autostart starts the node"
        yield Check("ROS 2", Level.OK, (distribution or "sourced") + bare)


def check_logs() -> Check:
    """Check that the log directory can be written, without which rcl does not start."""
    given, home = os.environ.get("ROS_LOG_DIR"), os.environ.get("ROS_HOME")
    if not given and not home and not os.environ.get("HOME"):
        text = "none of ROS_LOG_DIR, ROS_HOME and HOME is set: no node starts"
        return Check("logs", Level.FAIL, text, "set ROS_LOG_DIR to a folder that this user can write")
    folder = Path(given) if given else Path(home or "~/.ros") / "log"
    try:
        folder = folder.expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"x" * 4096)
    except OSError as error:
        text = f"{folder} cannot be written ({error.strerror}): no node starts"
        return Check("logs", Level.FAIL, text, "set ROS_LOG_DIR to a folder that this user can write, with room left")
    return Check("logs", Level.OK, str(folder))


def check_shared_memory(folder: Path = SHARED_MEMORY) -> Check:
    """Check that the shared memory has room for Fast DDS' segments."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"x")
        free = shutil.disk_usage(folder).free
    except OSError as error:
        text = f"{folder} cannot be written ({error.strerror}): pictures go over UDP, and large ones get lost"
        return Check("shared memory", Level.FAIL, text, "docker run --ipc=host; without a container, mount it as tmpfs")
    if free < ROOM_BYTES:
        text = f"{free / 2**20:.0f} MiB free in {folder}, and each process of the shipped profile takes 32"
        return Check("shared memory", Level.FAIL, text, "a larger --shm-size; remove what killed processes left there")
    if others := _other_users(folder):
        uids = ", ".join(map(str, sorted(others)))
        text = f"Fast DDS runs, or ran, as another user too (uid {uids}): neither hears the other"
        return Check("shared memory", Level.WARN, text, "the same user for both, or FASTDDS_BUILTIN_TRANSPORTS=UDPv4")
    return Check("shared memory", Level.OK, f"{free / 2**20:.0f} MiB free in {folder}")


def _other_users(folder: Path) -> set[int]:
    """Return the users who own ports of Fast DDS.

    With the usual umask, only its owner may write to a port (docs/containers.md).
    """
    found = set()
    for file in folder.glob("fastrtps_port*"):
        # One whose process ends is gone.
        with suppress(OSError):
            found.add(file.stat().st_uid)
    return found - {os.geteuid()}


def check_segment(variables: Mapping[str, str] = os.environ) -> Check:
    """Check that the shared-memory segment of a publisher started from this shell is larger than a picture."""
    name = "shared-memory segment"
    remedy = f"start the camera's driver with {' and '.join(PROFILE_VARIABLES)} set to {named_profile()}"
    given = {variables[variable] for variable in PROFILE_VARIABLES if variables.get(variable)}
    if not given:
        text = f"no Fast DDS profile is set: {DEFAULT_SEGMENT_BYTES // 1024} KB, less than one 640x480 picture"
        return Check(name, Level.WARN, text, remedy)
    for file in sorted(given):
        try:
            root = ElementTree.parse(file).getroot()
        except OSError as error:
            return Check(name, Level.FAIL, f"the profile {file}: {error.strerror}", remedy)
        except ElementTree.ParseError as error:
            return Check(name, Level.FAIL, f"the profile {file} is not XML: {error}", remedy)
        sizes = [
            int(one.findtext("{*}segment_size") or DEFAULT_SEGMENT_BYTES)
            for one in root.findall(".//{*}transport_descriptor")
            if (one.findtext("{*}type") or "").strip().upper() == "SHM"
        ]
        if max(sizes, default=DEFAULT_SEGMENT_BYTES) < PICTURE_BYTES:
            largest = max(sizes, default=DEFAULT_SEGMENT_BYTES) // 1024
            text = f"the profile {file} gives {largest} KB, less than one 640x480 picture ({PICTURE_BYTES // 1024} KB)"
            return Check(name, Level.FAIL, text, remedy)
    return Check(name, Level.OK, f"larger than a picture, by {', '.join(sorted(given))}")


def check_model(model: str, device: str) -> Iterator[Check]:
    """Check the model's files and the room for the model on its device; imports torch."""
    from ..checkpoints import CheckpointError, DamageError, local_checkpoint

    try:
        directory = local_checkpoint(model)
    except CheckpointError as error:
        yield Check("model", Level.FAIL, str(error), "correct the name, or download the model")
        return
    if directory is None:
        yield Check("model", Level.NOTE, f"{model} is a name of the hub, which was not asked", "hf download it first")
        return
    try:
        from ..onevision.loading import check_model as planned

        plan = planned(str(directory), device=device, bfloat16_on_cpu=True)
    except DamageError as error:
        yield Check("model", Level.FAIL, str(error), "download it again, or name another directory")
    except CheckpointError as error:
        # Another copy would say the same.
        yield Check("model", Level.FAIL, str(error), f"mend it if the line says how, else name another model: {REAL}")
    except (ValueError, MemoryError) as error:
        yield Check("model", Level.FAIL, str(error), "give another --device or a smaller model")
    except ImportError as error:
        yield Check("model", Level.FAIL, f"the model's libraries do not import: {error}", "see versions, above")
    else:
        yield Check("model", Level.OK, f"{directory} needs {plan}")
        yield _device()


def _device() -> Check:
    import torch

    from ..onevision.memory import GIB, free_bytes

    if torch.cuda.is_available():
        free = free_bytes(torch.device("cuda"))
        return Check("GPU", Level.OK, f"{torch.cuda.get_device_name()}, {free / GIB:.1f} GiB free")
    free = free_bytes(torch.device("cpu"))
    if Path("/dev/nvidia0").exists() or Path("/dev/nvhost-gpu").exists():
        text = f"there is a GPU, and torch {torch.__version__} finds none: models run on the CPU"
        return Check("GPU", Level.WARN, text, "install a torch that is built for your CUDA, and look at nvidia-smi")
    return Check("GPU", Level.NOTE, f"none; {free / GIB:.1f} GiB of memory free", "rooms and small models run on a CPU")


def check_extras() -> Check:
    """Check the packages that only some commands need."""
    missing = [one for module, one in EXTRAS.items() if importlib.util.find_spec(module) is None]
    if not missing:
        return Check("extras", Level.OK, ", ".join(name for name, _, _ in EXTRAS.values()))
    text = "missing: " + ", ".join(f"{name} ({purpose})" for name, purpose, _ in missing)
    return Check("extras", Level.NOTE, text, "; ".join(how for _, _, how in missing))
