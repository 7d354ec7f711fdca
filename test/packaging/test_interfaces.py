"""The built messages, with nothing that comes from pip: also what `colcon test` runs with the packages of apt alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FROM_PIP = ("torch", "transformers", "tokenizers", "safetensors", "huggingface_hub", "rosbags", "mcap", "llguidance")
IMPORTS_NOTHING = ("llava_ov_ros", "llava_ov_ros.msg", "llava_ov_ros.srv", "llava_ov_ros.action")
"""Of these a client imports what it needs."""


def loaded_by(module: str) -> set[str]:
    """Top-level modules that are there after a module was imported in a process of its own."""
    program = f"import sys, {module}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    command = [sys.executable, "-P", "-c", program]
    return {*subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()}


@pytest.mark.parametrize("module", IMPORTS_NOTHING)
def test_a_client_of_the_messages_loads_no_library_of_the_node(module):
    assert loaded_by(module) & {*FROM_PIP, "cv2", "numpy", "PIL", "yaml", "rclpy"} == set()


def imports_of_launch_files() -> list[str]:
    """Modules of the package that launch files import, in the system's Python that `ros2` runs with."""
    found = set()
    for file in (ROOT / "launch").glob("*.py"):
        nodes = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)]
        found |= {node.module for node in nodes if node.module and node.module.startswith("llava_ov_ros")}
    return sorted(found)


@pytest.mark.parametrize("module", [*imports_of_launch_files(), "llava_ov_ros.node.main", "llava_ov_ros.cli.main"])
def test_what_starts_a_program_loads_nothing_from_pip(module):
    assert loaded_by(module) & {*FROM_PIP} == set()


def test_every_interface_has_a_class():
    for folder in ("msg", "srv", "action"):
        names = {file.stem for file in (ROOT / folder).iterdir()}
        program = f"import llava_ov_ros.{folder} as built; print(*[name for name in dir(built) if name[0].isupper()])"
        command = [sys.executable, "-P", "-c", program]
        made = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        assert names <= {*made}, folder
