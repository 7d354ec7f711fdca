"""`llava-ov rooms evaluate`: what is asked, how it is counted, and the command itself with the shipped model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from random import Random

import pytest

from llava_ov_ros.cli.main import main
from llava_ov_ros.cli.rooms import CALIBRATION, calibration_table, plan_table, table
from llava_ov_ros.cli.rooms_live import table as live_table
from llava_ov_ros.evaluation.rooms.accuracy import (
    GRAY,
    HELD_OUT_CATEGORIES,
    REVERSED,
    TOTAL,
    Tally,
    compare,
    evaluate,
    trials,
)
from llava_ov_ros.evaluation.rooms.held_plans import (
    COMPARED_DECODINGS,
    PLAN_CATEGORIES,
    evaluate_plans,
    plan_question,
    read_answer_of,
)
from llava_ov_ros.onevision import Generated
from llava_ov_ros.planning import Step, find_vocabulary, load_vocabulary, next_step_ask, plan_ask
from llava_ov_ros.questions import Kind, find_prompts, load_prompts
from llava_ov_ros.rooms.room_questions import (
    CANNOT_TELL,
    CATEGORIES,
    OPPOSITE,
    Question,
    goal_question,
    next_step_question,
)

PROGRAM = "import sys; from llava_ov_ros.cli.main import main; sys.exit(main())"
FIELDS = {"n", "correct", "accuracy", "low", "high"}
SMALL = ((160, 120),)


def key(frames):
    return tuple(zlib.crc32(frame.tobytes()) for frame in frames)


def knowing(fresh, otherwise="?"):
    """In the model's place: the right answers about the pictures of some trials, and one answer about all others."""
    known = {(key(trial.frames()), question.text): question.gold for trial in fresh for question in trial.asked}
    return lambda frames, texts: [known.get((key(frames), text), otherwise) for text in texts]


def test_a_share_of_all_has_an_interval_with_a_width():
    assert (Tally(10, 10).as_dict()["low"], Tally(10, 10).as_dict()["high"]) == (0.7225, 1.0)
    assert (Tally(0, 0).as_dict()["low"], Tally(0, 0).as_dict()["high"]) == (0.0, 1.0)


def test_a_seed_gives_the_same_questions_and_pictures_and_another_seed_others():
    one, again, other = (list(trials(seed, 4, sizes=SMALL)) for seed in (1, 1, 2))
    assert [trial.asked for trial in one] == [trial.asked for trial in again]
    assert [key(trial.frames()) for trial in one] == [key(trial.frames()) for trial in again]
    assert [trial.asked for trial in one] != [trial.asked for trial in other]
    assert not {key(trial.frames()) for trial in one} & {key(trial.frames()) for trial in other}


def test_so_many_questions_of_each_kind_and_only_those_wanted():
    asked = [question for trial in trials(3, 5) for question in trial.asked]
    assert {kind: sum(question.category == kind for question in asked) for kind in CATEGORIES} == dict.fromkeys(
        CATEGORIES, 5
    )
    assert not any(question.held_out for question in asked)
    held_out = [
        question for trial in trials(3, 5, categories=HELD_OUT_CATEGORIES, held_out=True) for question in trial.asked
    ]
    assert len(held_out) == 5 * len(HELD_OUT_CATEGORIES)
    assert all(question.held_out for question in held_out)


def test_right_answers_are_counted_and_blind_ones_beside_them():
    fresh = list(trials(4, 6, sizes=SMALL))
    seen = []
    knows = knowing(fresh, otherwise="yes")

    def answer(frames, texts):
        seen.append((frames, texts))
        return knows(frames, texts)

    done = []
    report = evaluate(answer, iter(fresh), on_asked=done.append)
    assert sum(done) == 6 * len(CATEGORIES)
    for kind in CATEGORIES:
        row = report.as_dict()[kind]
        assert (row["n"], row["correct"], row["accuracy"]) == (6, 6, 1.0)
        yes = sum(question.gold == "yes" for trial in fresh for question in trial.asked if question.category == kind)
        assert row["blind"] == pytest.approx(yes / 6, abs=1e-4)
    assert report.wrong == []
    # With gray pictures nothing of the room is left but the number and the size of the frames.
    gray = [texts for frames, texts in seen if all((frame == GRAY).all() for frame in frames)]
    assert gray == [[question.text for question in trial.asked] for trial in fresh]
    shapes = {tuple(frame.shape for frame in frames) for frames, _ in seen}
    assert shapes == {((120, 160, 3),) * length for length in (1, 4)}


def test_without_blind_no_gray_picture_is_shown():
    fresh = list(trials(4, 2, sizes=SMALL))
    knows = knowing(fresh)

    def answer(frames, texts):
        assert not any((frame == GRAY).all() for frame in frames)
        return knows(frames, texts)

    report = evaluate(answer, iter(fresh), blind=False)
    assert all(set(row) >= FIELDS and "blind" not in row for row in report.as_dict().values())


def test_precision_and_recall_of_cannot_tell():
    fresh = list(trials(6, 4, categories=("colour", "cannot_tell"), sizes=SMALL))
    asked = [question for trial in fresh for question in trial.asked]
    colour = next(question.text for question in asked if question.category == "colour")
    cannot = next(question.text for question in asked if question.category == "cannot_tell")
    assert [sum(question.text == text for question in asked) for text in (colour, cannot)] == [1, 1]
    knows = knowing(fresh)

    def wrong_twice(frames, texts):
        said = {colour: CANNOT_TELL, cannot: "red"}
        return [said.get(text, right) for text, right in zip(texts, knows(frames, texts), strict=True)]

    def judged(answer):
        row = evaluate(answer, iter(fresh), blind=False).as_dict()["cannot_tell"]
        return row["n"], row["correct"], row["precision"], row["recall"]

    assert judged(knows) == (4, 4, 1.0, 1.0)
    assert judged(wrong_twice) == (4, 3, 0.75, 0.75)
    assert judged(lambda frames, texts: [CANNOT_TELL] * len(texts)) == (4, 4, 0.5, 1.0)
    assert judged(lambda frames, texts: ["red"] * len(texts)) == (4, 0, 0.0, 0.0)


def test_a_clip_that_runs_backwards_must_turn_the_direction_round():
    fresh = list(trials(7, 12, categories=("motion",), frames=4, sizes=SMALL))
    directions = sum(question.direction for trial in fresh for question in trial.asked)
    assert directions > 0
    knows = knowing(fresh, otherwise=None)

    def turning(frames, texts):
        backwards = knows(frames[::-1], texts)
        both = zip(knows(frames, texts), backwards, strict=True)
        return [OPPOSITE[right] if said is None else said for said, right in both]

    row = evaluate(turning, iter(fresh), blind=False).rows[REVERSED]
    assert (row.n, row.correct) == (directions, directions)
    row = evaluate(lambda frames, texts: ["left"] * len(texts), iter(fresh), blind=False).rows[REVERSED]
    assert (row.n, row.correct) == (directions, 0)


def test_two_ways_of_asking_are_compared_question_by_question():
    fresh = list(trials(8, 3, categories=("colour", "presence"), sizes=SMALL))
    answers = [question.gold for trial in fresh for question in trial.asked]
    done = []
    found = compare(knowing(fresh), lambda frames, texts: ["yes"] * len(texts), iter(fresh), on_asked=done.append)
    yes = answers.count("yes")
    assert 0 < yes < 3
    rows = found.as_dict()
    assert list(rows) == ["colour", "presence", TOTAL]
    assert all(set(row) == FIELDS | {"live_correct", "live_accuracy", "difference"} for row in rows.values())
    assert (rows["colour"]["live_accuracy"], rows["colour"]["difference"]) == (0.0, -1.0)
    total = rows[TOTAL]
    assert (total["n"], total["correct"], total["live_correct"]) == (6, 6, yes)
    assert total["difference"] == pytest.approx(yes / 6 - 1, abs=1e-4)
    assert [len(found.unlike), sum(done)] == [6 - yes, 6]
    assert all(said == right and said_live == "yes" for _, _, right, said, said_live in found.unlike)
    assert live_table(found).splitlines()[-1].split() == (
        ["total", "6", "100.0", "61.0", "to", "100.0", f"{100 * yes / 6:.1f}", f"{100 * yes / 6 - 100:+.1f}"]
    )


def test_a_report_for_people_has_a_line_for_each_kind():
    fresh = list(trials(9, 2, sizes=SMALL))
    lines = table(evaluate(knowing(fresh), iter(fresh))).splitlines()
    assert [line.split()[0] for line in lines[1:] if not line.startswith(REVERSED)] == list(CATEGORIES)
    assert lines[1].split() == ["colour", "2", "2", "100.0", "34.2", "to", "100.0", "0.0"]
    assert "precision 100.0, recall 100.0" in next(line for line in lines if line.startswith("cannot_tell"))


def test_what_was_decided_is_calibrated_by_kind_of_answer():
    fresh = list(trials(10, 6, categories=("colour", "presence", "counting"), sizes=SMALL))
    knows, kinds = knowing(fresh), []

    def decide(frames, questions):
        kinds.extend(one.kind for one in questions)
        right = knows(frames, [one.text for one in questions])
        both = zip(questions, right, strict=True)
        return [(said, 0.75) if one.kind == Kind.COUNT else ("?", 0.25) for one, said in both]

    report = evaluate(knowing(fresh), iter(fresh), blind=False, decide=decide)
    assert sorted(kinds) == sorted([Kind.CHOICE, Kind.YES_NO, Kind.COUNT] * 6)
    found = report.calibrations()
    assert list(found) == ["choice", "count", "yes_no", TOTAL]
    assert [(one.n, one.correct) for one in found.values()] == [(6, 0), (6, 6), (6, 0), (18, 6)]
    assert [one.error for one in found.values()] == pytest.approx([0.25] * 4)
    lines = [line.split() for line in calibration_table(found).splitlines()]
    assert lines[1] == ["0.0", "to", "0.1", "0", "-", "-"]
    assert lines[3] == ["0.2", "to", "0.3", "12", "25.0", "0.0"]
    assert lines[8] == ["0.7", "to", "0.8", "6", "75.0", "100.0"]
    assert lines[-1] == [TOTAL, "18", "41.7", "33.3", "0.250"]
    assert evaluate(knowing(fresh), iter(fresh), blind=False).calibrations() == {}


def written(answer, end=1.0, finish="stop"):
    return Generated(answer, (1,), (0.5,), finish, 9, 0.1, 0.2, end_probability=end)


def test_plans_are_counted_in_both_ways_of_decoding():
    fresh = list(trials(11, 4, categories=PLAN_CATEGORIES, sizes=SMALL))
    knows, bad = knowing(fresh), Counter()
    alfred, plain = load_vocabulary(find_vocabulary("alfred")), load_prompts(find_prompts("plain"))

    def write(frames, asks):
        """Right where it is held to the grammar; else every other answer is nothing that can be read."""
        said = knows(frames, [ask.prompt for ask in asks])
        for number, ask in enumerate(asks):
            if ask.grammar is None:
                bad["all"] += 1
                if bad["all"] % 2:
                    said[number] = "Dance! PutObject"
                    bad["plan" if "Plan?" in ask.prompt else "next_step"] += 1
        return list(map(written, said))

    done = []
    report = evaluate_plans(write, iter(fresh), alfred, plain, on_asked=done.append)
    assert bad["all"] == 8
    assert sum(done) == 16
    found = report.as_dict()
    assert list(found) == ["free", "constrained"]
    for kind in PLAN_CATEGORIES:
        free, held = found["free"][kind], found["constrained"][kind]
        assert (free["n"], free["correct"], free["malformed"]) == (4, 4 - bad[kind], bad[kind])
        assert (held["n"], held["correct"], held["malformed"]) == (4, 4, 0)
    assert found["free"][TOTAL]["malformed"] == 4
    assert {decoding for decoding, *_ in report.wrong} == {"free"}
    lines = [line.split() for line in plan_table(report).splitlines()]
    assert [line[:2] for line in lines[1:3]] == [["plan", "free"], ["plan", "constrained"]]
    assert lines[-1] == [TOTAL, "constrained", "8", "8", "100.0", "67.6", "to", "100.0", "0"]


@pytest.mark.parametrize(
    ("kind", "text", "read", "malformed"),
    [
        ("plan", "GotoLocation desk; PickupObject mug", "GotoLocation desk; PickupObject mug", False),
        ("plan", "1. Go to the desk.\n2. Pick up the mug.", "GotoLocation desk; PickupObject mug", False),
        ("plan", "GotoLocation desk; Dance", "GotoLocation desk", True),
        ("plan", "GotoLocation desk; SliceObject mug", "GotoLocation desk; SliceObject mug", True),
        ("plan", "", "", True),
        ("plan", "cannot tell", "cannot tell", False),
        ("next_step", "PickupObject mug", "PickupObject mug", False),
        ("next_step", "DONE", "DONE", False),
        ("next_step", "cannot tell", "cannot tell", False),
        ("next_step", "PickupObject mug; PutObject mug desk", "PickupObject mug", True),
        ("next_step", "PickupObject", "", True),
    ],
)
def test_what_is_malformed(kind, text, read, malformed):
    alfred, plain = load_vocabulary(find_vocabulary("alfred")), load_prompts(find_prompts("plain"))
    found = read_answer_of(Question(kind, "?", "!"), written(text), alfred, plain)
    assert (found.text, found.malformed) == (read, malformed)


@pytest.mark.parametrize("seed", range(5))
def test_what_the_grammar_allows_is_never_malformed(seed):
    alfred, plain = load_vocabulary(find_vocabulary("alfred")), load_prompts(find_prompts("plain"))
    rng = Random(seed)
    acting = [action for action in alfred.actions.values() if not action.ends]
    for _ in range(40):
        steps = [
            " ".join((action.name, *(rng.choice(alfred.choices(argument)) for argument in action.arguments)))
            for action in rng.choices(acting, k=rng.randint(1, alfred.max_steps))
        ]
        for kind, text in (("plan", "; ".join(steps)), ("plan", "; ".join([*steps, "NoOp"])), ("next_step", steps[0])):
            found = read_answer_of(Question(kind, "?", "!"), written(text), alfred, plain)
            assert (found.text, found.malformed) == (text, False)


def test_a_plan_that_was_cut_off_is_malformed():
    alfred, plain = load_vocabulary(find_vocabulary("alfred")), load_prompts(find_prompts("plain"))
    cut = written("GotoLocation desk; PickupObject m", end=None, finish="length")
    assert read_answer_of(Question("plan", "?", "!"), cut, alfred, plain).malformed


def test_questions_are_asked_as_the_plain_prompts_put_them():
    alfred, plain = load_vocabulary(find_vocabulary("alfred")), load_prompts(find_prompts("plain"))
    question = Question("plan", goal_question("put the mug on the desk"), "!")
    assert plan_question(question, alfred, plain, "constrained") == plan_ask("put the mug on the desk", alfred, plain)
    step = Question("next_step", next_step_question("put the mug on the desk", "GotoLocation shelf"), "!")
    done = (Step("GotoLocation", ("shelf",)),)
    for decoding in COMPARED_DECODINGS:
        asked = next_step_ask("put the mug on the desk", done, alfred, plain, decoding)
        assert plan_question(step, alfred, plain, decoding) == asked


def rooms(capsys, *arguments):
    code = main(["rooms", "evaluate", *arguments])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return json.loads(captured.out), captured.err


def test_the_shipped_model_is_asked_every_kind_of_question(capsys):
    found, err = rooms(capsys, "--each", "3", "--json", "--wrong", "1")
    calibrated = found.pop(CALIBRATION)
    assert [kind for kind in found if kind != REVERSED] == list(CATEGORIES)
    for kind in CATEGORIES:
        row = found[kind]
        assert row["n"] == 3
        assert row["accuracy"] == pytest.approx(row["correct"] / 3, abs=1e-4)
        assert 0 <= row["low"] <= row["accuracy"] <= row["high"] <= 1
        assert 0 <= row["blind"] <= 1
    assert set(found["cannot_tell"]) == FIELDS | {"blind", "precision", "recall"}
    assert "median time of an answer about a new clip of four frames: " in err
    assert set(calibrated) == FIELDS | {"confidence", "expected_calibration_error", "bins", "kinds"}
    assert set(calibrated["kinds"]) == {"yes_no", "choice", "count"}
    assert calibrated["kinds"]["count"]["n"] == 3
    for one in (calibrated, *calibrated["kinds"].values()):
        assert len(one["bins"]) == 10
        assert sum(some["n"] for some in one["bins"]) == one["n"] > 0
        apart = sum(some["n"] * abs(some["confidence"] - some["accuracy"]) for some in one["bins"]) / one["n"]
        assert one["expected_calibration_error"] == pytest.approx(apart, abs=2e-4)
    assert calibrated["n"] == sum(one["n"] for one in calibrated["kinds"].values())


def test_plans_of_the_shipped_model_held_to_the_grammar_are_never_malformed(capsys):
    found, _ = rooms(capsys, "--each", "4", "--json", "--decoding", "both", "--wrong", "1")
    assert list(found) == ["free", "constrained"]
    for rows in found.values():
        assert list(rows) == [*PLAN_CATEGORIES, TOTAL]
        assert [row["n"] for row in rows.values()] == [4, 4, 8]
        assert all(set(row) == FIELDS | {"malformed"} for row in rows.values())
    assert [row["malformed"] for row in found["constrained"].values()] == [0, 0, 0]


def test_decoding_goes_neither_live_nor_held_out(capsys):
    for other in ("--live", "--held-out"):
        assert main(["rooms", "evaluate", "--decoding", "free", other]) == 2
        assert "--decoding goes neither with --live nor with --held-out" in capsys.readouterr().err


def test_held_out_combinations(capsys):
    found, _ = rooms(capsys, "--each", "2", "--json", "--held-out", "--no-blind", "--no-calibration")
    assert {kind: row["n"] for kind, row in found.items()} == dict.fromkeys(HELD_OUT_CATEGORIES, 2)


def test_mode_image_has_one_picture_and_so_no_motion(capsys):
    found, _ = rooms(capsys, "--each", "2", "--json", "--mode", "image", "--no-blind")
    assert found.pop(CALIBRATION)["n"] > 0
    assert list(found) == [kind for kind in CATEGORIES if kind != "motion"]


def test_a_model_that_is_not_there_is_one_clear_line(capsys):
    assert main(["rooms", "evaluate", "--model", "no-such-model"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("llava-ov: error: ")
    assert "no-such-model" in captured.err
    assert len(captured.err.splitlines()) == 1


def live(folder, domain, *arguments):
    """Start the command as a process of its own, where nobody else's node is heard."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "rooms", "evaluate", "--live", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"ROS_DOMAIN_ID": domain},
    )


def nodes_of(process):
    """Command lines of the nodes that a process has started and that still run."""
    lines = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in lines if f"__ns:=/llava_ov_rooms_{process.pid} " in f"{line} "]


@pytest.mark.ros
def test_the_live_node_is_asked_the_same(tmp_path, domain_of_children):
    pytest.importorskip("rclpy", reason="a live node needs ROS 2")
    process = live(tmp_path, domain_of_children, "--each", "2", "--json")
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    found = json.loads(out)
    assert list(found) == [*CATEGORIES, TOTAL]
    for kind, row in found.items():
        assert set(row) == FIELDS | {"live_correct", "live_accuracy", "difference"}
        assert row["n"] == (2 * len(CATEGORIES) if kind == TOTAL else 2)
        assert row["difference"] == pytest.approx(row["live_accuracy"] - row["accuracy"], abs=2e-4)
    assert "of 20 questions" in err
    assert nodes_of(process) == []


@pytest.mark.ros
def test_ctrl_c_ends_the_node_too(tmp_path, domain_of_children):
    pytest.importorskip("rclpy", reason="a live node needs ROS 2")
    process = live(tmp_path, domain_of_children)
    pause = threading.Event()
    until_s = time.monotonic() + 60
    while not nodes_of(process):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until_s
        pause.wait(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert nodes_of(process) == []
