"""`llava-ov eval --compare FILE`: figures of what the node's shadow mode has written."""

from __future__ import annotations

import json
import random
import tracemalloc

import numpy as np
import pytest

from llava_ov_ros.asking import Ask, Generated, weighed
from llava_ov_ros.cli.main import main
from llava_ov_ros.engines.agreement import AgreementLog, compared
from llava_ov_ros.evaluation.report.agreement_figures import MOST_DIFFERING, agreement
from llava_ov_ros.frames import Clip, Frame

CLIP = Clip("front", (Frame("front", 1, "", np.zeros((4, 4, 3), np.uint8)),))


def given(text, confidence, seconds, choices=()):
    return Generated(text, (1,), (confidence,), "stop", 10, 0.0, seconds, choices=choices)


def write(log, count, seed=0):
    """Write random comparisons as the node does, and return them."""
    draw, written = random.Random(seed), []
    for number in range(count):
        ours, theirs = draw.random(), draw.random()
        seconds = draw.random() * 3, draw.random() * 5
        if number % 3:
            ask = Ask(f"Is there a mug ({number % 7})?", choices=("yes", "no"))
            texts, logs = ("yes", "no"), [(np.log(one), np.log1p(-one)) for one in (ours, theirs)]
            said = [weighed(texts, one) for one in logs]
            answers = [max(one, key=lambda choice: choice.probability) for one in said]
            one, other = (
                given(answer.text, 0.5, s, choices) for answer, s, choices in zip(answers, seconds, said, strict=True)
            )
        else:
            ask = Ask(f"What is there ({number % 5})?")
            one = given("a mug", ours, seconds[0])
            other = given("a mug" if draw.random() < 0.8 else "a\x1b[2J bowl", theirs, seconds[1])
        written.append(compared(ask, [CLIP], "video", ("rooms", "rooms at http"), one, other))
        log.add(written[-1])
    return written


@pytest.fixture
def file(tmp_path):
    return tmp_path / "shadow.jsonl"


@pytest.fixture
def written(file):
    log = AgreementLog(file)
    found = write(log, 300)
    log.close()
    return found


def figures(capsys, *words):
    assert main(["eval", "--compare", *map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_shares_and_differences_are_those_of_numpy(file, written, capsys):
    found = figures(capsys, file)
    assert (found["damaged"], found["files"]) == (0, [str(file)])
    assert found["models"] == [{"model": "rooms", "shadow": "rooms at http", "n": 300}]
    groups = {
        "all": written,
        "choices": [one for one in written if one.same_choice is not None],
        "text": [one for one in written if one.same_choice is None],
    }
    assert found["groups"].keys() == groups.keys()
    for name, pairs in groups.items():
        group = found["groups"][name]
        assert group["n"] == len(pairs)
        assert group["same_text"]["count"] == sum(one.same_text for one in pairs)
        assert group["same_text"]["low"] < group["same_text"]["share"] < group["same_text"]["high"]
        for key, values in {
            "probability_difference": [round(one.probability_difference, 4) for one in pairs],
            "total_s": [one.total_s for one in pairs],
            "shadow_total_s": [one.shadow_total_s for one in pairs],
        }.items():
            median, p95 = np.percentile(values, (50, 95), method="inverted_cdf")
            assert group[key]["median"] == pytest.approx(median, rel=6e-3)
            assert group[key]["p95"] == pytest.approx(p95, rel=6e-3)
    assert found["groups"]["choices"]["same_choice"]["count"] == sum(bool(one.same_choice) for one in written)
    assert "same_choice" not in found["groups"]["text"]


def test_the_interval_is_the_published_one(file, capsys):
    """Of 81 of 263: R. G. Newcombe, Statistics in Medicine 17 (1998), 857-872, table I, method 3."""
    log = AgreementLog(file)
    for number in range(263):
        other = given("a mug" if number < 81 else "a bowl", 0.5, 1.0)
        log.add(compared(Ask("What?"), [CLIP], "video", ("one", "two"), given("a mug", 0.5, 1.0), other))
    log.close()
    share = figures(capsys, file)["groups"]["all"]["same_text"]
    assert (share["low"], share["high"]) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_questions_that_differ_most_come_first_and_once(file, written, capsys):
    found = figures(capsys, file)
    differing = {}
    for one in written:
        if not one.same_text:
            differing.setdefault(one.question, []).append(one)
    assert found["differing"] == len(differing)
    worst = {question: max(one.probability_difference for one in ones) for question, ones in differing.items()}
    shown = [one["question"] for one in found["questions"]]
    assert shown == sorted(worst, key=lambda question: -worst[question])[:20]
    assert {one["question"]: one["times"] for one in found["questions"]} == {q: len(differing[q]) for q in shown}
    assert all(one["text"] != one["shadow_text"] for one in found["questions"])


def test_the_table_shows_them_and_no_terminal_obeys_an_answer(file, written, capsys):
    assert main(["eval", "--compare", str(file)]) == 0
    out = capsys.readouterr().out
    assert "rooms answered, rooms at http in its shadow: 300 questions" in out
    assert "same choice %" in out
    assert "'a\\x1b[2J bowl'" in out
    assert "\x1b" not in out


def test_the_file_that_was_rotated_is_read_too(file, written, capsys):
    file.rename(file.with_name(file.name + ".1"))
    log = AgreementLog(file)
    write(log, 20, seed=1)
    log.close()
    found = figures(capsys, file)
    assert found["groups"]["all"]["n"] == 320
    assert found["files"] == [f"{file}.1", str(file)]


def test_damaged_lines_are_counted_and_named(file, written, capsys):
    lines = file.read_bytes().splitlines(keepends=True)
    lines[4] = b"\xff\xfe\n"
    lines[9] = b"[" * 100_000 + b"\n"
    lines[14] = lines[14].replace(b'"same_text": ', b'"same_text": "", "x": ')
    lines[19] = lines[19].replace(b'"total_s": ', b'"total_s": -')
    lines[24] = json.dumps({"question": "x" * 3 * 2**20}).encode() + b"\n"
    lines[29] = lines[29].replace(b'"confidence": ', b'"confidence": NaN, "x": ')
    file.write_bytes(b"".join(lines) + lines[0][:40])
    assert main(["eval", "--compare", str(file), "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert (found["damaged"], found["groups"]["all"]["n"]) == (7, 294)
    assert found["damaged_lines"] == [f"{file}:{number}" for number in (5, 10, 15, 20, 25)]
    assert f"7 damaged lines are left out: {file}:5, {file}:10, {file}:15, {file}:20, {file}:25, ..." in captured.err


def test_answers_of_two_models_are_told_apart(file, written, capsys):
    log = AgreementLog(file)
    one, other = given("a mug", 0.9, 1.0), given("a bowl", 0.8, 1.0)
    for _ in range(3):
        log.add(compared(Ask("What?"), [CLIP], "video", ("fallback", "rooms at http"), one, other))
    log.close()
    found = figures(capsys, file)
    assert found["groups"]["fallback and rooms at http"]["same_text"]["count"] == 0
    assert found["groups"]["rooms and rooms at http"]["n"] == 300


def test_memory_does_not_grow_with_the_file(tmp_path, written, file):
    """Neither with its length nor with the number of questions whose answers differ."""
    pair = json.loads(file.read_text().splitlines()[0]) | {"same_text": False}
    peaks = []
    for count in (2 * MOST_DIFFERING, 8 * MOST_DIFFERING):
        long = tmp_path / f"{count}.jsonl"
        with long.open("w") as lines:
            for number in range(count):
                difference = number / count
                line = pair | {"question": f"{number} " + "long " * 100, "probability_difference": difference}
                lines.write(json.dumps(line) + "\n")
        tracemalloc.start()
        found = agreement(long)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert (found["groups"]["all"]["n"], found["differing"]) == (count, MOST_DIFFERING)
        assert found["questions"][0]["question"].startswith(f"{count - 1} ")
    assert peaks[1] - peaks[0] < 2**21


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "SUITE.yaml is missing"),
        (["--compare", "."], 2, "SUITE.yaml is missing"),
        (["--compare", "nowhere.jsonl"], 1, "nowhere.jsonl: No such file or directory"),
        (["--compare", "other.jsonl"], 1, "other.jsonl has no comparison of two models"),
        (["--compare", "other.jsonl", "--out", "out"], 2, "--out is about a run"),
        (["suite.yaml", "--compare", "other.jsonl"], 2, "give the folder of a finished run"),
    ],
)
def test_what_cannot_be_compared_is_one_line(words, code, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.jsonl").write_text('{"bag": "x"}\n')
    assert main(["eval", *words]) == code
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err
