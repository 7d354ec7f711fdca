"""`llava-ov replay` as a user runs it: texts, JSON, exit codes; answers from the shipped model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest

from llava_ov_ros.cli.main import main
from llava_ov_ros.cli.show import Sheets
from llava_ov_ros.frames import Clip, Frame
from llava_ov_ros.replay import TIMINGS
from llava_ov_ros.rooms.room_questions import CANNOT_TELL
from llava_ov_ros.rooms.world import COLOURS

S = 1_000_000_000
T0_NS = 1_700_000_000 * S
TOPIC = "/front/image_raw"


def program(*arguments):
    return [sys.executable, "-c", "import sys; from llava_ov_ros.cli.main import main; sys.exit(main())", *arguments]


@pytest.fixture(scope="module")
def bag(write_bag, shot, tmp_path_factory):
    """Ten seconds of one camera, each picture with a grey level of its own."""
    path = tmp_path_factory.mktemp("bags") / "bag"
    return write_bag(path, [shot(TOPIC, i * 0.5, level=i * 12) for i in range(21)])


@pytest.fixture(scope="module")
def bag_of_two(write_bag, shot, tmp_path_factory):
    path = tmp_path_factory.mktemp("bags") / "two"
    topics = (TOPIC, "/rear/image_raw/compressed")
    return write_bag(path, [shot(topic, i * 0.5, level=i * 12) for i in range(9) for topic in topics])


def run(capsys, *arguments):
    """Exit code, output and error output."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as left:
        code = left.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_help_teaches_and_loads_neither_torch_nor_opencv():
    check = (
        "import sys; from llava_ov_ros.cli.main import main\n"
        "try: main(['replay', '--help'])\n"
        "except SystemExit as left: assert left.code == 0\n"
        "assert not {'torch', 'cv2', 'numpy', 'rosbags', 'rclpy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert 'llava-ov replay my_bag --ask "What colour is the mug?"' in done.stdout


def test_version_and_no_command(capsys):
    code, out, _ = run(capsys, "--version")
    assert (code, out) == (0, "llava-ov 0.1.0\n")
    code, out, _ = run(capsys)
    assert code == 2
    assert "commands:" in out


def test_without_a_question_the_topics_are_listed(capsys, bag_of_two):
    code, out, _ = run(capsys, "replay", bag_of_two)
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert [TOPIC, "raw", "9", "4.0", "2.0", "header", "stamps"] in lines
    assert ["/rear/image_raw/compressed", "compressed", "9", "4.0", "2.0", "header", "stamps"] in lines
    assert f"--topic {TOPIC} --ask" in out


def test_topics_as_json(capsys, bag):
    code, out, _ = run(capsys, "replay", bag, "--json")
    assert code == 0
    assert json.loads(out) == {
        "name": TOPIC,
        "type": "sensor_msgs/msg/Image",
        "transport": "raw",
        "count": 21,
        "first_ns": T0_NS,
        "last_ns": T0_NS + 10 * S,
        "stamped": True,
    }


def test_several_topics_need_a_choice(capsys, bag_of_two):
    code, out, err = run(capsys, "replay", bag_of_two, "--ask", "What do you see?")
    assert (code, out) == (2, "")
    assert "has 2 image topics: choose with --topic" in err
    assert TOPIC in err


def test_an_answer_to_read(capsys, bag):
    code, out, err = run(capsys, "replay", bag, "--ask", "What colour is the mug?", "--at", "6", "--window", "2")
    assert code == 0
    assert "6.00 s  What colour is the mug?" in out
    assert "confidence 0." in out or "confidence 1." in out
    assert "4 frames of front, 1700000004.000 s to 1700000006.000 s" in out
    assert "front (/front/image_raw): 21 messages, 21 frames kept" in out
    assert "loading rooms" in err


def test_two_cameras_by_name_one_of_them_turned(capsys, bag_of_two):
    topics = ("--topic", "/rear/image_raw/compressed", "--topic", TOPIC)
    code, out, _ = run(
        capsys, "replay", bag_of_two, *topics, "--rotate", 90, "--rotate", 0, "--ask", "?", "--frames", 1, "--json"
    )
    assert code == 0
    assert [frame["camera"] for frame in json.loads(out)["frames"]] == ["rear", "front"]


@pytest.fixture
def infrared(write_bag, shot, tmp_path):
    """A recording of a 12-bit camera, of which the driver says 16 bits."""
    return write_bag(tmp_path / "infrared", [shot(TOPIC, i * 0.5, top=4095) for i in range(5)])


@pytest.mark.parametrize("command", ["replay", "plan"])
@pytest.mark.parametrize("option", ["auto", "0..4095"])
def test_16_bit_pictures_in_a_range_of_values(command, option, capsys, infrared):
    what = ["--ask", "?"] if command == "replay" else ["--goal", "put the mug on the desk"]
    more = ["--frozen-after", 0, "--json"]
    code, out, err = run(capsys, command, infrared, *what, *more)
    # The plan of a model that knows rendered rooms only may be rejected.
    assert (code, json.loads(out)["status"]) in [(0, "OK"), (int(command == "plan"), "OK")]
    assert "3 of 3" in json.loads(out)["message"]
    assert "show next to nothing: the one stamped" in json.loads(out)["message"]
    assert "next to nothing is to be seen in 5 pictures, the last has almost one grey level (0 to 16" in err
    code, out, err = run(capsys, command, infrared, *what, *more, "--value-range", option)
    stored = np.random.default_rng(4095).integers(1, 4096, (24, 32))
    p1, p99 = np.percentile(stored, (1, 99))
    found = option if option != "auto" else f"{int(np.floor(p1))}..{int(np.ceil(p99))}"
    assert {frame["value_range"] for frame in json.loads(out)["frames"]} == {found}
    assert "next to nothing" not in json.loads(out)["message"] + err


def test_a_sheet_says_where_next_to_nothing_is_to_be_seen(tmp_path):
    clip = Clip("front", (Frame("front", S, "optical", np.zeros((24, 32, 3), np.uint8)),))
    record = {"at_s": 1.0, "question": "?", "text": "yes", "status": "OK", "message": "", "correct": None, "truth": ""}
    pictures = []
    for name, message in (("without", ""), ("with", "1 of 1 frames used show next to nothing")):
        sheets = Sheets(tmp_path / f"{name}.png")
        sheets.add((clip,), {**record, "message": message})
        sheets.write()
        pictures.append(cv2.imread(str(tmp_path / f"{name}.png")))
    assert pictures[1].shape[0] > pictures[0].shape[0]


def test_questions_from_a_file_are_judged_by_their_truth(capsys, bag, tmp_path):
    file = tmp_path / "truth.json"
    entry = {"ask": "What colour is the mug?", "at_s": 5, "window_s": 1, "kind": "colour"}
    file.write_text(json.dumps({"questions": [entry | {"truth": "no such colour"}]}))
    code, out, _ = run(capsys, "replay", bag, "--questions", file)
    assert code == 0
    assert "truth: no such colour (different)" in out
    assert "1 question, 0 of 1 as the truth has it" in out


def test_a_question_without_an_answer_gives_exit_code_1(capsys, bag_with_gap):
    code, out, err = run(capsys, "replay", bag_with_gap(TOPIC), "--ask", "?", "--at", "3", "--at", "9", "--json")
    assert code == 1
    answered, stale = map(json.loads, out.splitlines())
    assert (answered["status"], stale["status"]) == ("OK", "STALE")
    assert "2 questions, 1 STALE" in err


def test_sheets_of_the_frames_used(capsys, bag, tmp_path):
    sheet = tmp_path / "new" / "sheet.png"
    asks = ("--ask", "What colour is the mug?", "--ask", "Where is the mug?", "--at", "3", "--at", "6")
    code, _, err = run(capsys, "replay", bag, *asks, "--sheet", sheet)
    assert code == 0
    assert sorted(file.name for file in sheet.parent.iterdir()) == ["sheet-2.png", "sheet.png"]
    assert str(sheet) in err
    first, second = cv2.imread(str(sheet)), cv2.imread(str(sheet.with_stem("sheet-2")))
    assert first.shape == second.shape
    assert (first != second).any()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--topic", "/wrong", "--ask", "?"], 2, "has no image topic /wrong; it has:"),
        (["--every", "2"], 2, "--every and --at say when to put each --ask"),
        (["--ask", " "], 2, "a question is empty"),
        (["--ask", "?", "--every", "0"], 2, "argument --every: '0' is not a number of seconds above 0"),
        (["--ask", "?", "--window", "nan"], 2, "'nan' is not a number of seconds, 0 or above"),
        (["--ask", "?", "--rotate", "45"], 2, "argument --rotate: invalid choice: 45"),
        (["--ask", "?", "--rotate", "90", "--rotate", "0"], 2, "--rotate is given 2 times"),
        (["--ask", "?", "--value-range", "12 bit"], 2, "value_range is '12 bit': allowed are default, auto, or"),
        (["--ask", "?", *2 * ["--value-range", "auto"]], 2, "--value-range is given 2 times: give it once, or"),
        (["--ask", "?", "--rate-hz", "0.1"], 2, "most answers would be STALE"),
        (["--ask", "?", "--sheet", "sheet.txt"], 2, "the name must end in .png"),
        (["--questions", "nothing.json"], 1, "nothing.json: No such file"),
        (["--ask", "?", "--model", "no-such-model"], 1, "no-such-model"),
        # Said before a model is looked for.
        (["--ask", "?", "--at", "99", "--model", "no-such-model"], 2, "lasts 10.0 s, and a question is asked at 99 s"),
        (["--ask", "?", "--device", "cuda:99"], 1, "device is 'cuda:99'"),
    ],
)
def test_wrong_usage_is_one_clear_line(capsys, bag, arguments, code, message):
    got, _, err = run(capsys, "replay", bag, *arguments)
    assert got == code
    assert message in err
    assert "Traceback" not in err


def test_a_path_that_is_no_bag(capsys, tmp_path):
    code, _, err = run(capsys, "replay", tmp_path / "nothing")
    assert code == 1
    assert err == f"llava-ov: error: {tmp_path / 'nothing'}: no such file or folder\n"


def test_ctrl_c_ends_with_130(bag):
    asks = ["--ask", "What colour is the mug?", "--every", "0.001"]
    process = subprocess.Popen(
        program("replay", str(bag), *asks), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert "What colour" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err


def test_a_reader_that_leaves_is_no_error(bag):
    reading, writing = os.pipe()
    os.close(reading)
    asks = ["--ask", "What colour is the mug?", "--every", "1"]
    process = subprocess.Popen(program("replay", str(bag), *asks), stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    _, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    assert "BrokenPipe" not in err


def test_a_real_recording_twice_gives_the_same_json(capsys, recording):
    arguments = ("replay", recording("box_5hz_mcap"), "--ask", "What colour is the book?", "--every", 5, "--json")
    runs = []
    for _ in range(2):
        code, out, _ = run(capsys, *arguments)
        assert code == 0
        records = [json.loads(line) for line in out.splitlines()]
        runs.append([{name: value for name, value in r.items() if name not in TIMINGS} for r in records])
    assert runs[0] == runs[1]
    assert [record["at_s"] for record in runs[0]] == [5.0, 10.0, 15.0]
    for record in runs[0]:
        assert record["text"] in (*COLOURS, CANNOT_TELL)
        assert 0 < record["confidence"] <= 1
        assert record["model"] == "rooms"
        stamps = [frame["stamp_ns"] for frame in record["frames"]]
        assert 1 < len(stamps) <= 4
        assert stamps == sorted(stamps)
        assert stamps[-1] <= T0_NS + record["at_s"] * S


def test_video_without_av_is_refused_before_a_model_is_loaded(
    capsys, tmp_path, moving_pictures, encode_video, write_video_bag, monkeypatch
):
    bag = write_video_bag(tmp_path / "bag", "/front/video", encode_video("h264", moving_pictures(3)))
    assert main(["replay", str(bag)]) == 0
    assert "foxglove_msgs/msg/CompressedVideo" in capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "av", None)
    assert main(["replay", str(bag), "--ask", "?"]) == 1
    err = capsys.readouterr().err
    assert f"/front/video of {bag} is video, and video needs the package av" in err
    assert "loading" not in err
