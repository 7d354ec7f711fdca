"""tools/env.bash in a script of the user's own: its arguments and options stay the script's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WHEELS = "kilted" if ".venv-kilted" in sys.prefix else "jazzy"
SCRIPT = f'source "{ROOT}/tools/env.bash"; echo "$- $# $1 $VIRTUAL_ENV"; command -v llava-ov'


def run(options: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a script that loads the environment, as a user's shell would: with nothing of this environment."""
    clean = {"HOME": os.environ.get("HOME", "/"), "PATH": "/usr/local/bin:/usr/bin:/bin"}
    command = ["bash", options, "pipefail", "-c", SCRIPT, "script", *arguments]
    return subprocess.run(command, env=clean | variables, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("options", ["-o", "-euo"])
@pytest.mark.parametrize("arguments", [("bag.mcap",), ("kilted", "two"), ("--help",)])
def test_a_script_keeps_its_arguments_and_options(options, arguments):
    ended = run(options, *arguments, LLAVA_OV_WHEELS=WHEELS)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    told, program = ended.stdout.splitlines()
    flags, count, first, environment = told.split()
    assert (count, first) == (str(len(arguments)), arguments[0])
    assert ("u" in flags, "e" in flags) == ("u" in options, "e" in options)
    assert Path(environment).name == (".venv" if WHEELS == "jazzy" else f".venv-{WHEELS}")
    assert Path(program).is_relative_to(ROOT)


def test_an_environment_that_is_not_built_is_named_with_the_remedy():
    ended = run("-o", "an argument", LLAVA_OV_WHEELS="rolling")
    assert "LLAVA_OV_WHEELS=rolling" in ended.stderr
    assert "make setup WHEELS=rolling" in ended.stderr
