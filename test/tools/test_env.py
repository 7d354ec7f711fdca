"""tools/env.bash in a script of the user's own, commands without it, and variables of make."""

from __future__ import annotations

import os
import re
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


@pytest.mark.parametrize("program", ["llava-ov", "llava_ov_node"])
def test_a_program_without_the_environment_says_how_to_load_it(program, tmp_path):
    command = [sys.executable, "-I", "-S", str(ROOT / "bin" / program), "--help"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"{program}: error: the package llava_ov_ros is not found: source tools/env.bash")


@pytest.mark.parametrize(("given", "unknown"), [("BGA=x", "BGA"), ("ASK=Is x=3 there?", ""), ("BAG=x", "")])
def test_make_knows_the_variables_that_it_is_given(given, unknown):
    ended = subprocess.run(["make", "-n", "demo", given], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == (2 if unknown else 0), ended.stderr
    assert f"there is no variable {unknown}: there are PYTHON BAG ASK" in ended.stderr or not unknown


def test_what_the_help_of_make_names_is_known_to_it():
    help_text = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    named = set(re.findall(r"\b([A-Z]+)=", help_text))
    assert len(named) >= 9
    command = ["make", "-n", "help", *(f"{name}=1" for name in sorted(named))]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0
