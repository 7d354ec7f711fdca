"""`llava-ov bench peers` against a real server with the same weights."""

from __future__ import annotations

import json

from fixtures.servers import never_ending

from llava_ov_ros.cli.main import main

GOALS = ["P10", "P1", "P2", "P4", "P11"]


def test_both_sides_give_the_same_answers_of_full_length(endless_vllm, tmp_path, capsys):
    model = never_ending(tmp_path / "never_ending")
    command = ["bench", "peers", "--model", model, "--server", endless_vllm.url, "--dtype", "float32", "--json"]
    before = endless_vllm.generated()
    chosen = [word for goal in GOALS for word in ("--goal", goal)]
    assert main([*command, *chosen, "--repeats", "1"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert [goal["goal"] for goal in measured] == GOALS
    # One answer to a question of its own, and eight about each of four cameras.
    assert [goal["answers"] for goal in measured] == [1, 1, 1, 1, 32]
    assert all(goal["equal_answers"] == goal["answers"] for goal in measured)
    for goal in measured:
        assert goal["lowest"] == goal["ratio"] == goal["highest"] == goal["theirs_s"] / goal["ours_s"]
    warm_up, known, asked = 2 * 2, 1 + 1 + 1 + 4, 1 + 1 + 1 + 32 + 32 * 16
    probed = endless_vllm.generated() - before - warm_up - known - asked
    assert 0 < probed < 200, "beside the answers there is nothing but the probe"
