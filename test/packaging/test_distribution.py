"""What pip gets: a source distribution that builds a wheel, and a wheel that has every module and shipped file."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROS_FOLDERS = ("node", "live", "clients", "trees", "web")
"""Built by colcon alone."""
SHIPPED = ("models", "config", "examples")


def run(folder: Path, *words: str) -> None:
    command = [sys.executable, "setup.py", "-q", *words]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Names of the files in the wheel that is built from the source distribution, without the checkout."""
    folder = tmp_path_factory.mktemp("distribution")
    (folder / "about").mkdir()
    run(ROOT, "egg_info", "--egg-base", str(folder / "about"), "sdist", "--dist-dir", str(folder))
    (source,) = folder.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        archive.extractall(folder, filter="data")
    run(folder / source.name.removesuffix(".tar.gz"), "bdist_wheel", "--dist-dir", str(folder))
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built).namelist()


def test_the_wheel_has_every_module_that_needs_no_ros(wheel):
    files = (file for file in (ROOT / "llava_ov_ros").rglob("*") if file.suffix in (".py", ".json", ".html"))
    wanted = {str(file.relative_to(ROOT)) for file in files if file.relative_to(ROOT).parts[1] not in ROS_FOLDERS}
    assert {name for name in wheel if name.startswith("llava_ov_ros/")} == wanted


def test_the_wheel_has_every_shipped_file(wheel):
    files = [file for folder in SHIPPED for file in (ROOT / folder).rglob("*") if file.is_file()]
    hidden = {file for file in files if "__pycache__" in file.parts or file.name.startswith(".")}
    wanted = {str(file.relative_to(ROOT)) for file in {*files} - hidden}
    wanted |= {"package.xml", "requirements/runtime.txt", *(f"msg/{file.name}" for file in (ROOT / "msg").iterdir())}
    marker = ".data/data/share/llava_ov_ros/"
    assert {name.partition(marker)[2] for name in wheel if marker in name} == wanted
