"""The examples in the docstrings of clients and behaviours, as programs of a real node with the shipped model."""

from __future__ import annotations

import inspect
import re
import textwrap

import pytest
from fixtures.mug_episode import GOAL, STEPS

from llava_ov_ros import clients, trees

EXPECTED = {
    clients.AskClient: [r"yes [01]\.\d\d 4 frames", "True"],
    clients.PlanClient: [*(f"{number} {step}.*" for number, step in enumerate(STEPS, 1)), "accepted"],
    clients.HintClient: [STEPS[0], rf"\['{STEPS[0]}'\]", f"no longer: {GOAL}"],
    trees.AskQuestion: [r"SUCCESS \w+"],
    trees.AskChoice: [r"SUCCESS, yes \([01]\.\d\d\), on the shelf \([01]\.\d\d\)"],
    trees.MakePlan: [f"SUCCESS {'; '.join(STEPS)}"],
    trees.FollowHints: [*STEPS, "SUCCESS done"],
}


def documented(kind: type) -> str:
    """The program in a class's docstring."""
    example = inspect.getdoc(kind).partition("\nExample:\n")[2]
    return textwrap.dedent(example)


def test_every_client_and_behaviour_has_an_example():
    public = {getattr(module, name) for module in (clients, trees) for name in module.__all__}
    errors = {one for one in public if issubclass(one, Exception)}
    assert public - errors - {clients.Pending} == set(EXPECTED)


@pytest.mark.parametrize("kind", EXPECTED, ids=lambda kind: kind.__name__)
def test_the_example_runs(kind, mug_robot):
    code, said = mug_robot.run(["-P", "-c", documented(kind)])
    assert code == 0, said
    assert len(said) == len(EXPECTED[kind]), said
    wrong = [line for line, wanted in zip(said, EXPECTED[kind], strict=True) if not re.fullmatch(wanted, line)]
    assert wrong == []
