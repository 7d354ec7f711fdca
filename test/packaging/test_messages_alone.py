"""The package built with the packages of apt alone: its messages serve a client, and a node started elsewhere."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from llava_ov_ros.missing_module import says_missing

ROOT = Path(__file__).resolve().parents[2]
COLCON = ("python3", "-c", "import sys; from colcon_core.command import main; sys.exit(main())")
BUILD_S, TEST_S, START_S = 900, 300, 120
NO_ANSWER = 1
"""Exit code of examples/ask.py where the node refuses."""
pytestmark = [pytest.mark.long, pytest.mark.timeout(BUILD_S + TEST_S)]


def without_this_build(value: str) -> str:
    """A list of folders without those of the package as the tests have it."""
    return ":".join(path for path in value.split(":") if path and not path.startswith(f"{ROOT}/install"))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, run_on_apt, apt_variables) -> Path:
    """A workspace in which the package is built without torch, transformers and whatever else comes from pip."""
    folder = tmp_path_factory.mktemp("workspace")
    (folder / "src").mkdir()
    (folder / "src" / "llava_ov_ros").symlink_to(ROOT)
    variables = apt_variables | {
        name: without_this_build(apt_variables.get(name, ""))
        for name in ("AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH", "COLCON_PREFIX_PATH", "PYTHONPATH")
    }
    # The wheels lie in the environment itself; a sourced ROS 2 has said where it is.
    variables["CMAKE_PREFIX_PATH"] = f"{variables['VIRTUAL_ENV']}:{variables['CMAKE_PREFIX_PATH']}"
    words = (*COLCON, "build", "--packages-select", "llava_ov_ros", "--cmake-args", "-DBUILD_TESTING=ON")
    ended = run_on_apt(*words, cwd=folder, env=variables, timeout=BUILD_S)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder


@pytest.fixture(scope="module")
def built(workspace, apt_variables) -> dict[str, str]:
    """The variables of a shell that has sourced the workspace's setup.bash in the environment without torch."""
    return sourced(workspace, apt_variables)


def sourced(workspace: Path, variables: dict[str, str]) -> dict[str, str]:
    script = "source install/setup.bash && env -0"
    clean = {name: without_this_build(value) if name.endswith("PATH") else value for name, value in variables.items()}
    told = subprocess.run(["bash", "-c", script], cwd=workspace, env=clean, capture_output=True, text=True, check=True)
    found = dict(line.split("=", 1) for line in told.stdout.split("\0") if line)
    return {name: value for name, value in found.items() if name != "_ROS_WHEELS_BOOTSTRAP_COMPLETE"}


@pytest.fixture(scope="module")
def node(workspace, domain_of_children) -> Generator[None]:
    """A node of that build, started in the environment of the tests, which has what comes from pip."""
    variables = sourced(workspace, {**os.environ}) | {"ROS_DOMAIN_ID": domain_of_children}
    program = workspace / "install" / "llava_ov_ros" / "lib" / "llava_ov_ros" / "llava_ov_node"
    variables["PATH"] = f"{Path(sys.executable).parent}:{variables['PATH']}"
    command = [str(program), "--autostart"]
    process = subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if "active" in line and "inactive" not in line:
            break
    assert process.poll() is None, "".join(said)
    yield
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=START_S)


def test_a_client_asks_with_the_messages_alone(node, built, domain_of_children, run_on_apt, tmp_path):
    loaded = "import sys; print(*sorted({'torch', 'transformers'} & sys.modules.keys()), 'loaded', file=sys.stderr)"
    program = f"import runpy\ntry:\n    runpy.run_path({str(ROOT / 'examples' / 'ask.py')!r}, run_name='__main__')\n"
    program += f"finally:\n    {loaded}"
    words = ("python3", "-c", program, "Is there a mug?", "--kind", "yes_no", "--wait", "60")
    ended = run_on_apt(*words, cwd=tmp_path, env=built | {"ROS_DOMAIN_ID": domain_of_children}, timeout=START_S)
    assert ended.returncode == NO_ANSWER, ended.stderr
    assert re.match(r"no answer \(status \d+\): .*camera", ended.stdout), ended.stdout
    assert ended.stderr.split() == ["loaded"]


def test_this_build_does_not_hold_the_libraries_of_the_model(built, run_on_apt, tmp_path):
    ended = run_on_apt("python3", "-c", "import llava_ov_ros.msg; import torch", cwd=tmp_path, env=built)
    assert "No module named 'torch'" in ended.stderr
    ended = run_on_apt("llava-ov", "replay", str(ROOT / "examples" / "demo_room"), cwd=tmp_path, env=built)
    assert says_missing("rosbags").partition(" -r ")[0] in ended.stderr


def test_colcon_test_passes_and_reports_what_it_skips(workspace, built, run_on_apt):
    ended = run_on_apt(*COLCON, "test", "--packages-select", "llava_ov_ros", cwd=workspace, env=built, timeout=TEST_S)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = run_on_apt(*COLCON, "test-result", "--all", "--verbose", cwd=workspace, env=built)
    assert told.returncode == 0, told.stdout
    counts = {
        Path(name).name.removesuffix(".xunit.xml"): (int(tests), int(skipped))
        for name, tests, skipped in re.findall(r"(\S+\.xunit\.xml): (\d+) tests?, .* (\d+) skipped", told.stdout)
    }
    tests, skipped = counts.pop("interfaces")
    assert (tests > 5, skipped) == (True, 0)
    assert counts == dict.fromkeys(("frames", "questions", "planning", "rooms", "replay", "node"), (1, 1))
