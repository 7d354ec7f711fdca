"""package.xml, CHANGELOG.rst and setup.py against what rosdep, catkin_pkg and bloom ask of a released package."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from catkin_pkg.changelog import Changelog, get_changelog_from_path, populate_changelog_from_rst
from catkin_pkg.cli.tag_changelog import get_forthcoming_label, rename_section
from catkin_pkg.package import parse_package

from llava_ov_ros.missing_module import PLANNER_PACKAGES

# Of catkin_pkg with a new docutils.
pytestmark = pytest.mark.filterwarnings("ignore:nodes.Node.traverse:DeprecationWarning")

ROOT = Path(__file__).resolve().parents[2]
ROS_KEYS = {
    "action_msgs",
    "ament_cmake",
    "ament_cmake_pytest",
    "ament_cmake_python",
    "ament_index_python",
    "builtin_interfaces",
    "cv_bridge",
    "diagnostic_msgs",
    "launch",
    "launch_ros",
    "lifecycle_msgs",
    "rcl_interfaces",
    "rclpy",
    "rosgraph_msgs",
    "rosidl_default_generators",
    "rosidl_default_runtime",
    "sensor_msgs",
    "std_msgs",
}
"""Released in Jazzy and in Kilted: jazzy/distribution.yaml and kilted/distribution.yaml of ros/rosdistro, 8468e88."""
APT_KEYS = {
    "python3-httpx": "python3-httpx",
    "python3-jsonschema": "python3-jsonschema",
    "python3-numpy": "python3-numpy",
    "python3-opencv": "python3-opencv",
    "python3-pil": "python3-pil",
    "python3-psutil": "python3-psutil",
    "python3-pytest": "python3-pytest",
    "python3-pytest-timeout": "python3-pytest-timeout",
    "python3-tqdm": "python3-tqdm",
    "python3-venv": "python3-venv",
    "python3-yaml": "python3-yaml",
}
"""Packages of apt on Ubuntu 24.04 (noble) by their keys: rosdep/python.yaml of ros/rosdistro, 8468e88 (2026-08-22)."""
MODULES = {"python3-opencv": "cv2", "python3-pil": "PIL", "python3-yaml": "yaml"}
"""What a package of apt is imported as, where that is not the key without `python3-`."""
PIP_MODULES = {
    "httpx-sse": "httpx_sse",
    "huggingface-hub": "huggingface_hub",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "pyyaml": "yaml",
}
"""What a package of requirements/runtime.txt is imported as, where that is not its name."""
BROUGHT = {"backports": "rosbags", "lz4": "rosbags"}
"""Modules of packages that another one of requirements/runtime.txt installs."""
NEWER = {"compression"}
"""Modules of Python 3.14, in whose place older Pythons have one of those above."""
OPTIONAL = {
    "av",
    "lmms_eval",
    "py_trees",
    "pycocoevalcap",
    "ray",
    "rerun",
    "starlette",
    "torchao",
    "unified_planning",
    "uvicorn",
}
"""Imported only where the extra of setup.py is there."""


def manifest():
    warnings: list[str] = []
    package = parse_package(str(ROOT / "package.xml"), warnings=warnings)
    assert warnings == []
    return package


def keys() -> set[str]:
    package = manifest()
    kinds = ("buildtool", "buildtool_export", "build", "build_export", "exec", "test", "doc")
    return {one.name for kind in kinds for one in getattr(package, f"{kind}_depends")}


def test_every_dependency_is_a_package_of_apt():
    assert keys() - ROS_KEYS - APT_KEYS.keys() == set()
    assert [key for key in keys() if key.endswith("-pip")] == []


def imported() -> set[str]:
    """Top-level modules that the installed files import, without those of Python and of the package."""
    files = [file for folder in ("llava_ov_ros", "launch", "examples") for file in (ROOT / folder).rglob("*.py")]
    found = set()
    for file in [*files, *(ROOT / "bin").iterdir()]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {name.name for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(node.module or "")
    # Examples import the one in the place of a robot.
    return {name.partition(".")[0] for name in found} - set(sys.stdlib_module_names) - {"llava_ov_ros", "my_robot"}


def test_the_message_about_a_missing_planner_installs_the_extra():
    calls = [node for node in ast.walk(ast.parse((ROOT / "setup.py").read_text())) if isinstance(node, ast.Call)]
    (extras,) = (word.value for call in calls for word in call.keywords if word.arg == "extras_require")
    assert set(ast.literal_eval(extras)["planner"]) == set(PLANNER_PACKAGES.values())


def test_every_imported_module_is_installed_by_rosdep_or_by_the_line_with_pip():
    by_rosdep = {MODULES.get(key, key.removeprefix("python3-")) for key in keys()}
    lines = (ROOT / "requirements" / "runtime.txt").read_text().splitlines()
    pinned = {line.partition("==")[0] for line in lines if line and not line.startswith("#")}
    by_pip = {PIP_MODULES.get(name, name) for name in pinned}
    assert set(BROUGHT.values()) <= pinned
    assert imported() - by_rosdep - by_pip - BROUGHT.keys() - NEWER - OPTIONAL == set()


def test_the_version_is_the_same_everywhere():
    version = manifest().version
    command = [sys.executable, str(ROOT / "setup.py"), "--version"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.split()[-1] == version
    assert releases()[0] in (version, "Forthcoming")


def releases() -> list[str]:
    """Headings of CHANGELOG.rst as catkin_pkg reads them for bloom, the newest first."""
    changelog = get_changelog_from_path(str(ROOT), "llava_ov_ros")
    assert changelog.package_name == "llava_ov_ros"
    forthcoming = get_forthcoming_label((ROOT / "CHANGELOG.rst").read_text())
    return [*([str(forthcoming)] if forthcoming else []), *(version for version, _, _ in changelog.foreach_version())]


def test_bloom_can_release_what_the_changelog_holds():
    """`catkin_prepare_release` renames the section "Forthcoming" to the version; its parser takes the result."""
    version = manifest().version
    text = (ROOT / "CHANGELOG.rst").read_text()
    if releases()[0] == "Forthcoming":
        text = rename_section(text, "Forthcoming", f"{version} (2026-01-01)")
    changelog = populate_changelog_from_rst(Changelog("llava_ov_ros"), text)
    entries = {version: content for version, _, content in changelog.foreach_version()}
    assert version in entries
    assert all(str(line).strip() for content in entries.values() for line in content)
