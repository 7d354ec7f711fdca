"""`llava-ov demo` for real: the installed node as a process, DDS between, the shipped model and recording."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest

from llava_ov_ros.cli.demo_picture import answer_lines, write_picture
from llava_ov_ros.cli.guesses import SENTENCE

pytestmark = pytest.mark.ros

pytest.importorskip("rclpy", reason="the demonstration needs ROS 2")

PROGRAM = "import sys; from llava_ov_ros.cli.main import main; sys.exit(main())"
TOPIC = "/front/image_raw"


def demo(folder, *arguments, **variables):
    """Run the command in a folder; exit code, output, error output."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "demo", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | variables,
        timeout=240,
    )
    return done.returncode, done.stdout, done.stderr


def alive(name):
    """Whether a process still has this node's namespace on its command line."""
    lines = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in lines if f"__ns:={name}" in line]


def test_the_shipped_recording_is_answered_as_the_truth_has_it(tmp_path):
    code, out, err = demo(tmp_path, "--rate", 4)
    assert code == 0, out + err
    assert "10 questions, 10 of 10 as the truth has it" in out
    assert "Nothing is mocked" in out
    assert "it demonstrates the model and does not measure it" in out
    assert "61 frames published, 10 answers" in out
    assert "ended with exit code 0" in out
    # Stamps of the recording itself, in the windows asked for: 3 s and 6 s.
    assert "4 frames of camera, 1700000001.400 s to 1700000004.400 s" in out
    assert "4 frames of camera, 1700000003.400 s to 1700000009.400 s" in out
    picture = cv2.imread(str(tmp_path / "out" / "demo.png"))
    height, width, _ = picture.shape
    assert width > 1000
    assert height > 1000
    assert picture.std() > 20
    [namespace] = set(re.findall(r"/llava_ov_demo_\d+", out))
    assert not alive(namespace)


def test_a_question_is_shown_with_its_time_where_that_is_not_the_newest_frames():
    record = {"question": "?", "text": "yes", "confidence": 0.5, "status": "OK", "message": ""}
    record |= {"correct": None, "truth": ""}
    stale = {**record, "status": "STALE", "message": "old", "at_s": 9.0}
    records = [{**record, "at_s": 4.4}, {**record, "at_s": 5.8}, stale]
    lines = [line.text for line in answer_lines(records, newest_s=4.4)]
    assert lines[::2] == ["?", "?   (asked at 5.80 s)", "?   (asked at 9.00 s)"]
    assert answer_lines([stale], newest_s=math.nan)[0].text == "?   (asked at 9.00 s)"


def test_the_picture_says_what_the_terminal_says_of_guesses(tmp_path):
    heights = []
    for text in ([], [SENTENCE]):
        write_picture(tmp_path / "demo.png", ["title", "subtitle", *text], {}, [], 0)
        heights.append(cv2.imread(str(tmp_path / "demo.png")).shape[0])
    assert heights[0] < heights[1]


def test_your_own_recording_and_question(tmp_path, write_bag, shot):
    bag = write_bag(tmp_path / "bag", [shot(TOPIC, i * 0.25, level=i * 10) for i in range(17)])
    picture = tmp_path / "mine.png"
    code, out, err = demo(tmp_path, "--bag", bag, "--ask", "What colour is the mug?", "--rate", 4, "--out", picture)
    assert code == 0, out + err
    assert "asked at a quarter, half and three quarters of the recording, and at its end" in out
    assert [f"{at:8.2f} s  What colour is the mug?" in out for at in (1, 2, 3, 4)] == [True] * 4
    assert "truth" not in out
    assert "17 frames published, 4 answers" in out
    assert cv2.imread(str(picture)) is not None


@pytest.mark.long
def test_your_own_16_bit_recording_in_a_range_of_values(tmp_path, write_bag, shot):
    bag = write_bag(tmp_path / "bag", [shot(TOPIC, i * 0.25, top=4095 + i) for i in range(9)])
    levels = []
    for option in ("default", "0..4095"):
        picture = tmp_path / f"{option}.png"
        arguments = ("--bag", bag, "--ask", "?", "--every", 2, "--rate", 4, "--out", picture, "--value-range", option)
        code, out, err = demo(tmp_path, *arguments)
        assert code == 0, out + err
        assert ("frames used show next to nothing: the one stamped" in out) == (option == "default")
        levels.append(np.percentile(cv2.imread(str(picture)), 98))
    assert levels[0] < levels[1]


def test_a_compressed_topic_without_the_usual_ending(tmp_path, write_bag, shot):
    bag = write_bag(tmp_path / "bag", [shot("/front/compressed", i * 0.25, level=i * 10) for i in range(9)])
    code, out, err = demo(tmp_path, "--bag", bag, "--ask", "?", "--every", 2, "--rate", 4)
    assert code == 0, out + err
    assert "9 frames published, 1 answer\n" in out


def test_a_video_whose_topic_has_any_name(tmp_path, moving_pictures, encode_video, write_video_bag):
    bag = write_video_bag(tmp_path / "bag", "/front/film", encode_video("h264", moving_pictures(21)))
    code, out, err = demo(tmp_path, "--bag", bag, "--ask", "?", "--every", 2, "--rate", 4)
    assert code == 0, out + err
    assert "21 frames published, 1 answer\n" in out
    # The bars of the pictures are white, in the frames that are drawn, too.
    assert (cv2.imread(str(tmp_path / "out" / "demo.png")) > 240).all(axis=2).sum() > 1000


def test_a_model_that_the_node_refuses_is_told_with_the_nodes_log(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"architectures": ["Other"]}')
    code, out, err = demo(tmp_path, "--model", "./other")
    assert code == 1
    assert "refused transition" in err
    assert "this is not a LLaVA-OneVision checkpoint" in err
    assert "Traceback" not in err
    [namespace] = set(re.findall(r"/llava_ov_demo_\d+", out))
    assert not alive(namespace)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--out", "demo.txt"], 2, "the name must end in .png"),
        (["--every", 2], 2, "give an --ask"),
        (["--bag", "nothing"], 1, "no such file or folder"),
        (["--topic", "/wrong"], 2, "has no image topic /wrong"),
    ],
)
def test_wrong_usage_is_one_clear_line(tmp_path, arguments, code, message):
    got, _, err = demo(tmp_path, *arguments)
    assert got == code
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_demo_that_is_told_to_stop_leaves_no_node_behind(tmp_path, number, code):
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", PROGRAM, "demo", "--rate", "0.2"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if "playing" in line:
            break
    [namespace] = set(re.findall(r"/llava_ov_demo_\d+", seen))
    assert alive(namespace)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert not alive(namespace)
