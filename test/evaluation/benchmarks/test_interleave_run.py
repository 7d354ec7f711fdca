"""A small benchmark in the published form, run with the shipped model."""

from __future__ import annotations

import json
import resource
from random import Random

import numpy as np
import pytest
from PIL import Image

from llava_ov_ros.cli.errors import CommandError
from llava_ov_ros.cli.eval_interleave import add_interleave
from llava_ov_ros.cli.parsers import CommandParser
from llava_ov_ros.evaluation.benchmarks.interleave_items import InterleaveError, read_items, repeated
from llava_ov_ros.evaluation.benchmarks.interleave_prompt import turn_prompt
from llava_ov_ros.evaluation.benchmarks.interleave_run import answered, squashed_frame
from llava_ov_ros.evaluation.metrics import interleave as official
from llava_ov_ros.onevision import load_engine
from llava_ov_ros.rooms.takes import make_take, pictures

COLUMNS = [
    "dataset",
    "sample_id",
    "prompt",
    "pred_response",
    "gt_response",
    "shortuuid",
    "model_id",
    "question_type",
]


def item(sample_id, dataset, question_type, images, *said):
    speakers = ("human", "gpt")
    return {
        "sample_id": sample_id,
        "conversations": [{"from": speakers[n % 2], "value": text} for n, text in enumerate(said)],
        "image": images,
        "choice_list": None,
        "metadata": {"dataset": dataset, "split": "test", "num_sample": 1, "question_type": question_type},
    }


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """Two published files and their pictures."""
    folder = tmp_path_factory.mktemp("interleave_data")
    (folder / "Split1" / "rooms").mkdir(parents=True)
    names = []
    for seed in range(2):
        rng = Random(f"bench/{seed}")
        for number, picture in enumerate(pictures(make_take(rng, 2), rng)):
            names.append(f"Split1/rooms/{seed}_{number}.png")
            Image.fromarray(picture).save(folder / names[-1])
    views = [
        item(0, "ALFRED", "open-ended", names[:2], "<image><image>\nWhat is the next step?", "Pick up the mug."),
        item("a", "nuscenes", "multi-choice", names[2:], "<image> <image> Is the mug red? A. yes B. no", "A"),
        item(1, "ALFRED", "open-ended", names[2:3], "Before: <image>\nWhere is the mug?", "on the desk"),
    ]
    talk = [
        item(
            7, "ScanNet_chat", "open-ended", names[:2], "<image>\nWhat is there?", "a desk", "And <image> now?", "a mug"
        )
    ]
    (folder / "multi_view_in_domain.json").write_text(json.dumps(views))
    (folder / "multi_image_in_domain.json").write_text(json.dumps(talk))
    return folder


def eval_interleave(*arguments):
    parser = CommandParser()
    add_interleave(parser)
    args = parser.parse_args(["interleave", *map(str, arguments)])
    return args.run(args)


@pytest.fixture(scope="module")
def results(bench, tmp_path_factory):
    """A whole run's folder."""
    out = tmp_path_factory.mktemp("results") / "run"
    assert eval_interleave(bench, "--out", out, "--device", "cpu") == 0
    return out


@pytest.fixture(scope="module")
def engine():
    return load_engine("rooms", device="cpu")


def rows_of(folder):
    return [json.loads(line) for line in (folder / "result.jsonl").read_text().splitlines()]


def test_rows_have_the_official_form(results):
    rows = rows_of(results)
    assert [list(row) for row in rows] == [COLUMNS] * 5
    assert [(row["dataset"], row["sample_id"]) for row in rows] == [
        ("ScanNet_chat", 7),
        ("ScanNet_chat", 7),
        ("ALFRED", 0),
        ("nuscenes", "a"),
        ("ALFRED", 1),
    ]
    assert [row["prompt"] for row in rows][:2] == ["<image>\nWhat is there?", "And <image> now?"]
    assert [row["gt_response"] for row in rows][:2] == ["a desk", "a mug"]
    assert len({row["shortuuid"] for row in rows}) == 5


def test_answers_are_those_of_the_engine(results, bench, engine):
    size = engine.transformers_model.config.vision_config.image_size
    row = rows_of(results)[2]
    frames = [squashed_frame(bench / f"Split1/rooms/0_{number}.png", size) for number in range(2)]
    found = engine.complete(turn_prompt(row["prompt"]), [[frame] for frame in frames], "multi_image", 1024)
    assert row["pred_response"] == found.text.strip()


def test_pictures_are_squashed_as_the_official_processor_does_it(bench):
    file = bench / "Split1/rooms/0_0.png"
    frame = squashed_frame(file, 96)
    expected = np.asarray(Image.open(file).convert("RGB").resize((96, 96), resample=Image.Resampling.BICUBIC))
    assert frame.rgb.shape == (96, 96, 3)
    assert np.array_equal(frame.rgb, expected)


def test_summary_is_the_official_score_of_the_rows(results):
    summary = json.loads((results / "summary.json").read_text())
    rows = rows_of(results)
    alfred = [
        official.open_ended(row["pred_response"], row["gt_response"]) for row in rows if row["dataset"] == "ALFRED"
    ]
    assert list(summary) == ["ScanNet_chat", "ALFRED", "nuscenes"]
    assert summary["ALFRED"] == {"n": 2, "metric": "Rouge-L f", "value": pytest.approx(50 * sum(alfred))}
    assert summary["nuscenes"]["metric"] == "Accuracy"
    assert summary["ScanNet_chat"]["n"] == 2


def test_a_stopped_run_goes_on_and_gives_the_same_bytes(results, bench, tmp_path, capsys):
    whole = (results / "result.jsonl").read_bytes()
    first_turn = whole.index(b"\n") + 1
    for cut in (first_turn, first_turn + 30, len(whole) - 1, len(whole)):
        # In a dialogue, within a line, before the last newline, behind everything.
        out = tmp_path / str(cut)
        out.mkdir()
        (out / "result.jsonl").write_bytes(whole[:cut])
        assert eval_interleave(bench, "--out", out, "--device", "cpu", "--json") == 0
        assert (out / "result.jsonl").read_bytes() == whole
        assert json.loads(capsys.readouterr().out) == json.loads((results / "summary.json").read_text())


def test_a_full_disk_ends_in_a_sentence_and_the_run_goes_on(results, bench, tmp_path):
    whole = (results / "result.jsonl").read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # No file of this process can become larger, as on a disk that is full.
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) - 10, before[1]))
    try:
        with pytest.raises(CommandError, match=r"cannot be written: File too large\. What was answered is there"):
            eval_interleave(bench, "--out", tmp_path, "--device", "cpu")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len((tmp_path / "result.jsonl").read_bytes()) < len(whole)
    assert eval_interleave(bench, "--out", tmp_path, "--device", "cpu") == 0
    assert (tmp_path / "result.jsonl").read_bytes() == whole


def test_results_of_something_else_are_left_alone(results, bench):
    before = (results / "result.jsonl").read_bytes()
    with pytest.raises(CommandError, match=r"result.jsonl:1: it answers .*ScanNet_chat.* to begin anew") as failed:
        eval_interleave(bench, "--out", results, "--dataset", "ALFRED", "--device", "cpu")
    assert failed.value.code == 1
    assert (results / "result.jsonl").read_bytes() == before


def test_a_prompt_that_does_not_fit_is_answered_with_nothing(bench, engine):
    (found,) = (one for one in read_items(bench, bench) if one.sample_id == "a")
    context = engine.transformers_model.config.text_config.max_position_embeddings
    turn = type(found.turns[0])("<image><image>" + "mug " * context, "A")
    long = type(found)(found.sample_id, found.dataset, found.question_type, (turn,), found.images)
    remarks = []
    (row,) = answered(engine, long, 1024, remarks.append)
    assert row["pred_response"] == ""
    assert f"the model's context is {context}" in remarks[0]


def test_limit_and_datasets(bench):
    assert [(one.dataset, one.sample_id) for one in read_items(bench, bench, limit=1)] == [
        ("ScanNet_chat", 7),
        ("ALFRED", 0),
        ("nuscenes", "a"),
    ]
    assert [one.sample_id for one in read_items(bench, bench, ["ALFRED"])] == [0, 1]
    with pytest.raises(InterleaveError, match="no data set 'ALFERD'"):
        read_items(bench, bench, ["ALFERD"])


GOOD = item(3, "ALFRED", "open-ended", ["0.png"], "<image>\nWhat?", "this")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", r"bench.json: not JSON"),
        ("{}", r"bench.json: expected a list of items, not dict"),
        ([GOOD, 7], r"bench.json: item 1: expected an object, not '7'"),
        ([{**GOOD, "sample_id": None}], r"item 0: sample_id is None"),
        ([{key: value for key, value in GOOD.items() if key != "image"}], r"item 0: image is missing"),
        ([{**GOOD, "image": []}], r"item 0: image is '\[\]', expected a list of files"),
        ([{**GOOD, "metadata": {"dataset": "ALFRED"}}], r"item 0: metadata.question_type is 'None', expected text"),
        ([item(3, "ALFRED", "open", ["0.png"], "<image>", "this")], r"item 0: question_type is 'open'"),
        ([item(3, "ALFRED", "open-ended", ["0.png"], "<image><image>", "this")], r"image has 1 files, .* show 2"),
        ([item(3, "ALFRED", "open-ended", ["0.png"], "<image>")], r"item 0: conversations: expected a list"),
        ([{**GOOD, "conversations": GOOD["conversations"][::-1]}], r"conversations\[0\]: expected .* from 'human'"),
        ([GOOD], r"0.png: no such picture; ALFRED shows it"),
    ],
)
def test_files_that_are_not_as_published(tmp_path, content, message):
    (tmp_path / "bench.json").write_text(content if isinstance(content, str) else json.dumps(content))
    out = tmp_path / "out"
    with pytest.raises(CommandError, match=message) as failed:
        eval_interleave(tmp_path, "--out", out)
    assert failed.value.code == 1
    assert not out.exists()


def test_no_files(tmp_path):
    with pytest.raises(CommandError, match=r"no \*.json file there"):
        eval_interleave(tmp_path)
    with pytest.raises(CommandError, match=r"no \*.json file there"):
        eval_interleave(tmp_path / "nowhere")


def test_a_broken_picture_is_named(tmp_path):
    (tmp_path / "bench.json").write_text(json.dumps([GOOD]))
    (tmp_path / "0.png").write_bytes(b"no picture")
    with pytest.raises(CommandError, match=r"0.png: not a picture that can be read"):
        eval_interleave(tmp_path, "--out", tmp_path / "out", "--device", "cpu")


def test_items_of_a_file_that_is_there_twice_are_said(bench, tmp_path):
    once = read_items(bench, bench)
    assert repeated(once) == []
    for file in bench.glob("*.json"):
        (tmp_path / file.name).write_text(file.read_text())
        (tmp_path / f"copy of {file.name}").write_text(file.read_text())
    found = repeated(read_items(tmp_path, bench))
    assert len(found) == len({item.dataset for item in once})
    assert any(line.startswith("nuscenes: 1 id is there more than once, in 2 rows: 'a' (item ") for line in found)
