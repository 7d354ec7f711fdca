"""`llava-ov rooms evaluate --recordings` with the shipped model: every camera is asked, and what is refused."""

from __future__ import annotations

import json

import pytest

from llava_ov_ros.cli.main import main
from llava_ov_ros.evaluation.rooms.accuracy import TOTAL, trials
from llava_ov_ros.rooms.room_questions import CATEGORIES

FIELDS = {"n", "cannot_tell", "share", "low", "high", "confidence"}


def evaluate(capsys, *arguments):
    code = main(["rooms", "evaluate", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_each_camera_is_asked_its_share_of_the_questions_about_rooms(write_bag, shot, tmp_path, capsys):
    two = write_bag(
        tmp_path / "two", [shot(topic, s, level=40 * s) for topic in ("/a/image_raw", "/b/image_raw") for s in range(6)]
    )
    one = write_bag(tmp_path / "one", [shot("/camera/image_raw/compressed", 0, level=90)])
    code, out, err = evaluate(capsys, "--each", 3, "--seed", 5, "--json", "--wrong", 1, "--recordings", two, one)
    assert code == 0, err
    found = json.loads(out)
    assert {kind: row["n"] for kind, row in found["kinds"].items()} == dict.fromkeys(CATEGORIES, 3) | {TOTAL: 30}
    names = ["two /a/image_raw", "two /b/image_raw", "one /camera/image_raw/compressed"]
    asked = [len(trial.asked) for trial in trials(5, 3)]
    assert {name: row["n"] for name, row in found["cameras"].items()} == {
        name: sum(asked[number::3]) for number, name in enumerate(names)
    }
    for rows in found.values():
        for row in rows.values():
            assert set(row) == FIELDS
            assert row["share"] == pytest.approx(row["cannot_tell"] / row["n"], abs=1e-4)
            assert row["low"] <= row["share"] <= row["high"]
            assert (row["confidence"] is None) == (row["cannot_tell"] == row["n"])
    assert set(found["decided"]) <= {"yes_no", "choice", "count", TOTAL}
    assert found["decided"]["count"]["n"] == 3


def test_a_table_for_people_of_a_real_recording(recording, capsys):
    arguments = ("--each", 4, "--no-calibration", "--recordings", recording("spot_raw_mcap"))
    code, out, err = evaluate(capsys, *arguments)
    assert code == 0, err
    lines = out.splitlines()
    assert [line.split()[0] for line in lines if line][: len(CATEGORIES) + 2] == [
        "question",
        *CATEGORIES,
        TOTAL,
    ]
    assert [line.split()[1] for line in lines if line.startswith("spot_raw_mcap ")] == [
        "/spot/camera/frontleft/image",
        "/spot/camera/hand_color/image",
        "/spot/camera/hand_mono/image",
        "/spot/depth/frontleft/image",
    ]
    assert evaluate(capsys, *arguments)[1] == out


@pytest.mark.parametrize("other", [["--live"], ["--held-out"], ["--decoding", "both"]])
def test_what_asks_about_rooms_goes_not_with_recordings(capsys, other):
    code, out, err = evaluate(capsys, *other, "--recordings", "a_bag")
    assert (code, out) == (2, "")
    assert "--recordings goes with none of --live, --held-out and --decoding" in err


def test_a_recording_that_is_none_or_has_no_picture(write_bag, tmp_path, capsys):
    code, _, err = evaluate(capsys, "--each", 1, "--recordings", tmp_path / "nothing")
    assert code == 1
    assert str(tmp_path / "nothing") in err
    code, _, err = evaluate(capsys, "--each", 1, "--recordings", write_bag(tmp_path / "text", [], others=["/chatter"]))
    assert code == 1
    assert str(tmp_path / "text") in err
