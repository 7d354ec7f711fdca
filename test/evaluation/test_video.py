"""A suite about bags of video: the same results whatever the number of workers, and the pictures that were seen."""

from __future__ import annotations

import json
import sys

import pytest
import yaml

from llava_ov_ros.cli.main import main

S = 1_000_000_000
T0_NS = 1_700_000_000 * S


@pytest.fixture(scope="module")
def suite(moving_pictures, encode_video, write_video_bag, tmp_path_factory):
    """Two bags of a video of twelve seconds with a key frame every 1.5 s; the second begins 0.4 s after one."""
    folder = tmp_path_factory.mktemp("videos")
    packets = encode_video("h264", moving_pictures(120))
    write_video_bag(folder / "whole", "/front/video", packets)
    write_video_bag(folder / "cut", "/front/video", packets[4:])
    questions = [{"ask": "Is there a mug?", "kind": "yes_no", "at_s": [0.5, 5, 11], "gold": True}]
    bags = [{"bag": name, "questions": questions} for name in ("whole", "cut")]
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump({"name": "video", "bags": bags, "max_new_tokens": 4}))
    return path


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.jpg")} | {
        name: (folder / name).read_bytes() for name in ("results.jsonl", "summary.json")
    }


def test_workers_change_nothing_and_missing_pictures_are_read_again(suite, tmp_path):
    assert main(["eval", str(suite), "--out", str(tmp_path / "one")]) == 0
    whole = files(tmp_path / "one")
    assert main(["eval", str(suite), "--out", str(tmp_path / "two"), "--workers", "2"]) == 0
    assert files(tmp_path / "two") == whole
    removed = sorted((tmp_path / "one").rglob("*.jpg"))
    assert len(removed) > 8
    for path in removed:
        path.unlink()
    assert main(["eval", str(suite), "--out", str(tmp_path / "one")]) == 0
    assert files(tmp_path / "one") == whole
    rows = [json.loads(line) for line in (tmp_path / "one" / "results.jsonl").read_text().splitlines()]
    # Nothing can be seen of the second bag before its first key frame, 1.1 s after its beginning.
    assert [(row["bag"], row["at_s"], row["status"]) for row in rows] == [
        ("whole", 0.5, "OK"),
        ("whole", 5.0, "OK"),
        ("whole", 11.0, "OK"),
        ("cut", 0.5, "NO_FRAMES"),
        ("cut", 5.0, "OK"),
        ("cut", 11.0, "OK"),
    ]
    assert "waiting for a key frame" in rows[3]["message"]
    assert [rows[number]["frames"][-1]["stamp_ns"] - T0_NS for number in (1, 4)] == [5 * S, 46 * S // 10]


def test_without_av_the_suite_is_refused_with_the_remedy(suite, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    assert main(["eval", str(suite), "--out", str(tmp_path / "none")]) == 1
    err = capsys.readouterr().err
    assert "bags[0].bag: /front/video of " in err
    assert "pip install 'av>=17,<19'" in err
