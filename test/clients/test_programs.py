"""The programs of docs/from-goal-to-motion.md: the page shows what runs, from a goal to DONE on a rendered room."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fixtures.mug_episode import GOAL, STEPS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "from-goal-to-motion.md").read_text()
MOST_LINES = 30
PROGRAMS = {
    "follow_hints.py": (GOAL,),
    "follow_tree.py": (GOAL, "mug"),
    "follow_pddl.py": ("mug", "desk", "shelf", "bed"),
}


def test_the_page_shows_the_programs():
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    programs = {name: (ROOT / "examples" / name).read_text() for name in ("my_robot.py", *PROGRAMS)}
    assert blocks == list(programs.values())
    assert [name for name, text in programs.items() if len(text.splitlines()) > MOST_LINES] == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_from_the_goal_to_done(name, mug_robot):
    code, said = mug_robot.run([str(ROOT / "examples" / name), *PROGRAMS[name]])
    assert code == 0, said
    assert [line for line in said if line in STEPS] == list(STEPS)
