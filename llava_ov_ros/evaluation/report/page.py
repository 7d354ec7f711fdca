"""Writes report.html: one page with all data in it, which needs no network."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...frames import NS_PER_S
from ..run.answer_scores import Row
from ..run.bag_answers import picture_name
from ..suite.preflight import Shard

PAGE = Path(__file__).with_name("page.html")
PLACE = "@DATA@"
# Browsers, above all on phones, cannot open much larger pages.
MOST_PICTURE_BYTES = 48 * 2**20
MEANINGS: Mapping[str, str] = {
    "em": "exact match: the answer is one of the right ones to the letter; of yes or no and of counts, the same value",
    "em_refined": "one of the right answers is in the answer, or the answer in it, after cleaning both (LEO)",
    "rouge_l": "ROUGE-L: how much of the right answer's words the answer has in the same order, and how little else",
    "em_zh": "exact match of answers in Chinese, marks left out (CMRC 2018)",
    "f1_zh": "F1 of the longest run of characters that answer and right answer share, in Chinese (CMRC 2018)",
    "multi_choice": "the right choice, by its letter or words (LLaVA-Interleave-Bench)",
    "yes_no": "yes or no, as is right",
    "count": "the first number in the answer is the right one",
    "choice": "the right choice, by its letter, its words or both",
    "choice_lenient": "the right choice, also where the answer says more than its letter",
    "plan_exact": "the plan has the right steps in the right order",
    "plan_step_f1": "F1 of the plan's steps, in any order: how many of the right steps it has, and how few others",
    "plan_valid": "every step of the plan can be done where it stands",
    "plan_goal_conditions": "the share of the goals' conditions that hold once the plan is done",
    "plan_success": "the plan is valid, and all conditions of its goal hold in the end",
    "plan_weighted_success": "success, less where the plan has more steps than the right one",
}
"""A line of explanation for each metric; docs/metrics.md has the definitions."""


def report(
    summary: Mapping[str, Any],
    timing: Mapping[str, Any],
    results: Sequence[tuple[Shard, Row]],
    frames: Path,
    comparison: Mapping[str, Any] | None = None,
    compared_with: str = "",
    notice: str = "",
) -> str:
    """Make the page, as HTML text.

    Args:
        summary: Summary of the run.
        timing: Times of the run.
        results: Every bag and answer, with the answer's scores.
        frames: Folder of the small pictures.
        comparison: Comparison with another run; None without one.
        compared_with: Name of the other run.
        notice: Text that the page shows before everything else; empty for none.
    """
    data = {
        "summary": summary,
        "notice": notice,
        "meanings": {name: MEANINGS[name] for name in summary.get("metrics", {})},
        "timing": {"latency": timing["latency"]},
        "delivery": timing.get("delivery"),
        "comparison": comparison,
        "compared_with": compared_with,
        "rows": [_for_page(shard, row) for shard, row in results],
        "tiles": (tiles := dict(_tiles(results, frames))),
        "left_out": len(_tile_names(results)) - len(tiles),
    }
    # No text may end the HTML element in which it stands.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    before, after = PAGE.read_text(encoding="utf-8").split(PLACE)
    return before + text + after


def _for_page(shard: Shard, row: Row) -> Row:
    """A row whose frames have the names of their pictures, and their age relative to the newest frame."""
    newest_ns = max((frame["stamp_ns"] for frame in row["frames"]), default=0)
    frames = [
        {
            "camera": frame["camera"],
            "tile": _tile_name(shard, frame),
            "ago_s": round((frame["stamp_ns"] - newest_ns) / NS_PER_S, 3),
        }
        for frame in row["frames"]
    ]
    return row | {"frames": frames}


def _tile_name(shard: Shard, frame: Mapping[str, Any]) -> str:
    cameras = [camera.name for camera in shard.cameras]
    return picture_name(shard.number, cameras.index(frame["camera"]), frame["stamp_ns"])


def _tile_names(results: Sequence[tuple[Shard, Row]]) -> list[str]:
    """Names of all small pictures without repeats; pictures of answers that are not right come first."""
    by_need = sorted(results, key=lambda one: min(one[1]["scores"].values(), default=1.0))
    return list(dict.fromkeys(_tile_name(shard, frame) for shard, row in by_need for frame in row["frames"]))


def _tiles(results: Sequence[tuple[Shard, Row]], frames: Path) -> Iterator[tuple[str, str]]:
    """Yield names and base64 data of the small pictures, up to MOST_PICTURE_BYTES."""
    left = MOST_PICTURE_BYTES
    for name in _tile_names(results):
        path = frames / name
        if not path.exists() or (left := left - path.stat().st_size) < 0:
            continue
        yield name, base64.b64encode(path.read_bytes()).decode()
