"""Rooms asked of the installed node over DDS: exactly the published frames, and what the engine says in process."""

from __future__ import annotations

import numpy as np
import pytest

from llava_ov_ros.cli.rooms_asking import RoomsAsker
from llava_ov_ros.evaluation.rooms.accuracy import trials
from llava_ov_ros.fastdds import PROFILE_VARIABLES
from llava_ov_ros.live.picture_questions import FRAME_NS, JPEG_QUALITY, live_rooms
from llava_ov_ros.live.session import LiveError
from llava_ov_ros.onevision import load_engine
from llava_ov_ros.questions import find_prompts, load_prompts
from llava_ov_ros.rooms.view import through_jpeg
from llava_ov_ros.share import shipped

MODEL = "rooms"


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        # Set here, so that it is not left behind for the other tests of this process.
        for name in PROFILE_VARIABLES:
            patch.setenv(name, str(shipped("config/fastdds.xml")))
        with live_rooms({"model": MODEL}, tmp_path_factory.mktemp("live") / "node.log") as answers:
            yield answers


@pytest.fixture(scope="module")
def here():
    engine = load_engine(MODEL)
    yield RoomsAsker(engine, "video", load_prompts(find_prompts("plain"))).answer
    engine.close()


def test_the_node_says_what_the_engine_says_of_the_same_jpegs(live, here):
    lengths, said = [], set()
    for trial in trials(5, 2, sizes=((640, 480),)):
        frames = trial.frames()
        assert {frame.shape for frame in frames} == {(480, 640, 3)}
        texts = [question.text for question in trial.asked]
        answers = live(frames, texts)
        assert answers == here([through_jpeg(frame, JPEG_QUALITY) for frame in frames], texts)
        lengths += [len(frames)] * len(texts)
        said |= set(answers)
    assert len(lengths) == 20
    assert set(lengths) == {1, 4}
    assert len(said) > 3


def test_more_questions_than_the_queue_holds_and_pictures_that_do_not_change(live, here):
    frames = [np.full((48, 64, 3), 127, dtype=np.uint8)] * 4
    texts = [f"How many {what} are there?" for what in ("mugs", "plates", "books", "boxes", "eggs", "pans")] * 4
    assert live(frames, texts) == here(frames, texts)


def test_frames_that_were_never_published_are_an_error(live):
    with pytest.raises(LiveError, match="no answer to 'What moved\\?': NO_FRAMES: camera 'camera'"):
        live.ask(["What moved?"], [1_000_000_000])


def test_an_answer_from_other_frames_is_an_error(live):
    stamps = live.show([np.full((48, 64, 3), level, dtype=np.uint8) for level in (50, 100, 150)])
    live.ask(["What moved?"], stamps)
    with pytest.raises(LiveError, match="the answer to 'What moved\\?' rests on other frames than asked for"):
        live.ask(["What moved?"], [stamps[0], stamps[1] + FRAME_NS // 2, stamps[2]])
