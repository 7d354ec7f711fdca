"""One question, one time: the live node, `replay --live`, `replay` and `eval` look at the same frames."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from llava_ov_ros.srv import Ask
from rosbags.rosbag2 import Reader, StoragePlugin, Writer

from llava_ov_ros.cli.main import main
from llava_ov_ros.frames import stamp_ns
from llava_ov_ros.live.playback import LiveSession
from llava_ov_ros.live.player import RECEIVES_ALL, staged_base
from llava_ov_ros.live.process import NodeProcess
from llava_ov_ros.replay import Schedule, TimedQuestion, camera_names, image_topics
from llava_ov_ros.share import shipped

QUESTION = "What colour is the mug?"
# While the growing clip is short, while it grows, as it begins anew, long after, and at the end.
TIMES_S = (0.5, 3.3, 5.1, 7.7, 9.6, 12.0)
ONE, OTHER = "/camera/image_raw/compressed", "/rear/image_raw/compressed"
ROBOT = f"/test_same_frames_{os.getpid()}"
RATE = 4.0
# What the answers say is of no matter here.
TOKENS = 2


@pytest.fixture(scope="module")
def demo_room() -> Path:
    found = shipped("examples/demo_room")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def two_cameras(demo_room, tmp_path_factory) -> Path:
    """The shipped recording, and on another topic the part of it after 0.3 s, every third picture missing."""
    bag = tmp_path_factory.mktemp("bags") / "two_cameras"
    with Reader(demo_room) as reader, Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        written = {}
        for number, (connection, time_ns, data) in enumerate(reader.messages()):
            late_enough = time_ns - reader.start_time >= 300_000_000
            for topic in (ONE, OTHER) if late_enough and number % 3 else (ONE,):
                if topic not in written:
                    kind, definition = connection.msgtype, connection.msgdef.data
                    written[topic] = writer.add_connection(
                        topic, kind, msgdef=definition, rihs01=connection.digest, serialization_format="cdr"
                    )
                writer.write(written[topic], time_ns, data)
    return bag


@pytest.fixture(autouse=True)
def domain_of_its_own(monkeypatch, domain_of_children):
    """The playing publishes /clock, which another test's node may listen to."""
    monkeypatch.setenv("ROS_DOMAIN_ID", domain_of_children)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("topics", [(ONE,), (ONE, OTHER)], ids=["one camera", "two cameras"])
def test_every_way_of_asking_looks_at_the_same_frames(topics, demo_room, two_cameras, nano, tmp_path, capsys):
    # The shipped model about the shipped recording; a quicker one about the other.
    bag, model = (demo_room, "rooms") if len(topics) == 1 else (two_cameras, nano)
    settings = ("--model", model, "--max-new-tokens", TOKENS)
    replayed = from_replay(capsys, bag, topics, *settings)
    assert list(replayed) == list(TIMES_S)
    assert from_eval(bag, topics, model, tmp_path) == replayed
    with running_node(bag, topics, model, tmp_path / "node.log") as node:
        assert from_replay(capsys, bag, topics, "--live", "--node", node.name, "--rate", RATE) == replayed
        assert from_the_node(bag, topics, node) == replayed
    # The window of the same length is another choice of frames.
    assert from_replay(capsys, bag, topics, *settings, "--window", 8) != replayed


@contextmanager
def running_node(bag, topics, model, log):
    """The installed node with the default parameters of clips, active, its cameras those of a bag."""
    known = {topic.name: topic for topic in image_topics(bag)}
    values = {
        "use_sim_time": True,
        "model": model,
        "max_new_tokens": TOKENS,
        "cameras": list(camera_names(topics).values()),
        "image_topics": [staged_base(known[name]) for name in topics],
        "image_transport": [known[name].transport for name in topics],
        **RECEIVES_ALL,
    }
    with NodeProcess(ROBOT, values, log) as node:
        with LiveSession(bag, topics, node.name, RATE, check=node.check) as session:
            session.wait_until_up(60)
            session.configure(60)
            session.activate(10)
        yield node
        assert node.end() == 0, node.tail()


def from_the_node(bag, topics, node):
    """The frames of plain requests, which name nothing but the question."""
    found = {}
    with LiveSession(bag, topics, node.name, RATE, check=node.check) as session:
        session.wait_until_heard()

        def ask(due):
            for _, question, now_ns in due:
                session.arrive_at(now_ns)
                (answer,) = session.ask([Ask.Request(question=QUESTION)], 60)
                assert answer.status == 0, answer.message
                found[question.at_ns / 1e9] = [(frame.camera, stamp_ns(frame.stamp_used)) for frame in answer.frames]

        questions = [TimedQuestion(QUESTION, round(at_s * 1e9)) for at_s in TIMES_S]
        session.play_schedule(Schedule(questions), ask, lambda message: None)
    return found


def from_replay(capsys, bag, topics, *options):
    """The frames of `llava-ov replay`."""
    times = [text for at_s in TIMES_S for text in ("--at", at_s)]
    cameras = [text for name in topics for text in ("--topic", name)]
    capsys.readouterr()
    code = main(list(map(str, ["replay", bag, *cameras, "--ask", QUESTION, *times, "--json", *options])))
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return frames_by_time(map(json.loads, captured.out.splitlines()))


def from_eval(bag, topics, model, folder):
    """The frames of `llava-ov eval`."""
    suite = folder / "suite.yaml"
    questions = [{"ask": QUESTION, "at_s": list(TIMES_S)}]
    bags = [{"bag": str(bag), "topics": list(topics), "questions": questions}]
    suite.write_text(yaml.safe_dump({"name": "same frames", "model": model, "max_new_tokens": TOKENS, "bags": bags}))
    assert main(["eval", str(suite), "--out", str(folder / "run")]) == 0
    return frames_by_time(map(json.loads, (folder / "run" / "results.jsonl").read_text().splitlines()))


def frames_by_time(records):
    return {one["at_s"]: [(frame["camera"], frame["stamp_ns"]) for frame in one["frames"]] for one in records}
