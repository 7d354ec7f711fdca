"""Every command's --help: instant, and it loads neither the model's libraries nor ROS."""

from __future__ import annotations

import subprocess
import sys

import pytest

COMMANDS = (
    ["replay"],
    ["demo"],
    ["parameters"],
    ["cameras"],
    ["web"],
    ["doctor"],
    ["bench"],
    ["bench", "callbacks"],
    ["bench", "engine"],
    ["rooms"],
    ["rooms", "evaluate"],
    ["rooms", "record"],
    ["rooms", "episodes"],
    ["plan"],
    ["plan", "validate"],
    ["eval"],
    ["eval", "interleave"],
    ["score"],
    [],
)
HEAVY = {"torch", "transformers", "cv2", "numpy", "rosbags", "rclpy", "PIL"}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_is_instant(command):
    check = (
        "import sys; from llava_ov_ros.cli.main import main\n"
        f"try: main({[*command, '--help']})\n"
        "except SystemExit as left: assert left.code == 0\n"
        f"assert not {HEAVY} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert f"usage: llava-ov {' '.join(command)}".strip() in done.stdout
    examples = done.stdout.partition("\nexamples:\n")[2]
    assert f"  llava-ov {' '.join(command)}".rstrip() in examples
    assert "\nexit codes: 0 " in examples
