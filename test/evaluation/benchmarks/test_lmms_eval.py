"""A small task of our own through upstream lmms-eval, chat and simple: the answers are those of the engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from random import Random

import cv2
import pytest
from PIL import Image

from llava_ov_ros.evaluation.benchmarks.lmms_eval_prompt import context_texts, shown, turns_of
from llava_ov_ros.onevision import load_engine
from llava_ov_ros.rooms.takes import make_take, pictures

pytestmark = [
    pytest.mark.extras,
    pytest.mark.skipif(
        find_spec("lmms_eval") is None, reason="lmms-eval is not installed (pip install lmms-eval==0.7.3 'filelock<4')"
    ),
]

ROOT = Path(__file__).resolve().parents[3]
NEW_TOKENS = 12
FRAMES = 4
QUESTIONS = (
    (1, "What colour is the mug?"),
    (2, "What has changed?"),
    (2, "Is it in <image> or in <image>?"),
    (0, "How many legs has a table?"),
)
TASK = """\
task: rooms_small
dataset_path: json
dataset_kwargs:
  data_files: {data}
test_split: train
output_type: generate_until
doc_to_visual: !function rooms_small.visuals
doc_to_text: "{{{{question}}}}"
doc_to_target: "answer"
process_results: !function rooms_small.results
generation_kwargs:
  max_new_tokens: {tokens}
metric_list:
  - metric: exact
    aggregation: mean
    higher_is_better: true
metadata:
  - version: 0.0
"""
FUNCTIONS = """\
from PIL import Image


def visuals(doc):
    return [file if file.endswith(".avi") else Image.open(file).convert("RGB") for file in doc["files"]]


def results(doc, results):
    return {"exact": float(results[0] == doc["answer"])}
"""


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    """The folder of the task, and its documents."""
    folder = tmp_path_factory.mktemp("tasks")
    documents = []
    for number, (count, question) in enumerate(QUESTIONS):
        rng = Random(f"lmms/{number}")
        files = []
        for index, picture in enumerate(pictures(make_take(rng, 2), rng)[:count]):
            files.append(str(folder / f"{number}_{index}.png"))
            Image.fromarray(picture).save(files[-1])
        documents.append({"question": question, "files": files, "answer": "red"})
    video = folder / "room.avi"
    rng = Random("lmms/video")
    frames = pictures(make_take(rng, 4), rng)
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), 5, frames[0].shape[1::-1])
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()
    documents.append({"question": "What has moved?", "files": [str(video)], "answer": "red"})
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps(document) + "\n" for document in documents))
    (folder / "rooms_small.yaml").write_text(TASK.format(data=data, tokens=NEW_TOKENS))
    (folder / "rooms_small.py").write_text(FUNCTIONS)
    return folder, documents


@pytest.fixture(scope="module")
def expected(task):
    """The engine's own answers."""
    engine = load_engine("rooms", device="cpu")
    answers = []
    for document in task[1]:
        what = shown(document["files"], FRAMES)
        turns = turns_of(context_texts(document["question"], len(what.items)), len(what.items))
        answers.append(engine.complete(engine.prompt(turns), what.items, what.mode, NEW_TOKENS).text.strip())
    return answers


@pytest.mark.timeout(600)
@pytest.mark.parametrize("options", [[], ["--force_simple"]], ids=["chat", "simple"])
def test_a_task_of_our_own(task, expected, tmp_path, options):
    folder, _ = task
    # The entry point, as an installation with pip has it.
    subprocess.run(
        [sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    out = tmp_path / "out"
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "lmms_eval", "--model", "llava_ov_ros"),
            *(
                "--model_args",
                f"pretrained=rooms,device=cpu,max_frames_num={FRAMES}",
                "--tasks",
                "rooms_small",
                "--include_path",
                str(folder),
            ),
            *("--batch_size", "1", "--output_path", str(out), "--log_samples", *options),
        ],
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")]),
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_OFFLINE": "1",
            "HF_DATASETS_OFFLINE": "1",
        },
        capture_output=True,
        text=True,
        timeout=590,
        check=False,
    )
    # Its exit code is 0 whatever happened.
    samples = list(out.rglob("*samples_rooms_small.jsonl"))
    assert len(samples) == 1, ended.stdout[-3000:] + ended.stderr[-3000:]
    rows = sorted((json.loads(line) for line in samples[0].read_text().splitlines()), key=lambda row: row["doc_id"])
    assert [row["filtered_resps"] for row in rows] == expected
