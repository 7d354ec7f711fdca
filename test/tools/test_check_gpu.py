"""The script for a GPU, rehearsed on the CPU with the nano shape: every part runs, and a fault is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
PARTS = ["identity-nano", "index", "memory-nano", "capture-nano", "int8-nano", "int4-nano", "bench-nano"]


@pytest.mark.long
@pytest.mark.timeout(1900)
def test_a_rehearsal_without_a_gpu(tmp_path: Path) -> None:
    out = tmp_path / "found" / "check.json"
    command = [str(TOOLS / "check_gpu.sh"), "--device", "cpu", "--shape", "nano", "--out", str(out)]
    environment = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text())
    assert list(found["sections"]) == PARTS
    assert found["failed"] == [] and found["device"] == "cpu"
    told = {name: [line["check"] for line in lines] for name, lines in found["sections"].items()}
    assert sorted(told["bench-nano"]) == [f"P{number}" for number in range(1, 10)]
    assert len(told["identity-nano"]) == 2 * (4 + 3 + 1), "fixed steps, generate, and the shapes, in two formats"
    assert told["int8-nano"] == told["int4-nano"] == ["a CPU refuses what it cannot compute"]


def test_what_failed_and_what_never_ran_is_told(tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    parts.mkdir()
    (parts / "00-identity-slice").write_text(
        '{"check": "float32 fixed 0", "ok": false}\n{"check": "else", "ok": true}\n'
    )
    (parts / "01-index").write_text("")
    (parts / "02-bench-7b").write_text('{"check": "P1", "ok": null}\n{"check": "process", "ok": false}\n')
    out = tmp_path / "check.json"
    command = [sys.executable, str(TOOLS / "check_gpu.py"), "join", "--device", "cpu", "--parts", str(parts)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TOOLS.parent), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([*command, "--out", str(out)], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1, done.stderr
    assert json.loads(out.read_text())["failed"] == [
        "identity-slice: float32 fixed 0",
        "bench-7b: process",
        "index: nothing was checked",
    ]


@pytest.mark.parametrize("arguments", [["--devise", "cpu"], ["--device"]])
def test_a_wrong_option_is_refused(arguments: list[str]) -> None:
    command = [str(TOOLS / "check_gpu.sh"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "option" in done.stderr
