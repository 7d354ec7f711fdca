"""`llava-ov replay --rrd`: read by Rerun's own program."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from llava_ov_ros.cli.main import main

pytestmark = pytest.mark.extras
ROOT = Path(__file__).resolve().parents[2]
ROOM = ROOT / "examples" / "demo_room"


@pytest.mark.timeout(600)
def test_rerun_reads_pictures_and_answers(tmp_path, capsys):
    out = tmp_path / "out.rrd"
    assert main(["replay", str(ROOM), "--questions", str(ROOM / "truth.json"), "--rrd", str(out), "--json"]) == 0
    assert f"recorded: {out}" in capsys.readouterr().err
    program = Path(sys.executable).with_name("rerun")
    read = subprocess.run([program, "rrd", "verify", out], capture_output=True, text=True, check=False)
    assert read.returncode == 0, read.stdout + read.stderr
    shown = subprocess.run([program, "rrd", "print", "-vv", out], capture_output=True, text=True, check=True).stdout
    for path, kind in (
        ("camera", "EncodedImage"),
        ("llava_ov/answers", "TextDocument"),
        ("llava_ov/evidence", "EncodedImage"),
    ):
        assert re.search(rf"/{path}.*{kind}|{kind}.*/{path}", shown, re.DOTALL), (path, shown[:2000])
    code = main(["replay", str(ROOM), "--ask", "?", "--rrd", str(out)])
    assert code == 1 and "exists: name a new file" in capsys.readouterr().err
