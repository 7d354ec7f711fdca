"""memory_mb bounds all that the node holds; what is held at most is logged; too small a limit is refused."""

from __future__ import annotations

import re

import pytest
from llava_ov_ros.msg import Answer
from rcl_interfaces.msg import Log

from llava_ov_ros.node.memory_limit import MIB, PICTURE_BYTES, buffer_bytes, held_at_most, model_bytes
from llava_ov_ros.settings import Settings

TWO = {"cameras": ["front", "rear"], "image_topics": ["/front", "/rear"]}


def test_without_a_limit_buffers_have_their_own():
    settings = Settings(**TWO, buffer_mb=100)
    assert model_bytes(settings) is None
    assert buffer_bytes(settings, {"weights": 10**12}) == 100 * MIB


@pytest.mark.parametrize("memory_mb", [40, 60, 250, 1000])
@pytest.mark.parametrize("cameras", [1, 2])
def test_models_and_frames_fit_into_the_limit(memory_mb, cameras):
    settings = Settings(memory_mb=memory_mb, **(TWO if cameras == 2 else {}))
    most = model_bytes(settings)
    clips = cameras * settings.clip_frames * PICTURE_BYTES
    assert most == memory_mb * MIB - clips
    for model in (0, most // 2, most):
        frames = cameras * buffer_bytes(settings, {"weights": model})
        assert clips <= frames <= cameras * settings.buffer_mb * MIB
        assert model + frames <= memory_mb * MIB
    # The models get what they may before the buffers get more than a clip.
    assert cameras * buffer_bytes(settings, {"weights": most}) == clips


def test_servers_need_room_for_their_pictures():
    alone, with_server = Settings(memory_mb=500), Settings(memory_mb=500, model="http://127.0.0.1:9/v1")
    assert model_bytes(alone) - model_bytes(with_server) == 64 * MIB


def test_a_limit_for_less_than_the_pictures_is_refused():
    with pytest.raises(MemoryError, match=r"memory_mb is 20, .* 4 frames .* each of 2 cameras takes 21 MiB: raise"):
        model_bytes(Settings(**TWO, memory_mb=20))


def test_what_is_held_is_told_with_its_sum():
    text = held_at_most(Settings(memory_mb=300), {"weights": 30 * MIB, "decode steps": 0, "workspace": 10 * MIB})
    assert text == "may hold up to 296 MiB (memory_mb 300): 30 weights, 10 workspace, 256 frames of 1 camera"


def test_a_small_limit_is_refused_and_a_sufficient_one_kept(rig, rooms):
    robot = rig(active=False, model=str(rooms), memory_mb=30)
    log = robot.listen(Log, "/rosout")
    assert not robot.transition("configure")
    status, _ = robot.diagnostic("model", lambda status, values: status.level == status.ERROR)
    assert status.message == log.wait(lambda line: line.level == Log.ERROR).msg
    needed, allowed = re.search(
        r"needs ([\d.]+) MiB: .* weights, .*; it may use ([\d.]+) MiB: allow more \(parameter memory_mb\), .*"
        r"memory_mb is 30",
        status.message,
    ).groups()
    assert float(needed) > float(allowed) == pytest.approx(30 - 4 * PICTURE_BYTES / MIB, abs=0.1)

    megabytes = 30 + round(float(needed) - float(allowed)) + 1
    assert robot.set(memory_mb=megabytes).successful
    robot.start()
    said = log.wait(lambda line: line.msg.startswith("may hold up to ")).msg
    assert int(re.match(r"may hold up to (\d+) MiB", said).group(1)) <= megabytes
    robot.feed(count=4)
    for mode in ("video", "multi_image", "image"):
        assert robot.ask("What colour is the mug?", mode=mode, max_new_tokens=4).status == Answer.OK
        _, values = robot.diagnostic("model")
        assert 0 < int(values["memory_bytes"]) <= int(values["planned_bytes"]) <= megabytes * MIB
