"""What mypy checks, and that every engine is what those who ask need."""

import inspect
import re
import tomllib
from pathlib import Path

import pytest

from llava_ov_ros.asking import AnswersQuestions
from llava_ov_ros.onevision import Engine

ROOT = Path(__file__).resolve().parents[1]
GENERATED = {"llava_ov_ros.action.*", "llava_ov_ros.msg.*", "llava_ov_ros.srv.*"}


def test_mypy_checks_the_whole_package_but_what_ros_generates():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    assert (settings["packages"], settings["strict"]) == (["llava_ov_ros"], True)
    named = {name for override in settings["overrides"] for name in override["module"]}
    assert {name for name in named if name.startswith("llava_ov_ros")} == GENERATED


def test_nothing_is_left_unchecked_without_saying_what():
    unchecked = re.compile(r"# type: ignore(?!\[[a-z-]+\]$)|# mypy:")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sorted((ROOT / "llava_ov_ros").rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if unchecked.search(line)
    ]
    assert found == []


METHODS = [name for name, member in vars(AnswersQuestions).items() if inspect.isfunction(member) and name[0] != "_"]


@pytest.mark.parametrize("name", METHODS)
def test_the_engine_can_be_called_as_those_who_ask_call_it(name):
    wanted = inspect.signature(getattr(AnswersQuestions, name)).parameters
    offered = inspect.signature(getattr(Engine, name)).parameters
    assert [(one.name, one.kind) for one in wanted.values()] == [(one.name, one.kind) for one in offered.values()]
    for one in wanted.values():
        assert one.default is one.empty or offered[one.name].default is not one.empty, f"{one.name} may be left out"
