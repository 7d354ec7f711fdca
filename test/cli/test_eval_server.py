"""`llava-ov eval` of a model on a server: what the results rest on, and what becomes of a run when the server goes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from llava_ov_ros.cli.main import main
from llava_ov_ros.evaluation.run import server_of_run

TOPIC = "/front/image_raw"


@pytest.fixture(scope="module")
def folder(write_bag, shot, tmp_path_factory):
    """Three recordings of five seconds."""
    folder = tmp_path_factory.mktemp("bags")
    for number in range(3):
        write_bag(folder / f"bag_{number}", [shot(TOPIC, i * 0.5, level=i * 20 + number) for i in range(11)])
    return folder


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    """No pauses before a server that has failed is asked again."""
    monkeypatch.setattr(server_of_run, "PAUSES_S", (0.0,))


def suite(folder: Path, tmp_path: Path, **more) -> Path:
    questions = [
        {"ask": "What colour is the mug?", "at_s": [2, 4], "gold": "red"},
        {"ask": "Is there a mug?", "kind": "yes_no", "at_s": [2, 4], "gold": True},
        {"ask": "Where is the mug?", "at_s": [4], "gold": "on the desk"},
    ]
    content = {"name": "small", "bags": [{"bag": str(folder / "bag_*"), "questions": questions}], **more}
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def rows(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def test_the_summary_names_server_and_version_and_answers_are_scored(small_server, folder, tmp_path, capsys):
    small_server.answers = {"colour": "red", "Is there": "yes", "Where": "in the sink"}
    out = tmp_path / "out"
    assert main(["eval", str(suite(folder, tmp_path)), "--out", str(out), "--model", small_server.url]) == 0
    assert f"asking toy on small 1.0 at {small_server.url}" in capsys.readouterr().err
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["model"], summary["server"]) == ("toy", {"address": small_server.url, "version": "small 1.0"})
    assert summary["metrics"]["em"]["value"] == 0.8
    found = {(row["bag"], row["question"], row["at_s"]): row["text"] for row in rows(out)}
    assert len(found) == 15
    assert {text for (_, question, _), text in found.items() if "Where" in question} == {"in the sink"}
    page = (out / "report.html").read_text()
    assert f'"server":{{"address":"{small_server.url}","version":"small 1.0"}}' in page


def test_workers_give_the_same_rows_over_connections_of_their_own(small_server, folder, tmp_path):
    small_server.answers = {"colour": "red", "Is there": "yes"}
    path = suite(folder, tmp_path, model=small_server.url, server={"image_format": "png", "image_px": 32})
    for workers in ("1", "3"):
        assert main(["eval", str(path), "--out", str(tmp_path / workers), "--workers", workers]) == 0
    for name in ("results.jsonl", "summary.json"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()
    assert len({row["confidence"] for row in rows(tmp_path / "1")}) > 5, "the server looks at the pictures"


def test_a_run_is_not_continued_with_another_version_of_the_server(small_server, folder, tmp_path, capsys):
    words = ["eval", str(suite(folder, tmp_path)), "--out", str(tmp_path / "out"), "--model", small_server.url]
    assert main(words) == 0
    small_server.version = "1.1"
    asked = len(small_server.asked)
    capsys.readouterr()
    assert main(words) == 1
    assert "server: version was 'small 1.0' and is 'small 1.1'. Give --restart" in capsys.readouterr().err
    assert all("the mug" not in json.dumps(body) for body in small_server.asked[asked:])
    assert main([*words, "--restart"]) == 0
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["server"]["version"] == "small 1.1"


def test_pictures_that_are_sent_are_part_of_what_a_run_is(small_server, folder, tmp_path, capsys):
    words = ["eval", str(suite(folder, tmp_path)), "--out", str(tmp_path / "out"), "--model", small_server.url]
    assert main(words) == 0
    identity = json.loads((tmp_path / "out" / "run.json").read_text())
    assert identity["server"] == {
        "address": small_server.url,
        "model": "toy",
        "version": "small 1.0",
        "image_px": 384,
        "image_format": "jpeg",
        "jpeg_quality": 90,
    }
    assert identity["versions"].keys() == {"opencv-python-headless", "pillow"}
    assert identity["settings"].keys() & {"device", "dtype", "threads"} == set()
    assert "model_files" not in identity
    capsys.readouterr()
    assert main([*words, "--remote-image-px", "96", "--remote-image-format", "png"]) == 1
    err = capsys.readouterr().err
    assert "server: image_px was 384 and is 96" in err
    assert "server: image_format was 'jpeg' and is 'png'" in err


def test_questions_that_are_lost_with_the_server_stay_open(small_server, folder, tmp_path, capsys):
    """The run ends with what was answered, and the same command asks the others."""
    small_server.answers = {"colour": "red", "Is there": "yes", "Where": "on the desk"}
    small_server.broken = "Where"
    out = tmp_path / "out"
    words = ["eval", str(suite(folder, tmp_path)), "--out", str(out), "--model", small_server.url]
    assert main(words) == 1
    err = capsys.readouterr().err
    assert f"llava-ov: error: {small_server.name} does not answer: " in err
    assert "out of order" in err
    assert "the same command goes on from there" in err
    assert not (out / "results.jsonl").exists()
    journal = [json.loads(line) for line in (out / "journal.jsonl").read_text().splitlines()]
    assert [row["status"] for line in journal for row in line["rows"]] == ["OK", "OK"]
    small_server.broken = ""
    assert main(words) == 0
    assert "2 of 15 are answered already" in capsys.readouterr().err
    assert {row["status"] for row in rows(out)} == {"OK"}
    assert {row["scores"]["em"] for row in rows(out)} == {1.0}


def test_a_short_failure_of_the_server_does_not_end_a_run(small_server, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(server_of_run.time, "sleep", lambda seconds: setattr(small_server, "broken", ""))
    small_server.broken = "Where"
    path = suite(folder, tmp_path, model=small_server.url, server={"retries": 0})
    assert main(["eval", str(path), "--out", str(tmp_path / "out")]) == 0
    assert {row["status"] for row in rows(tmp_path / "out")} == {"OK"}


def test_a_question_that_the_server_cannot_take_is_invalid(small_server, folder, tmp_path):
    path = suite(folder, tmp_path, model=small_server.url, mode="multi_image")
    assert main(["eval", str(path), "--out", str(tmp_path / "out")]) == 0
    found = rows(tmp_path / "out")
    assert {row["status"] for row in found} == {"INVALID"}
    assert all("lacks several_pictures" in row["message"] for row in found)


def test_paths_of_a_suite_count_from_its_file_and_options_come_first(
    small_server, folder, tmp_path, monkeypatch, capsys
):
    small_server.key = "s3cret"
    (tmp_path / "keys").write_text(f"{small_server.url} s3cret\n")
    server = {"model": "other", "key_file": "keys", "image_px": 32}
    path = suite(folder, tmp_path, model=small_server.url, server=server)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert main(["eval", str(path), "--out", "out"]) == 1
    assert "remote_model is 'other', and the server has 'toy'" in capsys.readouterr().err
    assert main(["eval", str(path), "--out", "out", "--remote-model", "toy", "--remote-image-px", "48"]) == 0
    identity = (elsewhere / "out" / "run.json").read_text()
    assert json.loads(identity)["server"]["image_px"] == 48
    for file in (elsewhere / "out").rglob("*.*"):
        assert b"s3cret" not in file.read_bytes(), file


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ({"image_px": 15}, "server.image_px: is 15: it must be at least 16"),
        ({"image_pix": 96}, "server.image_pix: is not known here: did you mean 'image_px'?"),
        ({"key_file": "nowhere"}, "cannot be read: No such file or directory"),
    ],
)
def test_faults_of_the_section_are_named_before_the_server_is_asked(
    small_server, folder, tmp_path, capsys, server, said
):
    path = suite(folder, tmp_path, model=small_server.url, server=server)
    assert main(["eval", str(path), "--check"]) == 1
    assert said in capsys.readouterr().err
    assert not small_server.asked


def test_a_section_that_is_not_used_is_told(folder, tmp_path, capsys):
    assert main(["eval", str(suite(folder, tmp_path, server={"image_px": 96})), "--check"]) == 0
    assert "server: is not used: the model is rooms, which is on this machine" in capsys.readouterr().err
