"""Plans from a replay: from the frames of their time, all that is asked about one from the same clips."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from llava_ov_ros.asking import weighed
from llava_ov_ros.frames import AdmissionSettings, Camera, CameraSettings
from llava_ov_ros.onevision import Generated
from llava_ov_ros.planning import GoalTextError, PlanOptions, find_vocabulary, load_vocabulary, plan_outcome
from llava_ov_ros.questions import Status, find_prompts, load_prompts
from llava_ov_ros.replay import BagMessage, ReplaySettings, TimedQuestion, plan_record, replay_plans, written
from llava_ov_ros.replay.bag import StoredMessage

S = 1_000_000_000
T0_NS = 1_700_000_000 * S
TOPIC = "/front/image_raw"
GOAL = "put the mug on the desk"
GOOD = "GotoLocation shelf; PickupObject mug; GotoLocation desk; PutObject mug desk"
BROKEN = "PutObject mug desk"
SETTINGS = ReplaySettings(window_ns=S, frozen_after_ns=0)


@pytest.fixture(scope="module")
def words():
    return load_vocabulary(find_vocabulary("alfred")), load_prompts(find_prompts("plain"))


class Planner:
    """In the model's place: gives plans of a list, says that things are there, and notes what it was shown."""

    name = "planner"

    def __init__(self, *plans, fails=()):
        self._plans = list(plans)
        self._fails = fails
        self.asked = []

    def stream(self, clips, asks, *, mode):
        """A plan, or yes, for each question."""
        seen = [(frame.stamp_ns - T0_NS) / S for clip in clips for frame in clip.frames]
        for number, ask in enumerate(asks):
            self.asked.append((ask.question, seen, ask.grammar is not None))
            if any(word in ask.question for word in self._fails):
                yield number, RuntimeError("out of memory")
            elif ask.choices is not None:
                given = weighed(ask.choices, [-0.1 if word == "yes" else -4.0 for word in ask.choices])
                yield number, Generated("yes", (1,), (0.5,), "stop", 9, 0.1, 0.2, choices=given)
            else:
                text = self._plans.pop(0)
                ask.on_text(text)
                yield number, Generated(text, (1,), (0.5,), "stop", 9, 0.1, 0.2, end_probability=1.0)


def message(at_s):
    stamp_ns = T0_NS + round(at_s * S)
    header = SimpleNamespace(stamp=SimpleNamespace(sec=stamp_ns // S, nanosec=stamp_ns % S), frame_id="optical")
    image = SimpleNamespace(
        __msgtype__="sensor_msgs/msg/Image",
        header=header,
        height=4,
        width=6,
        encoding="rgb8",
        is_bigendian=0,
        step=18,
        data=np.full(72, round(at_s * 20), dtype=np.uint8),
    )
    return BagMessage(TOPIC, stamp_ns, 0, image, StoredMessage(stamp_ns, b"", "cdr"))


def outcome_of(planned):
    return plan_outcome(planned.result.status, planned.plan)


def written_plan(planned, words):
    record = plan_record(planned.goal.ask, planned.result, planned.plan, "planner", "alfred", words[1].identity)
    return written(record, planned.goal.at_ns, planned.now_ns)


def plans(words, model, *at_s, goal=GOAL, options=PlanOptions(), offered=None):  # noqa: B008 - it is frozen
    camera = Camera("front", CameraSettings(admission=AdmissionSettings(rate_hz=0.0)))
    messages = map(message, np.arange(0, 5, 0.5))
    if offered is not None:
        messages = (offered.append(one) or one for one in messages)
    goals = [TimedQuestion(goal, round(at * S)) for at in at_s]
    return replay_plans(messages, {TOPIC: camera}, goals, model, SETTINGS, *words, options)


def test_a_plan_rests_on_the_frames_up_to_its_time_and_so_does_all_that_is_asked_about_it(words):
    model = Planner(BROKEN, GOOD)
    (planned,) = plans(words, model, 2.2)
    assert (outcome_of(planned), planned.plan.repairs, planned.now_ns - T0_NS) == ("ACCEPTED", 1, 2.2 * S)
    assert {tuple(seen) for _, seen, _ in model.asked} == {(1.0, 1.5, 2.0)}
    texts = [text for text, _, _ in model.asked]
    assert texts[0] == "Goal: put the mug on the desk. Plan?"
    assert "is held, expected mug" in texts[1]
    assert texts[2:] == ["Is there a shelf?", "Is there a mug?", "Is there a desk?"]
    assert [held for _, _, held in model.asked] == [True, True, False, False, False]


def test_a_plan_from_pictures_that_show_nothing_says_so(words):
    (planned,) = plans(words, Planner(GOOD), 2.2)
    assert outcome_of(planned) == "ACCEPTED"
    assert planned.result.message.startswith("camera 'front': 3 of 3 frames used show next to nothing: the one stamped")
    assert "has one grey level (40); look at value_range" in planned.result.message


def test_several_moments_and_no_more_of_the_bag_than_they_need(words):
    offered = []
    model = Planner(GOOD, GOOD)
    both = plans(words, model, 3.0, 1.0, options=PlanOptions("free", 0, False), offered=offered)
    first = next(both)
    assert (first.goal.at_ns, outcome_of(first), len(offered)) == (S, "ACCEPTED", 4)
    assert next(both).goal.at_ns == 3 * S
    assert [held for _, _, held in model.asked] == [False, False]


def test_a_record_has_the_names_of_the_message_and_goes_into_json(words):
    (planned,) = plans(words, Planner(BROKEN), 2.0, options=PlanOptions(repairs=0))
    record = json.loads(json.dumps(written_plan(planned, words)))
    assert record["outcome"] == "REJECTED"
    assert record["steps"] == [
        {
            "number": 1,
            "action": "PutObject",
            "arguments": ["mug", "desk"],
            "status": "VIOLATION",
            "reasons": ["not_holding"],
            "message": record["steps"][0]["message"],
        }
    ]
    assert "nothing is held" in record["steps"][0]["message"]
    assert (record["goal"], record["at_s"], record["text"], record["status"]) == (GOAL, 2.0, BROKEN, "OK")
    assert (record["new_tokens"], record["model"], record["vocabulary"]) == (1, "planner", "alfred")
    assert [(one["camera"], one["stamp_ns"] - T0_NS) for one in record["frames"]] == [
        ("front", 1_000_000_000),
        ("front", 1_500_000_000),
        ("front", 2_000_000_000),
    ]
    assert record["confidence"] == pytest.approx(0.5)


def test_from_old_frames_there_is_no_plan(words):
    (planned,) = plans(words, Planner(GOOD), 60.0)
    assert (outcome_of(planned), planned.result.status, planned.plan) == ("NONE", Status.STALE, None)
    assert written_plan(planned, words)["steps"] == []


def test_a_model_that_fails_at_the_plan_gives_none_and_one_that_fails_later_a_remark(words):
    (planned,) = plans(words, Planner(fails=("Plan?",)), 2.0)
    assert (outcome_of(planned), planned.result.status) == ("NONE", Status.MODEL_ERROR)
    (planned,) = plans(words, Planner(GOOD, fails=("mug?",)), 2.0)
    assert outcome_of(planned) == "ACCEPTED"
    assert "not asked whether its things are there: MODEL_ERROR: RuntimeError: out of memory" in planned.result.message


def test_cannot_tell_is_an_outcome_of_its_own(words):
    (planned,) = plans(words, Planner("cannot tell"), 2.0)
    assert outcome_of(planned) == "CANNOT_TELL"


def test_a_goal_without_words_is_refused(words):
    with pytest.raises(GoalTextError, match="goal is empty"):
        next(plans(words, Planner(GOOD), 1.0, goal=" . "))


def test_a_goal_in_the_models_own_words_is_no_plan(words):
    model = Planner("1. go to the shelf\n2. take the mug\n\nGood luck!")
    (planned,) = plans(words, model, 2.2, options=None)
    assert outcome_of(planned) == "DECOMPOSED"
    assert [(text, held) for text, _, held in model.asked] == [
        (f"High-Level Task: {GOAL}\n\nLow-Level Action Steps:", False)
    ]
    record = json.loads(json.dumps(written_plan(planned, words)))
    assert record["sentences"] == ["go to the shelf", "take the mug"]
    assert (record["steps"], record["problems"], record["repairs"]) == ([], [], 0)
    assert record["unread"] == ["'Good luck!' is no step with the number 3"]
    (planned,) = plans(words, Planner("I would not know."), 2.2, options=None)
    assert outcome_of(planned) == "REJECTED"
