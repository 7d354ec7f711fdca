"""`llava-ov rooms episodes --act`: the shipped model's hints carried out, and a model that is always wrong."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest

from llava_ov_ros.cli.main import main
from llava_ov_ros.evaluation.rooms import closed_loop
from llava_ov_ros.evaluation.rooms.closed_loop import run_closed_loop
from llava_ov_ros.onevision import Generated
from llava_ov_ros.planning import find_vocabulary, load_vocabulary
from llava_ov_ros.questions import find_prompts, load_prompts
from llava_ov_ros.rooms.record import RecordingSettings, plan_recording

needs_planner = pytest.mark.skipif(
    find_spec("up_fast_downward") is None, reason="the planner of the extra is not installed"
)


@needs_planner
def test_hints_of_the_shipped_model_are_carried_out(capsys):
    words = ["rooms", "episodes", "--act", "--decoding", "both", "--faults", "0.2", "--count", "1", "--json"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    rows = found["decodings"]
    assert set(rows) == {"constrained", "certified"} and found["faults"] == 0.2
    sure = rows["certified"]
    assert (sure["reached"]["n"], sure["reached"]["correct"]) == (1, 1)
    assert (sure["false_done"], sure["repeats"], rows["constrained"]["planner_hints"]) == (0, 0, 0)


@needs_planner
@pytest.mark.parametrize("seed", [0, 5])
def test_a_model_that_always_says_done_is_never_believed(seed, monkeypatch):
    """Every step is the planner's, and the goal holds in the rendered room, which knows nothing of the simulation."""
    monkeypatch.setattr(closed_loop, "picture", lambda *_: None)
    script = plan_recording(RecordingSettings(seed=seed, seconds=None, episode=True)).script

    def write(pictures, asks):
        return [Generated("DONE", (1,), (0.9,), "stop", 9, 0.1, 0.2, end_probability=1.0) for _ in asks]

    alfred, plain = load_vocabulary(find_vocabulary("alfred")), load_prompts(find_prompts("plain"))
    loop = run_closed_loop(script, seed, write, alfred, plain, "certified", 0.2)
    assert loop.is_reached and not loop.false_done and (loop.repeats, loop.planner_hints) == (0, loop.hints - 1)
    believed = run_closed_loop(script, seed, write, alfred, plain, "constrained", 0.2)
    assert believed.false_done and not believed.is_reached and believed.hints == 1


@pytest.mark.parametrize("words", [["--faults", "0.2"], ["--decoding", "both"]])
def test_what_goes_only_with_act(words, capsys):
    assert main(["rooms", "episodes", *words]) == 2
    assert "go with --act" in capsys.readouterr().err
