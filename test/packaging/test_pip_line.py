"""The one line that installs what comes from pip: documented, told where a module is missing, and known to pip."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from llava_ov_ros.missing_module import install_line, says_missing

ROOT = Path(__file__).resolve().parents[2]
CHECKOUT = "src/llava_ov_ros"
"""Where a workspace has the checkout."""
BAG = ROOT / "examples" / "demo_room"
UNUSABLE = 2
FAILED = 1


def in_workspace(text: str) -> str:
    """A text with the line as a workspace has it; a program names the requirements beside itself."""
    return re.sub(r"\S+(?=/requirements/runtime\.txt)", CHECKOUT, text)


LINE = in_workspace(install_line())


@pytest.mark.parametrize("document", ["README.md", "docs/installation.md"])
def test_the_documented_line_is_the_one_that_is_told(document):
    assert LINE in (ROOT / document).read_text().splitlines()


def test_the_container_installs_the_same():
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    assert "python3 -m venv --system-site-packages venv" in dockerfile
    assert re.search(r"venv/bin/pip install .*-r requirements/runtime\.txt", dockerfile)


@pytest.mark.long
@pytest.mark.timeout(500)
def test_pip_takes_the_line(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / CHECKOUT).symlink_to(ROOT)
    line = LINE.replace("pip install", "pip install --dry-run --report report.json")
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{line} && echo $VIRTUAL_ENV"],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=480,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == str(tmp_path / ".venvs" / "llava_ov")
    chosen = {one["metadata"]["name"].lower() for one in json.loads((tmp_path / "report.json").read_text())["install"]}
    assert {"torch", "transformers", "tokenizers", "safetensors", "rosbags", "mcap", "llguidance"} <= chosen


def test_a_node_without_torch_says_the_line_and_ends(run_on_apt):
    ended = run_on_apt("llava_ov_node", "--autostart")
    assert (ended.returncode, ended.stdout) == (UNUSABLE, "")
    assert in_workspace(ended.stderr) == f"llava_ov_node: the Python module 'torch' is missing: run {LINE}\n"


def test_a_node_without_opencv_says_the_line_and_ends(run_on_apt, apt_variables, tmp_path):
    (tmp_path / "cv2.py").write_text("raise ModuleNotFoundError(\"No module named 'cv2'\", name='cv2')")
    path = f"{tmp_path}:{apt_variables['PYTHONPATH']}"
    ended = run_on_apt("llava_ov_node", env=apt_variables | {"PYTHONPATH": path})
    assert ended.returncode == UNUSABLE
    assert in_workspace(ended.stderr) == in_workspace(f"llava_ov_node: {says_missing('cv2')}\n")


def test_the_node_describes_itself_without_torch(run_on_apt):
    ended = run_on_apt("llava_ov_node", "--help")
    assert ended.returncode == 0, ended.stderr
    assert "--autostart" in ended.stdout


@pytest.mark.parametrize(
    ("words", "module"),
    [
        (("replay", str(BAG)), "rosbags"),
        (("replay", str(BAG), "--ask", "What is there?"), "rosbags"),
        (("eval", str(ROOT / "examples" / "suite.yaml"), "--out", "never_made"), "rosbags"),
        (("rooms", "evaluate", "--each", "1"), "torch"),
    ],
)
def test_a_command_that_lacks_a_package_says_the_line(run_on_apt, words, module, tmp_path):
    ended = run_on_apt("llava-ov", *words, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (FAILED, "")
    said = in_workspace(ended.stderr).removeprefix("loading rooms ...\n")
    assert said == f"llava-ov: error: the Python module {module!r} is missing: run {LINE}\n"


def test_the_doctor_says_the_line(run_on_apt):
    ended = run_on_apt("llava-ov", "doctor", "--json")
    found = {one["name"]: one for one in map(json.loads, ended.stdout.splitlines())}
    assert in_workspace(found["versions"]["remedy"]) == LINE
    assert "torch is missing" in found["versions"]["found"]
    assert found["middleware"]["remedy"] == "see versions, above"


def test_a_launch_file_that_plays_a_bag_says_the_line(run_on_apt):
    """The program that replay.launch.py runs to learn the bag's cameras; its error is the launch's."""
    ended = run_on_apt("python3", "-P", "-m", "llava_ov_ros.live.bag_cameras", str(BAG))
    assert ended.returncode == FAILED
    assert in_workspace(ended.stderr) == in_workspace(f"{says_missing('rosbags')}\n")
