"""An environment as apt and rosdep leave it: ROS 2, the Python packages of package.xml, and nothing from pip."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path

import pytest

HIDDEN = ("_ROS_WHEELS_BOOTSTRAP_COMPLETE", "Python_ROOT_DIR", "Python3_ROOT_DIR")
"""Variables of other environments: the wheels' own, and those of a workflow, which CMake prefers to the active one."""
FROM_PIP = (
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "huggingface-hub",
    "rosbags",
    "mcap",
    "llguidance",
    "httpx-sse",
)
"""Packages of requirements/runtime.txt that package.xml cannot name."""


@pytest.fixture(scope="session")
def apt_python(tmp_path_factory) -> Path:
    """The environment's interpreter. Its packages are links to those of the environment that runs the tests."""
    here, there = Path(sys.prefix), tmp_path_factory.mktemp("apt") / "environment"
    system = "include-system-site-packages = true" in (here / "pyvenv.cfg").read_text()
    venv.create(there, with_pip=False, symlinks=True, system_site_packages=system)
    packages = Path(sysconfig.get_path("purelib"))
    for one in distributions(path=[str(packages)]):
        if one.metadata["Name"].lower().replace("_", "-") in FROM_PIP:
            continue
        for file in one.files or ():
            source = Path(os.path.normpath(packages / file))
            link = there / source.relative_to(here)
            if source.is_file() and source.suffix != ".pyc" and not link.exists():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(source)
    return there / "bin" / "python3"


@pytest.fixture(scope="session")
def apt_variables(apt_python) -> dict[str, str]:
    """The variables of a shell in which that environment is active, and ROS 2 as where the tests run."""
    here, there = sys.prefix, str(apt_python.parents[1])
    kept = {name: value for name, value in os.environ.items() if name not in HIDDEN}
    paths = [
        there if os.path.realpath(path) == os.path.realpath(here) else path
        for path in os.environ["AMENT_PREFIX_PATH"].split(":")
    ]
    return {
        **kept,
        "VIRTUAL_ENV": there,
        "PATH": f"{apt_python.parent}:{os.environ['PATH']}",
        "AMENT_PREFIX_PATH": ":".join(paths),
    }


@pytest.fixture(scope="session")
def run_on_apt(apt_variables) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command in that environment: `run_on_apt(words, timeout=60, **options_of_subprocess)`."""

    def run(*words: str, timeout: float = 60, **options: object) -> subprocess.CompletedProcess[str]:
        given = {"env": apt_variables, "capture_output": True, "text": True, "check": False, "timeout": timeout}
        return subprocess.run(words, **(given | options))  # type: ignore[call-overload]

    return run
