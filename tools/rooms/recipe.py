"""What is shown and asked in training, in which order, and how fast is learnt."""

from __future__ import annotations

from dataclasses import dataclass

from llava_ov_ros.rooms.room_questions import CATEGORIES


@dataclass(frozen=True)
class Stage:
    """A part of the recipe.

    Attributes:
        name: For the log.
        steps: How many.
        mix: (mode, frames, takes in a batch, weight) to draw from.
        text_tokens: Room for questions and answers behind one clip; 0: only patches are learnt.
        frozen: Share of the steps in which the vision tower only looks.
        rate: Learning rate.
        categories: Categories of questions, as often as they stand here.
        nameless: Share of the takes whose things have paints that no word names; no colour is asked for there.
    """

    name: str
    steps: int
    mix: tuple[tuple[str, int, int, float], ...]
    text_tokens: int
    frozen: float
    rate: float
    categories: tuple[str, ...] = CATEGORIES
    nameless: float = 0.0


# Takes of each process. Small batches: for the same pictures, many small steps teach far more than few large ones.
PICTURES = (("video", 1, 4, 0.8), ("image", 1, 2, 0.1), ("multi_image", 1, 2, 0.1))
CLIPS = (
    ("video", 1, 4, 0.22),
    ("video", 2, 3, 0.26),
    ("video", 3, 2, 0.08),
    ("video", 4, 2, 0.24),
    ("video", 6, 2, 0.03),
    ("video", 8, 1, 0.03),
    ("image", 1, 2, 0.06),
    ("multi_image", 1, 2, 0.03),
    ("multi_image", 2, 2, 0.05),
)
# What can be asked of a single picture; where and colour first, since all else builds on them.
FIRST_CATEGORIES = (
    *("colour", "where", "presence", "plan", "cannot_tell"),
    *("counting", "on_in", "left_right") * 2,
)
# What is learnt last is asked most.
ALL_CATEGORIES = (*CATEGORIES, "counting", "on_in", "left_right", "left_right", "motion", "next_step")
LAST_CATEGORIES = (*ALL_CATEGORIES, "left_right", "motion", "motion")
RECIPES: dict[str, tuple[Stage, ...]] = {
    "rooms": (
        Stage("patches", 1500, (("video", 1, 8, 1.0),), 0, 0.0, 1e-3),
        # With 1e-3 the language model learns what answers look like, and to look only with less.
        Stage("pictures", 3500, PICTURES, 256, 0.5, 4e-4, FIRST_CATEGORIES),
        Stage("clips", 1500, CLIPS, 256, 0.6, 4e-4, ALL_CATEGORIES),
        # Which way something moved, and what is left of what, come slowest of all.
        Stage("moves", 7000, CLIPS, 256, 0.6, 4e-4, LAST_CATEGORIES),
    ),
    # To go on from a checkpoint (--start), as long as wanted.
    "on": (Stage("moves", 16000, CLIPS, 320, 0.5, 4e-4, (*LAST_CATEGORIES, "counting", "counting"), nameless=0.15),),
    # Some steps of each, to see that all works.
    "smoke": (
        Stage("patches", 2, (("video", 1, 4, 1.0),), 0, 0.0, 1e-3),
        Stage("pictures", 2, (("video", 1, 2, 0.5), ("image", 1, 2, 0.5)), 96, 0.5, 1e-3, FIRST_CATEGORIES),
        Stage("clips", 2, (("video", 2, 2, 0.5), ("multi_image", 2, 2, 0.5)), 96, 0.5, 1e-3),
    ),
}


def stage_at(stages: tuple[Stage, ...], step: int) -> Stage:
    """The stage that a step belongs to; the last goes on for as long as wanted."""
    for stage in stages[:-1]:
        if step < stage.steps:
            return stage
        step -= stage.steps
    return stages[-1]
