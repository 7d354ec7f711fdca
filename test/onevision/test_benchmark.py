"""The benchmark measures what it says: both sides answer alike, and work is counted."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from llava_ov_ros.bench.engine_goals import engine_benchmark
from llava_ov_ros.bench.measuring import Measurement

GOALS = ("P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P9")


def measured(shape: str, rooms: Path, repeats: int, goals: tuple[str, ...]) -> dict[str, Measurement]:
    found = engine_benchmark(
        shape,
        rooms / "tokenizer.json",
        device=torch.device("cpu"),
        dtype=torch.float32,
        repeats=repeats,
        goals=goals,
        note=lambda text: None,
    )
    return {goal.goal: goal for goal in found}


def test_all_goals_are_measured_and_give_the_same_tokens(rooms: Path) -> None:
    goals = measured("nano", rooms, 1, GOALS)
    assert tuple(goals) == GOALS
    for goal in goals.values():
        assert goal.ratio > 0
        assert goal.at_most is (goal.goal in ("P6", "P9"))
        if goal.goal != "P6":
            assert goal.ours_s is not None
            assert goal.theirs_s is not None
            ratio = goal.ours_s / goal.theirs_s if goal.at_most else goal.theirs_s / goal.ours_s
            assert goal.ratio == pytest.approx(ratio)
        assert goal.identical_tokens is (None if goal.goal in ("P5", "P6", "P8", "P9") else True)
    counters = goals["P6"].counters
    assert counters is not None
    assert counters["tower_passes_per_frame"] == 1
    assert goals["P6"].ratio == pytest.approx(counters["prefilled_tokens"] / counters["ideal_tokens"])
    assert goals["P6"].ratio <= 1.05


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_on_the_slice_both_sides_give_the_same_tokens(rooms: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`llava-ov bench engine --shape slice --repeats 7` measures the ratios that docs/performance.md states."""
    goals = measured("slice", rooms, 1, ("P1", "P2", "P3", "P4", "P6"))
    with capsys.disabled():
        for goal in goals.values():
            print(f"\n{goal.goal} {goal.what}: ratio {goal.ratio:.2f}, aimed at {goal.target:g}")
    assert [goal.identical_tokens for goal in goals.values()] == [True, True, True, True, None]
    counters = goals["P6"].counters
    assert counters is not None
    assert counters["tower_passes_per_frame"] == 1
    assert counters["prefilled_tokens"] <= 1.05 * counters["ideal_tokens"]
