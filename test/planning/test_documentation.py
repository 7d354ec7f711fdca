"""docs/planning.md: its program runs, its vocabulary loads, and it explains every code, condition and effect."""

from __future__ import annotations

import re
from pathlib import Path

from llava_ov_ros.planning import Reason, load_vocabulary
from llava_ov_ros.planning.vocabulary import CONDITIONS, EFFECTS

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "planning.md").read_text()


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", TEXT, flags=re.DOTALL | re.MULTILINE)
    assert found is not None
    return found.group(1)


def test_the_program(capsys):
    exec(compile(block("python"), "planning.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == [
        "GotoLocation countertop",
        "line 2: '2. Pick up the mug and put it in the fridge.' was not read: in 'put it in the fridge': "
        "PutObject takes 2 (object, receptacle), and 1 of the vocabulary's classes are named",
        "True",
    ]


def test_the_vocabulary(tmp_path):
    file = tmp_path / "robot.yaml"
    file.write_text(block("yaml"))
    assert list(load_vocabulary(file).actions) == ["DriveTo", "Load", "Deliver", "Done"]


def test_everything_is_explained():
    rows = [line.split("|")[1] for line in TEXT.splitlines() if line.startswith("|")]
    explained = {word for row in rows for word in re.findall(r"`(\w+)", row)}
    assert {reason.value for reason in Reason} | set(CONDITIONS) | set(EFFECTS) <= explained
