"""Shipped names win over files and folders that are called the same; `./NAME` is always the path."""

from __future__ import annotations

import shutil

import pytest
import yaml

from llava_ov_ros.checkpoints import find_checkpoint
from llava_ov_ros.cli.main import main
from llava_ov_ros.evaluation.suite.preflight import named_actions, named_model, named_prompts
from llava_ov_ros.evaluation.suite.suite_file import read_suite
from llava_ov_ros.planning import find_vocabulary
from llava_ov_ros.questions import find_prompts
from llava_ov_ros.share import shipped

FINDERS = {
    "rooms": (find_checkpoint, "models/rooms"),
    "plain": (find_prompts, "config/prompts/plain.yaml"),
    "alfred": (find_vocabulary, "config/actions/alfred.yaml"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, in which everything is called as something that is shipped."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(shipped("models/rooms"), tmp_path / "rooms")
    shutil.copy(shipped("config/prompts/plain.yaml"), tmp_path / "plain")
    shutil.copy(shipped("config/actions/alfred.yaml"), tmp_path / "alfred")
    return tmp_path


@pytest.mark.parametrize("name", FINDERS)
def test_a_shipped_name_wins_and_a_point_means_the_path(folder, name):
    find, relative = FINDERS[name]
    assert find(name).resolve() == shipped(relative).resolve()
    assert find(f"./{name}").resolve() == folder / name
    assert find(str(folder / name)).resolve() == folder / name


@pytest.mark.parametrize("name", FINDERS)
def test_the_tilde_is_the_home(folder, monkeypatch, name):
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir("/")
    assert FINDERS[name][0](f"~/{name}").resolve() == folder / name


def test_the_same_rule_in_a_suite_whose_paths_are_beside_it(folder, monkeypatch):
    monkeypatch.chdir("/")
    named = {"model": "rooms", "prompts": "plain", "actions": "alfred"}
    for point, found in (
        ("", {name: name for name in FINDERS}),
        ("./", {name: str(folder / name) for name in FINDERS}),
    ):
        content = {"name": "s", "bags": [{"bag": "b"}], **{key: point + name for key, name in named.items()}}
        (folder / "suite.yaml").write_text(yaml.safe_dump(content))
        suite = read_suite(folder / "suite.yaml")
        assert [named_model(suite), named_prompts(suite), named_actions(suite)] == list(found.values())


def test_a_recording_called_rooms_does_not_hide_the_model(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["rooms", "record", "rooms", "--seconds", "3"]) == 0
    assert main(["replay", "rooms", "--ask", "How many mugs are there?"]) == 0
    assert main(["replay", "rooms", "--ask", "How many mugs are there?", "--model", "./rooms"]) == 1
    assert f"model directory {tmp_path / 'rooms'} has no config.json" in capsys.readouterr().err
