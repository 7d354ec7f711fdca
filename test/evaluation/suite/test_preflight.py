"""What is checked before a model is loaded: bags, topics, times, answers; and when timelines ask."""

from __future__ import annotations

import json
import re
import shutil

import pytest
import yaml
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from llava_ov_ros.evaluation.run import identity as identity_module
from llava_ov_ros.evaluation.run.answering_model import AnsweringModel
from llava_ov_ros.evaluation.run.identity import differences, identity
from llava_ov_ros.evaluation.suite.preflight import preflight
from llava_ov_ros.evaluation.suite.suite_file import SuiteError, read_suite
from llava_ov_ros.frames import CameraSettings, GrowthSettings

S = 1_000_000_000
T0_NS = 1_700_000_000 * S
TOPIC = "/front/image_raw"


@pytest.fixture(scope="module")
def bags(write_bag, shot, tmp_path_factory):
    """A folder of small recordings, each of ten seconds at 2 Hz unless its name says otherwise."""
    folder = tmp_path_factory.mktemp("bags")
    shots = [shot(TOPIC, i * 0.5, level=i * 12) for i in range(21)]
    write_bag(folder / "good", shots)
    write_bag(folder / "two", [*shots, *(shot("/rear/image_raw", i * 0.5) for i in range(21))])
    write_bag(folder / "blind", [], others=("/chatter",))
    write_bag(folder / "unstamped", [shot(TOPIC, None, recorded_s=i * 0.5) for i in range(21)])
    write_bag(folder / "with_text", shots, others=("/chatter",))
    with Writer(folder / "empty", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        writer.add_connection(TOPIC, "sensor_msgs/msg/Image", typestore=get_typestore(Stores.ROS2_JAZZY))
    with Writer(folder / "unknown", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        definition = {"msgdef": "int8 thing\n", "rihs01": "RIHS01_" + "0" * 64}
        writer.write(writer.add_connection("/camera", "acme_msgs/msg/Picture", **definition), T0_NS, b"\0\1\0\0\1")
    return folder


@pytest.fixture
def checked(bags, tmp_path):
    """The job of a suite with some entries of bags, or what is wrong with it."""

    def check(*entries, **more):
        path = bags / f"suite_{tmp_path.name}.yaml"
        path.write_text(yaml.safe_dump({"name": "s", "bags": list(entries), **more}))
        try:
            return preflight(read_suite(path))
        except SuiteError as error:
            return [problem.removeprefix(f"{path}:").partition(": ")[2] for problem in error.problems]

    return check


ASK = [{"ask": "What?"}]


def test_ranges_of_values_of_cameras(checked, bags):
    topics = [{"topic": TOPIC, "value_range": "0..4095"}, "/rear/image_raw"]
    job = checked({"bag": "two", "topics": topics, "questions": ASK})
    assert [camera.value_range for camera in job.shards[0].cameras] == ["0..4095", "default"]
    found = identity(job, AnsweringModel("rooms", bags), "here")
    assert found["bags"]["two"]["cameras"] == f"{TOPIC} in the range 0..4095, /rear/image_raw"
    job = preflight(read_suite(job.suite.file.path, value_range="auto"))
    assert [camera.value_range for camera in job.shards[0].cameras] == ["auto", "auto"]
    topics[0]["value_range"] = "12 bit"
    (problem,) = checked({"bag": "two", "topics": topics, "questions": ASK})
    assert "value_range is '12 bit': allowed are default, auto, or" in problem


def test_a_good_suite(checked, bags):
    job = checked({"bag": "good", "questions": [{"ask": "What?", "at_s": [2, 4], "gold": "red"}]})
    (shard,) = job.shards
    assert (shard.name, shard.bag, shard.messages) == ("good", bags / "good", 21)
    assert [(camera.name, camera.topic.name) for camera in shard.cameras] == [("front", TOPIC)]
    assert [(t.at_ns, t.window_ns, t.gold) for t in shard.trials] == [
        (2 * S, None, ("red",)),
        (4 * S, None, ("red",)),
    ]
    assert job.metrics == ("em", "rouge_l")
    assert job.notes == ()


def test_a_run_that_looked_at_windows_is_not_continued_with_growing_clips(checked, bags, monkeypatch):
    """Neither one from before growing clips, nor one whose clips grew otherwise."""
    asked = {"bag": "good", "questions": [{"ask": "What?", "at_s": [2, 4]}]}
    now = identity(checked(asked), AnsweringModel("rooms", bags), "here")
    windows = identity(checked(asked, clip={"window_s": 8.0}), AnsweringModel("rooms", bags), "here")
    assert "settings: clip: window_s was 8.0 and is None" in differences(windows, now)
    before = json.loads(json.dumps(windows))
    del before["settings"]["growing_clip"]
    assert "settings: growing_clip: spacing_ns is new" in differences(before, windows)
    grown = CameraSettings(growth=GrowthSettings(min_frames=1, spacing_ns=0))
    monkeypatch.setattr(identity_module, "recording_settings", lambda max_frames: grown)
    assert differences(now, identity(checked(asked), AnsweringModel("rooms", bags), "here")) == [
        "settings: growing_clip: min_frames was 2 and is 1",
        f"settings: growing_clip: spacing_ns was {S * 3 // 2} and is 0",
    ]


def test_globs_and_names(checked):
    job = checked({"bag": ["goo*", "with_text"], "questions": ASK})
    assert [shard.name for shard in job.shards] == ["good", "with_text"]
    found = checked({"bag": "*ood", "questions": ASK}, {"bag": "good", "questions": ASK})
    assert "is there 2 times" in found[0]


def test_bags_of_one_name_are_told_apart(checked, bags):
    (bags / "again").mkdir(exist_ok=True)
    shutil.copytree(bags / "good", bags / "again" / "good", dirs_exist_ok=True)
    job = checked({"bag": "good", "questions": ASK}, {"bag": "again/good", "questions": ASK})
    assert [shard.name for shard in job.shards] == [f"{bags.name}/good", "again/good"]


def test_bags_without_header_stamps_are_noted(checked):
    job = checked({"bag": "unstamped", "questions": ASK})
    assert "has no header stamps: its record time is used" in job.notes[0]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"bag": "none"}, "bags[0].bag: .*none: no such file or folder"),
        ({"bag": "no*"}, "bags[0].bag: .*matches nothing"),
        ({"bag": "blind"}, "bags[0].bag: .*no topic of type sensor_msgs/msg/Image"),
        ({"bag": "empty"}, "bags[0].bag: /front/image_raw of .*empty has no messages"),
        ({"bag": "two"}, "bags[0].topics: .*has 2 image topics: choose among /front/image_raw, /rear/image_raw"),
        ({"bag": "unknown"}, r"bags[0].bag: .*it has /camera \(acme_msgs/msg/Picture\)"),
        ({"bag": "good", "topics": ["/frnt/image_raw"]}, "bags[0].topics[0]: .*did you mean '/front/image_raw'"),
        ({"bag": "with_text", "topics": ["/chatter"]}, "bags[0].topics[0]: /chatter .*std_msgs/msg/String"),
        ({"bag": "good", "topics": [TOPIC, TOPIC]}, "bags[0].topics: /front/image_raw is there 2 times"),
    ],
)
def test_a_bag_that_does_not_do(checked, entry, problem):
    (found,) = checked({**entry, "questions": ASK})
    field, _, text = problem.partition(": ")
    assert found.startswith(f"{field}: ")
    assert re.search(text, found), found


@pytest.mark.parametrize(
    ("question", "problem"),
    [
        ({"at_s": 11}, "bags[0].questions[0].at_s: 11 s is outside"),
        ({"range_s": [5, 2]}, "bags[0].questions[0].range_s: ends before it begins"),
        ({"at_s": 1, "every_s": 2}, "bags[0].questions[0].every_s: does not go with at_s"),
        ({"kind": "count", "gold": "two"}, 'bags[0].questions[0].gold: is "two", expected a whole number'),
        ({"kind": "count", "gold": 11}, "bags[0].questions[0].gold: is 11, and the prompts count to 10 only"),
        ({"kind": "yes_no", "gold": "yes"}, 'bags[0].questions[0].gold: is "yes", expected true or false'),
        ({"gold": True}, "bags[0].questions[0].gold: is true, expected text for kind text: quote it"),
        ({"kind": "choice", "choices": ["a", "b"], "gold": "c"}, 'gold: is "c", which is none of the choices'),
        ({"kind": "choice"}, "bags[0].questions[0]: choices are []: give at least two"),
        ({"choices": ["a", "b"]}, "bags[0].questions[0]: a question of kind text has no choices"),
    ],
)
def test_a_question_that_does_not_do(checked, question, problem):
    (found,) = checked({"bag": "good", "questions": [{"ask": "What?", **question}]})
    assert problem in found


def test_everything_is_said_at_once(checked):
    found = checked(
        {"bag": "none"},
        {"bag": "good", "topics": ["/x"]},
        {"bag": "good", "questions": [{"ask": "What?", "at_s": 99}]},
        metrics=["emm"],
        model="romms",
        prompts="plian",
        clip={"rate_hz": 0.1},
    )
    fields = [problem.partition(":")[0] for problem in found]
    assert fields == ["prompts", "clip.rate_hz", "metrics[0]", "model", "bags[0].bag", "bags[1].topics[0]", *fields[6:]]
    assert any("99 s is outside" in problem for problem in found)
    assert "did you mean 'em'?" in found[2]


@pytest.mark.parametrize(
    ("entry", "field", "problem"),
    [
        ({"bag": "none"}, "bags[0].bag", "no such file"),
        ({"bag": "broken.mcap"}, "bags[0].bag", "by its first bytes"),
        ({"bag": "two"}, "bags[0].topics", "choose among"),
        ({"bag": "good", "topics": ["/x"]}, "bags[0].topics[0]", "has no topic /x"),
        ({"bag": "film"}, "bags[0].bag", "/film/theora is of type theora_image_transport/msg/Packet: Theora is not"),
        ({"bag": "film", "topics": ["/film/theora"]}, "bags[0].topics[0]", "Theora is not decoded: publish compressed"),
    ],
)
def test_what_is_wrong_with_bag_and_questions_is_said_in_one_round(checked, bags, entry, field, problem):
    (bags / "broken.mcap").write_bytes(b"no bag")
    if not (bags / "film").exists():
        with Writer(bags / "film", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            definition = {"msgdef": "uint8[] data\n", "rihs01": "RIHS01_" + "0" * 64}
            video = writer.add_connection("/film/theora", "theora_image_transport/msg/Packet", **definition)
            writer.write(video, T0_NS, b"\0\1\0\0\0\0\0\0")
    questions = [{"ask": "How many?", "kind": "count", "gold": "two"}, {"ask": "?", "range_s": [2, 1]}]
    found = checked({**entry, "questions": questions})
    assert [one.partition(": ")[0] for one in found] == [
        field,
        "bags[0].questions[0].gold",
        "bags[0].questions[1].range_s",
    ]
    assert problem in found[0]


def test_topics_of_the_whole_suite(checked):
    (found,) = checked({"bag": "good", "questions": ASK}, topics=[TOPIC, "/x"])
    assert found.startswith("topics[1]: ")


def test_a_folder_with_marks_of_patterns_in_its_name(bags, tmp_path):
    folder = tmp_path / "room [1]*"
    folder.mkdir()
    shutil.copytree(bags / "good", folder / "good")
    (folder / "suite.yaml").write_text("name: s\nbags: [{bag: go*, questions: [{ask: Where}]}]\n")
    assert [shard.name for shard in preflight(read_suite(folder / "suite.yaml")).shards] == ["good"]


def test_metrics_that_suit_nothing(checked):
    found = checked({"bag": "good", "questions": [{"ask": "What?", "gold": "red"}]}, metrics=["em", "count"])
    assert found == ["metrics[1]: nothing that is asked can be scored by 'count'"]


def test_nothing_asked(checked):
    assert "nothing is asked" in checked({"bag": "good"})[0]


def test_a_bag_without_metadata_is_opened_as_replay_opens_it(checked, bags):
    shutil.copytree(bags / "good", bags / "open", dirs_exist_ok=True)
    (bags / "open" / "metadata.yaml").unlink(missing_ok=True)
    (shard,) = checked({"bag": "open", "questions": ASK}).shards
    assert (shard.name, shard.messages) == ("open", 21)


def test_a_bag_that_was_cut_off(checked, bags):
    shutil.copytree(bags / "good", bags / "cut", dirs_exist_ok=True)
    (file,) = (bags / "cut").glob("*.mcap")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    (found,) = checked({"bag": "cut", "questions": ASK})
    assert found.startswith("bags[0].bag: ")
    assert "damaged or incomplete" in found


def test_timelines_ask_inside_their_intervals_about_frames_from_inside(checked):
    timeline = {"ask": "How many?", "kind": "count", "every_s": 1, "stable": [[0, 2.9, 3], [4, 4.5, 2], [5, 10, 1]]}
    job = checked({"bag": "good", "timelines": [timeline]}, clip={"window_s": 2})
    trials = job.shards[0].trials
    # A frame of an interval is sure to be there 1.5 periods of 0.5 s after its beginning.
    assert [trial.at_ns / S for trial in trials] == [0.75, 1.75, 2.75, 5.75, 6.75, 7.75, 8.75, 9.75]
    assert [trial.window_ns / S for trial in trials] == [0, 1, 2, 0, 1, 2, 2, 2]
    assert [trial.gold for trial in trials] == [(3,)] * 3 + [(1,)] * 5
    # Without a window, too: a growing clip could show what was before.
    trials = checked({"bag": "good", "timelines": [timeline]}).shards[0].trials
    assert [trial.window_ns / S for trial in trials] == [0, 1, 2, 0, 1, 2, 3, 4]


def test_timelines_from_a_file(checked, bags):
    file = {
        "note": "of no bag",
        "good": {"question": "How many?", "stable": [[0, 5, 3]]},
        "two": {"question": "What is held?", "answer": "a box"},
    }
    (bags / "timelines.json").write_text(json.dumps(file))
    job = checked(
        {"bag": "good", "timelines": [{"file": "timelines.json", "kind": "count", "every_s": 2}]},
        {"bag": "two", "topics": [TOPIC], "timelines": [{"file": "timelines.json", "every_s": 4}]},
    )
    first, second = job.shards
    assert [(t.ask, t.at_ns / S, t.gold) for t in first.trials] == [
        ("How many?", at, (3,)) for at in (0.75, 2.75, 4.75)
    ]
    assert [(t.ask, t.at_ns / S, t.gold) for t in second.trials] == [
        ("What is held?", at, ("a box",)) for at in (0.75, 4.75, 8.75)
    ]
    (found,) = checked({"bag": "with_text", "timelines": [{"file": "timelines.json"}]})
    assert "has no entry 'with_text'" in found


def test_a_question_file_beside_each_bag(checked, bags):
    for name in ("good", "with_text"):
        truth = {"questions": [{"ask": f"{name}?", "at_s": 3, "window_s": 1, "truth": "yes", "kind": "presence"}]}
        (bags / name / "truth.json").write_text(json.dumps(truth))
    job = checked({"bag": ["good", "with_text"], "questions_file": "truth.json"})
    assert [(t.ask, t.gold, t.category) for shard in job.shards for t in shard.trials] == [
        ("good?", ("yes",), "presence"),
        ("with_text?", ("yes",), "presence"),
    ]
    (found,) = checked({"bag": "two", "topics": [TOPIC], "questions_file": "truth.json"})
    assert found.startswith("bags[0].questions_file: ")


def test_plans(checked):
    plan = {"goal": "put the mug on the desk", "gold": "PickupObject mug; PutObject mug desk"}
    job = checked({"bag": "good", "plans": [{**plan, "conditions": {"object_target": "mug", "parent_target": "desk"}}]})
    (trial,) = job.shards[0].trials
    assert trial.plan.rows == (("PickupObject", "mug"), ("PutObject", "mug", "desk"))
    assert trial.at_ns == 10 * S
    assert job.metrics == (
        "plan_exact",
        "plan_step_f1",
        "plan_valid",
        "plan_goal_conditions",
        "plan_success",
        "plan_weighted_success",
    )
    found = checked({"bag": "good", "plans": [{**plan, "gold": "PutMug desk", "conditions": {"object": "mug"}}]})
    assert [problem.partition(": ")[0] for problem in found] == ["bags[0].plans[0].gold", "bags[0].plans[0].conditions"]
