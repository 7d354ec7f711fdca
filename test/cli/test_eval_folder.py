"""`llava-ov eval` and a folder that is full, damaged or incomplete: one sentence, and the same command goes on."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
import yaml

from llava_ov_ros.cli.main import main
from llava_ov_ros.evaluation.run import workers

TOPIC = "/front/image_raw"
SAME = ("results.jsonl", "summary.json")
PROGRAM = "import sys; from llava_ov_ros.cli.main import main; sys.exit(main())"


@pytest.fixture(scope="module")
def suite(write_bag, shot, tmp_path_factory) -> Path:
    """A suite of one recording, whose questions come at two times."""
    folder = tmp_path_factory.mktemp("bags")
    write_bag(folder / "bag", [shot(TOPIC, i * 0.5, level=i * 12) for i in range(21)])
    asked = [
        {"ask": "What colour is the mug?", "at_s": [2, 8], "gold": "red"},
        {"ask": "Is there a mug?", "kind": "yes_no", "at_s": [2, 8], "gold": True},
    ]
    path = folder / "suite.yaml"
    path.write_text(
        yaml.safe_dump({"name": "small", "bags": [{"bag": "bag", "questions": asked}], "max_new_tokens": 8})
    )
    return path


@pytest.fixture(scope="module")
def done(suite, tmp_path_factory) -> Path:
    """The folder of a whole run."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    assert main(["eval", str(suite), "--out", str(out)]) == 0
    return out


@pytest.fixture
def copy(done, tmp_path) -> Path:
    """A whole run's folder, to be damaged."""
    shutil.copytree(done, tmp_path / "out")
    return tmp_path / "out"


def files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in SAME}


def pictures(folder: Path) -> dict[str, tuple[int, ...]]:
    """Size of every small picture; a damaged one has none."""
    found = {}
    for path in (folder / "frames").rglob("*.jpg"):
        picture = cv2.imread(str(path))
        found[str(path.relative_to(folder))] = () if picture is None else picture.shape
    return found


def with_files_up_to(size: int, suite: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Run the command in a process that can write no file larger than this, as on a disk that becomes full."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, "eval", str(suite), "--out", str(out)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY)),
    )


@pytest.mark.long
def test_a_disk_that_is_full_at_any_file_ends_in_a_sentence_and_the_run_goes_on(suite, done, tmp_path) -> None:
    names = ("run.json", "journal.jsonl", "results.jsonl", "summary.json", "report.html")
    sizes = {name: (done / name).stat().st_size for name in names}
    sizes["picture"] = max(path.stat().st_size for path in (done / "frames").rglob("*.jpg"))
    for name, size in sizes.items():
        out = tmp_path / name
        # Files that hold times are some bytes shorter in another run.
        ended = with_files_up_to(size * 9 // 10, suite, out)
        assert ended.returncode in (1, 2), name
        assert f"{out} cannot be written: File too large" in ended.stderr
        assert "Traceback" not in ended.stderr
        assert not list(out.rglob("*.part"))
        assert main(["eval", str(suite), "--out", str(out)]) == 0
        assert files(out) == files(done)
        assert pictures(out) == pictures(done)


def test_a_run_that_ended_before_its_first_file_was_whole_goes_on(suite, done, tmp_path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / ".lock").touch()
    (out / ".run.json.part").write_text('{"settings": {')
    assert main(["eval", str(suite), "--out", str(out)]) == 0
    assert files(out) == files(done)
    assert not list(out.glob(".*.part"))


@pytest.mark.parametrize(
    "line", ["[]", "{}", "null", "7", '{"shard": 0, "rows": 3}', '{"shard": 0, "rows": [[]], "timings": [{}]}', "{"]
)
def test_a_damaged_line_of_the_journal_is_asked_again(line, suite, done, copy, capsys) -> None:
    journal = copy / "journal.jsonl"
    lines = journal.read_text().splitlines()
    lines[0] = line
    journal.write_text("\n".join(lines) + "\n")
    assert main(["eval", str(suite), "--out", str(copy)]) == 0
    err = capsys.readouterr().err
    assert f"{copy}: the journal was damaged in line 1: what was answered there is asked again" in err
    assert files(copy) == files(done)
    # It was taken out, so that this is said once.
    assert main(["eval", str(suite), "--out", str(copy)]) == 0
    assert "damaged" not in capsys.readouterr().err


@pytest.mark.parametrize("content", ["[]", "7", "", "{"])
def test_a_damaged_run_file_is_named(content, suite, done, copy, capsys) -> None:
    (copy / "run.json").write_text(content)
    assert main(["eval", str(suite), "--out", str(copy)]) == 1
    assert "run.json cannot be read" in capsys.readouterr().err
    assert main(["eval", str(suite), "--out", str(copy), "--restart"]) == 0
    assert files(copy) == files(done)


def test_missing_pictures_of_a_whole_run_are_read_from_the_bags(suite, done, copy, capsys, monkeypatch) -> None:
    monkeypatch.setattr(workers, "open_model", lambda job: pytest.fail("a model was loaded"))
    kept = sorted((copy / "frames").rglob("*.jpg"))
    kept[1].unlink()
    assert main(["eval", str(suite), "--out", str(copy)]) == 0
    assert f"1 pictures were missing in {copy}: they were read from the bags" in capsys.readouterr().err
    shutil.rmtree(copy / "frames")
    assert main(["eval", str(suite), "--out", str(copy)]) == 0
    assert f"{len(kept)} pictures were missing in {copy}" in capsys.readouterr().err
    for path in kept:
        assert path.read_bytes() == (done / path.relative_to(copy)).read_bytes()
    # The page shows them as before; its times are those of another run of the command.
    assert json.loads((copy / "summary.json").read_text()) == json.loads((done / "summary.json").read_text())


@pytest.mark.parametrize("line", ["[]", "7", "{}"])
def test_a_run_to_compare_with_that_holds_no_results(line, suite, copy, tmp_path, capsys) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "results.jsonl").write_text(line + "\n")
    assert main(["eval", str(suite), "--out", str(copy), "--compare", str(other)]) == 1
    assert f"{other / 'results.jsonl'}:1: not results of llava-ov eval" in capsys.readouterr().err
