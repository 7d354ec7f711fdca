"""Recorded episodes over DDS, from the goal to DONE: steps are reported as they are done, hints rest on the bag."""

from __future__ import annotations

import json
from collections import deque

import pytest

from llava_ov_ros.fastdds import PROFILE_VARIABLES
from llava_ov_ros.live.episode_playback import (
    EPISODE_PARAMETERS,
    EpisodeSession,
    LiveEpisodes,
    live_episodes,
    read_episode,
)
from llava_ov_ros.live.picture_questions import TOPIC
from llava_ov_ros.live.player import staged_base
from llava_ov_ros.live.session import LiveError
from llava_ov_ros.planning import find_vocabulary, load_vocabulary, reported_step
from llava_ov_ros.replay import read_messages
from llava_ov_ros.rooms.record import RecordingSettings, plan_recording, truth_path, write_recording
from llava_ov_ros.share import shipped

S = 1_000_000_000
SEEDS = range(20)


def record(folder, seed, **size):
    """An episode as `llava-ov rooms record --episode` writes it: bag and truth."""
    bag = folder / f"{seed}.mcap"
    write_recording(plan_recording(RecordingSettings(seed=seed, seconds=None, episode=True, **size)), bag)
    return bag, truth_path(bag)


def stamps_of(bag):
    return [message.time_ns for message in read_messages(bag, [TOPIC.name])]


def check_frames(turn, stamps):
    """A hint rests on frames of the bag: the newest up to its time, at 2 Hz, over 2 s."""
    assert set(turn.stamps_ns) <= set(stamps)
    assert list(turn.stamps_ns) == sorted(set(turn.stamps_ns))
    assert 1 <= len(turn.stamps_ns) <= 4
    assert turn.now_ns - S // 2 < turn.stamps_ns[-1] <= turn.now_ns
    assert turn.now_ns - turn.stamps_ns[0] <= 2 * S + S // 2


class Oracle:
    """In the model's place: says what comes next, but for what a test has it say instead."""

    def __init__(self, steps):
        self._answers = (*steps, "DONE")
        self.instead = {}

    def __call__(self, clips, question, on_text, should_stop):
        """The answer to a question for the next step."""
        done = question.partition("Done: ")[2].removesuffix(". Next step?")
        number = 0 if done == "nothing" else done.count(";") + 1
        return self.instead.get(number, self._answers[number] if number < len(self._answers) else "DONE")


def test_from_goal_to_done_and_what_goes_wrong_on_the_way(rig, scripted, tmp_path):
    bag, truth = record(tmp_path, 3, width=160, height=120)
    about = json.loads(truth.read_text())
    steps = tuple(about["episode"]["plan"].split("; "))
    assert len(steps) > 3
    oracle = Oracle(steps)
    # A rig without cameras of its own has the parameter of that name as here.
    given = {name: value for name, value in EPISODE_PARAMETERS.items() if name != "cameras"}
    given |= {"image_topics": [staged_base(TOPIC)], "hint_confidence": 0.2}
    robot = rig(load=scripted(oracle), cameras={}, **given)
    reports = deque(maxlen=1)
    with EpisodeSession([TOPIC], robot.name) as session:
        session.wait_until_heard(40)
        session.wait_until_hints_are_heard(40)
        with session.diagnostics(reports.append, 40):
            episodes = LiveEpisodes(session, reports)

            outcome = episodes.play(bag, truth)
            assert outcome.episode.goal == about["episode"]["goal"]
            assert (outcome.right, outcome.total, outcome.is_complete) == (len(steps) + 1, len(steps) + 1, True)
            assert [turn.gold for turn in outcome.turns] == [*steps, "DONE"]
            assert [turn.step for turn in outcome.turns] == [*steps, ""]
            assert [turn.done for turn in outcome.turns] == [steps[:number] for number in range(len(steps) + 1)]
            stamps = stamps_of(bag)
            begun = [step["start_s"] for step in about["episode"]["steps"]]
            times_s = [*begun, about["episode"]["reached_s"]]
            assert [turn.now_ns - stamps[0] for turn in outcome.turns] == [round(at_s * S) for at_s in times_s]
            for turn in outcome.turns:
                check_frames(turn, stamps)
                assert turn.confidence == pytest.approx(0.25)

            # Once more from the beginning, though the node's time jumps back; one step is wrong.
            oracle.instead = {2: "PickupObject bed"}
            outcome = episodes.play(bag, truth)
            assert (outcome.right, len(outcome.turns), outcome.is_complete) == (len(steps), len(steps) + 1, False)
            assert [turn.is_right for turn in outcome.turns].index(False) == 2

            # A DONE that comes too early ends it, and what was not asked any more is not right.
            oracle.instead = {1: "DONE"}
            outcome = episodes.play(bag, truth)
            assert [(turn.hint, turn.is_right) for turn in outcome.turns] == [("STEP", True), ("DONE", False)]
            assert (outcome.right, outcome.total, outcome.is_complete) == (1, len(steps) + 1, False)

            # Unsure of the right step is not right.
            oracle.instead = {}
            assert robot.set(hint_confidence=0.5).successful
            outcome = episodes.play(bag, truth)
            assert {turn.hint for turn in outcome.turns} == {"UNSURE"}
            assert [turn.step for turn in outcome.turns] == [*steps, ""]
            assert outcome.right == 0


def test_a_truth_without_an_episode_is_named(tmp_path):
    file = tmp_path / "some.truth.json"
    for text, said in (
        ("{}", "'episode' is missing: record it with"),
        ('{"episode": {"goal": "?", "steps": []}}', "not as `llava-ov rooms record --episode` writes it"),
        ("[]", "not as"),
        ("{", "not as"),
    ):
        file.write_text(text)
        with pytest.raises(LiveError, match=said):
            read_episode(file)
        with pytest.raises(LiveError, match=r"some\.truth\.json"):
            read_episode(file)
    with pytest.raises(LiveError, match="No such file"):
        read_episode(tmp_path / "none.json")


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_twenty_episodes_of_the_shipped_model(tmp_path, monkeypatch, record_property):
    for name in PROFILE_VARIABLES:
        monkeypatch.setenv(name, str(shipped("config/fastdds.xml")))
    alfred = load_vocabulary(find_vocabulary("alfred"))
    outcomes = []
    with live_episodes({"model": "rooms"}, tmp_path / "node.log") as episodes:
        for seed in SEEDS:
            bag, truth = record(tmp_path, seed)
            outcome = episodes.play(bag, truth)
            stamps = stamps_of(bag)
            for number, turn in enumerate(outcome.turns):
                check_frames(turn, stamps)
                assert turn.gold == (*outcome.episode.steps, "DONE")[number]
                if turn.step:
                    assert str(reported_step(turn.step, alfred)) == turn.step
            assert outcome.turns[-1].hint == "DONE" or len(outcome.turns) == outcome.total
            outcomes.append(outcome)
    right, total = (sum(getattr(one, name) for one in outcomes) for name in ("right", "total"))
    complete = sum(one.is_complete for one in outcomes)
    record_property("hints right", f"{right} of {total}")
    record_property("episodes complete", f"{complete} of {len(outcomes)}")
    print(f"hints right: {right} of {total}; episodes complete: {complete} of {len(outcomes)}")
