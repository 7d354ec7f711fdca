"""A replay offers each message once, asks when the time has come, and refuses where a live node would."""

from __future__ import annotations

import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest

from llava_ov_ros.frames import AdmissionSettings, Camera, CameraSettings
from llava_ov_ros.onevision import Generated
from llava_ov_ros.questions import Status
from llava_ov_ros.replay import (
    TIMINGS,
    BagMessage,
    ImageTopic,
    ReplaySettings,
    TimedQuestion,
    answer_record,
    image_topics,
    is_correct,
    read_messages,
    remarks,
    replay,
    written,
)
from llava_ov_ros.replay.bag import StoredMessage

S = 1_000_000_000
T0_NS = 1_700_000_000 * S
FRONT = "/front/image_raw"
REAR = "/rear/image_raw"


def written_answer(answered, model):
    record = answer_record(answered.result, model)
    return written(record, answered.question.at_ns, answered.now_ns, answered.question)


class Listing:
    """In the model's place: answers with the seconds of the frames it is shown."""

    name = "listing"

    def __init__(self):
        self.asked = []

    def stream(self, clips, asks, *, mode):
        """The times of all frames, as text."""
        for number, ask in enumerate(asks):
            self.asked.append((ask.question, mode, ask.max_new_tokens))
            if ask.question == "fail":
                raise RuntimeError("out of memory")
            seen = [f"{clip.camera} {seconds(frame)}" for clip in clips for frame in clip.frames]
            yield number, Generated(", ".join(seen), (1, 2), (0.5, 0.5), "stop", 10, 0.1, 0.2)

    def close(self):
        """Has nothing to give back."""


class Saying(Listing):
    """In the model's place: says one text to every question."""

    def __init__(self, text):
        super().__init__()
        self._text = text

    def stream(self, clips, asks, *, mode):
        """The text, whatever is asked."""
        for number, ask in enumerate(asks):
            self.asked.append((ask.question, mode, ask.max_new_tokens))
            yield number, Generated(self._text, (1, 2), (0.5, 0.5), "stop", 10, 0.1, 0.2)


def seconds(frame):
    return f"{(frame.stamp_ns - T0_NS) / S:g}"


def message(at_s, topic=FRONT, lap=0, level=0):
    stamp_ns = T0_NS + round(at_s * S)
    picture = np.full((4, 6, 3), level, dtype=np.uint8)
    header = SimpleNamespace(stamp=SimpleNamespace(sec=stamp_ns // S, nanosec=stamp_ns % S), frame_id="optical")
    image = SimpleNamespace(
        __msgtype__="sensor_msgs/msg/Image",
        header=header,
        height=4,
        width=6,
        encoding="rgb8",
        is_bigendian=0,
        step=18,
        data=picture.ravel(),
    )
    return BagMessage(topic, stamp_ns, lap, image, StoredMessage(stamp_ns, b"", "cdr"))


def messages(count, period_s=0.5, topic=FRONT):
    return [message(i * period_s, topic, level=i % 256) for i in range(count)]


def cameras(*topics, rate_hz=0.0, **settings):
    admission = AdmissionSettings(rate_hz=rate_hz)
    return {topic: Camera(topic.split("/")[1], CameraSettings(admission=admission, **settings)) for topic in topics}


def question(at_s, ask="?", **fields):
    return TimedQuestion(ask, round(at_s * S), **fields)


def texts(answered):
    return [item.result.text for item in answered]


SETTINGS = ReplaySettings(window_ns=S, frozen_after_ns=0)


def test_a_clip_ends_with_the_last_frame_up_to_the_questions_time():
    asked = [question(1.0), question(1.2), question(0.0)]
    answered = list(replay(messages(10), cameras(FRONT), asked, Listing(), SETTINGS))
    assert texts(answered) == ["front 0", "front 0, front 0.5, front 1", "front 0, front 0.5, front 1"]
    assert [item.now_ns - T0_NS for item in answered] == [0, S, 1_200_000_000]


def test_what_is_told_of_a_camera_whose_pictures_show_nothing():
    by_topic = cameras(FRONT)
    list(replay(messages(4), by_topic, [question(1.0)], Listing(), SETTINGS))
    topic = ImageTopic(FRONT, "sensor_msgs/msg/Image", "raw", 4, T0_NS, T0_NS + S, True)
    assert remarks([topic], by_topic)[1] == (
        "front: next to nothing is to be seen in 4 pictures, the last has one grey level (3); look at value_range, the "
        "exposure and the lens (a cap on it?)"
    )


def test_every_message_is_offered_once_also_after_the_last_question():
    by_topic = cameras(FRONT, REAR)
    both = sorted(messages(20) + messages(15, topic=REAR), key=lambda item: item.time_ns)
    list(replay(both, by_topic, [question(1.0)], Listing(), SETTINGS))
    assert (by_topic[FRONT].counts.received, by_topic[FRONT].counts.admitted) == (20, 20)
    assert (by_topic[REAR].counts.received, by_topic[REAR].counts.admitted) == (15, 15)


def test_a_question_at_the_very_end_sees_the_last_frame():
    answered = list(replay(messages(4), cameras(FRONT), [question(1.5)], Listing(), SETTINGS))
    assert texts(answered) == ["front 0.5, front 1, front 1.5"]


def test_a_question_and_its_truth_in_chinese():
    asked = [question(1.5, "杯子是什么颜色？", gold="红色"), question(1.5, "杯子在哪里？", gold="桌上")]
    answered = list(replay(messages(4), cameras(FRONT), asked, Saying("红色。"), SETTINGS))
    records = [written_answer(one, "m") for one in answered]
    assert [(record["question"], record["text"]) for record in records] == [
        ("杯子是什么颜色？", "红色。"),
        ("杯子在哪里？", "红色。"),
    ]
    assert [record["correct"] for record in records] == [True, False]


def test_a_question_long_after_the_end_is_stale():
    (answered,) = replay(messages(4), cameras(FRONT), [question(9)], Listing(), SETTINGS)
    assert answered.result.status is Status.STALE
    assert "7.5 s old" in answered.result.message


def test_a_question_in_a_gap_of_the_recording_is_stale_and_the_next_is_not():
    gap = [message(0.0), message(10.0)]
    early, late = replay(gap, cameras(FRONT), [question(5), question(10)], Listing(), SETTINGS)
    assert early.result.status is Status.STALE
    assert late.result.status is Status.OK


def test_a_window_of_its_own_and_the_most_frames():
    settings = ReplaySettings(window_ns=S, frozen_after_ns=0, max_frames=3)
    asked = [question(4.5, window_ns=2 * S), question(4.5, window_ns=0), question(4.5)]
    answered = list(replay(messages(10), cameras(FRONT), asked, Listing(), settings))
    assert texts(answered) == ["front 2.5, front 3.5, front 4.5", "front 4.5", "front 3.5, front 4, front 4.5"]


def test_without_a_window_a_question_is_about_the_growing_clip_whoever_else_asks():
    settings = ReplaySettings(frozen_after_ns=0)
    times_s = (0.5, 2.0, 4.5, 7.2, 9.5)
    alone = [texts(replay(messages(20), cameras(FRONT), [question(at_s)], Listing(), settings))[0] for at_s in times_s]
    assert alone == [
        "front 0, front 0.5",
        "front 0, front 1.5, front 2",
        "front 3, front 4.5",
        "front 3, front 4.5, front 6, front 7",
        "front 6, front 7.5, front 9, front 9.5",
    ]
    together = replay(messages(20), cameras(FRONT), [question(at_s) for at_s in times_s], Listing(), settings)
    assert texts(together) == alone


def test_settings_and_question_reach_the_model_in_the_order_of_their_times():
    engine = Listing()
    settings = ReplaySettings(mode="image", max_new_tokens=7, frozen_after_ns=0)
    asked = [question(2, "c"), question(1, "a"), question(1, "b")]
    list(replay(messages(10), cameras(FRONT), asked, engine, settings))
    assert engine.asked == [("a", "image", 7), ("b", "image", 7), ("c", "image", 7)]


def test_a_camera_that_has_not_started_gives_no_frames():
    late = [*messages(4), message(2.0, REAR)]
    (answered,) = replay(late, cameras(FRONT, REAR), [question(1)], Listing(), SETTINGS)
    assert answered.result.status is Status.NO_FRAMES
    assert "camera 'rear'" in answered.result.message


def test_a_frozen_camera_is_not_asked_about():
    same = [message(i * 0.5, level=9) for i in range(20)]
    settings = ReplaySettings(frozen_after_ns=5 * S)
    early, late = replay(same, cameras(FRONT), [question(2), question(8)], Listing(), settings)
    assert early.result.status is Status.OK
    assert late.result.status is Status.FROZEN


def test_in_a_looped_recording_time_goes_on():
    laps = [message(i * 0.5, lap=lap) for lap in range(3) for i in range(20)]
    by_topic = cameras(FRONT)
    answered = list(replay(laps, by_topic, [question(1), question(12), question(25)], Listing(), SETTINGS))
    # A lap lasts 9.5 s: 12 s is 2.5 s into the second.
    assert texts(answered) == [
        "front 0, front 0.5, front 1",
        "front 1.5, front 2, front 2.5",
        "front 5, front 5.5, front 6",
    ]
    assert by_topic[FRONT].counts.jumps_back == 2


def test_a_model_that_fails_ends_one_question_and_not_the_replay():
    failed, fine = replay(messages(4), cameras(FRONT), [question(1, "fail"), question(1)], Listing(), SETTINGS)
    assert failed.result.status is Status.MODEL_ERROR
    assert "out of memory" in failed.result.message
    assert fine.result.status is Status.OK


def test_without_messages_every_question_has_no_frames():
    (answered,) = replay([], cameras(FRONT), [question(1)], Listing(), SETTINGS)
    assert answered.result.status is Status.NO_FRAMES


def test_answers_come_as_the_recording_goes_and_memory_is_bounded():
    endless = (message(i * 0.5, level=i % 256) for i in itertools.count())
    by_topic = cameras(FRONT, buffer_frames=5)
    answers = replay(endless, by_topic, [question(t) for t in (1, 5000, 10_000)], Listing(), SETTINGS)
    assert texts(itertools.islice(answers, 2))[1] == "front 4999, front 4999.5, front 5000"
    assert by_topic[FRONT].counts.received == 10_001
    assert by_topic[FRONT].buffered[0] == 5


def test_the_record_of_an_answer_names_its_frames_and_compares_with_the_truth():
    (answered,) = replay(
        messages(4), cameras(FRONT), [question(1, window_ns=0, gold="Front 1.", category="list")], Listing(), SETTINGS
    )
    record = written_answer(answered, "listing")
    assert json.loads(json.dumps(record)) == record
    assert (record["text"], record["truth"], record["correct"], record["kind"]) == ("front 1", "Front 1.", True, "list")
    assert record["frames"] == [{"camera": "front", "stamp_ns": T0_NS + S, "frame_id": "optical"}]
    assert (record["status"], record["at_s"], record["window_s"]) == ("OK", 1.0, 0.0)
    assert set(TIMINGS) < set(record)


@pytest.mark.parametrize(
    ("text", "truth", "same"),
    [
        ("red", "Red", True),
        (" red. ", "red", True),
        ("dark red", "red", False),
        ("", "red", False),
        ("红色。", "红色", True),
        ("Ａ区！", "a区", True),
        ("不是红色", "红色", False),
    ],
)
def test_is_correct(text, truth, same):
    assert is_correct(text, truth) is same


def test_remarks_name_missing_stamps_disorder_laps_and_clocks_that_differ(write_bag, shot, tmp_path):
    shots = [shot(FRONT, 0.0, 0), shot(FRONT, 0.3, 1), shot(FRONT, 0.2, 2), shot(FRONT, 9.0, 3), shot(FRONT, 0.0, 4)]
    bag = write_bag(tmp_path / "bag", [*shots, shot(REAR, None, 5)])
    by_topic = cameras(FRONT, REAR)
    assert list(replay(read_messages(bag, [FRONT, REAR]), by_topic, [], Listing(), SETTINGS)) == []
    text = "\n".join(remarks(image_topics(bag), by_topic))
    assert "front (/front/image_raw): 5 messages, 4 frames kept" in text
    assert "front: 1 messages out of order were left out" in text
    assert "front: stamps jumped back 1 times" in text
    assert "rear: 1 messages have no header stamp; their record time was used" in text
    assert "the cameras share no time" in text
    assert "/rear/image_raw 1700000105.000 to 1700000105.000 s (record time)" in text


def test_a_real_recording_is_admitted_at_the_rate_and_never_out_of_order(recording):
    bag = recording("bottles_5hz_mcap")
    (topic,) = image_topics(bag)
    by_topic = cameras(topic.name, rate_hz=2.0)
    asked = [question(at) for at in (5.0, 10.0, 39.8)]
    answered = list(replay(read_messages(bag, [topic.name]), by_topic, asked, Listing(), ReplaySettings()))
    counts = by_topic[topic.name].counts
    assert (counts.received, counts.out_of_order, counts.malformed) == (200, 0, 0)
    assert counts.admitted + counts.not_due == 200
    assert 78 <= counts.admitted <= 80
    assert [item.result.status for item in answered] == [Status.OK] * 3
    for item in answered:
        stamps = [frame.stamp_ns for clip in item.result.clips for frame in clip.frames]
        assert stamps == sorted(stamps)
        assert item.now_ns - 600_000_000 <= stamps[-1] <= item.now_ns
