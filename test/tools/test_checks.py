"""The checks of `make test` are those of a commit, and what continuous integration runs is there to be run."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
RUN = (ROOT / ".ci" / "run").read_text()


def recipe(target: str) -> str:
    """The lines below a target of the Makefile."""
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert found, f"the Makefile has no target {target}"
    return found[1]


def test_a_commit_is_checked_as_make_test_does():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    checks = re.findall(r'echo "\[test \d/\d\] [^"]*"; ((?:ruff|mypy|lint-imports)[^;]*?) ;', recipe("test"))
    assert [hook["entry"] for hook in hooks] == checks


def test_continuous_integration_runs_every_kind_of_tests():
    steps = re.findall(r"^step (\S+)$", RUN, re.MULTILINE)
    (tests,) = re.findall(r"^test-all: (.*)$", MAKEFILE, re.MULTILINE)
    assert steps == ["setup", *tests.split()]
    assert all(recipe(step) for step in steps)
    assert {*re.findall(r"\[([\w-]+)\]=\d+", RUN)} == {*steps}


def test_the_workflow_runs_it_with_a_python_of_the_project():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    steps = workflow["jobs"]["all"]["steps"]
    assert ".ci/run" in [step.get("run") for step in steps]
    (version,) = (step["with"]["python-version"] for step in steps if "python-version" in step.get("with", {}))
    assert version == tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["python_version"]
    assert "secrets" not in str(workflow)
