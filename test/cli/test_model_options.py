"""Options that name a model: what every --help teaches, and one line where a model cannot be loaded."""

from __future__ import annotations

import argparse
import json

import pytest
import yaml

from llava_ov_ros.cli.main import main, make_parser
from llava_ov_ros.onevision import memory

TOPIC = "/front/image_raw"
GOAL = "put the mug on the desk"


def parsers(parser):
    """A parser and those of all commands below it."""
    yield parser
    below = dict(getattr(parser, "_commands", {}))
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            below |= action.choices
    for one in below.values():
        yield from parsers(one)


def helps(capsys):
    """The --help of every command, in one line each, by the command."""
    programs = [one.prog.split()[1:] for one in parsers(make_parser())] + [["eval", "interleave"]]
    found = {}
    for words in programs:
        with pytest.raises(SystemExit):
            main([*words, "--help"])
        found[" ".join(words)] = " ".join(capsys.readouterr().out.split())
    return found


def test_every_help_that_names_a_model_teaches_the_three_forms(capsys):
    taught = {command: text for command, text in helps(capsys).items() if "--model" in text}
    assert taught.keys() >= {
        "demo",
        "replay",
        "plan",
        "eval",
        "eval interleave",
        "rooms evaluate",
        "rooms episodes",
    }
    for command, text in taught.items():
        for form in (
            "shipped name (rooms)",
            "directory (./rooms",
            "hub name (organisation/model)",
        ):
            assert form in text, command


@pytest.fixture(scope="module")
def places(write_bag, shot, tmp_path_factory):
    """A recording, and a suite about it."""
    folder = tmp_path_factory.mktemp("places")
    bag = write_bag(folder / "bag", [shot(TOPIC, i * 0.5, level=i * 12) for i in range(5)])
    suite = folder / "suite.yaml"
    suite.write_text(yaml.safe_dump({"name": "s", "bags": [{"bag": "bag", "questions": [{"ask": "What?"}]}]}))
    return {"BAG": str(bag), "SUITE": str(suite)}


LOADING = {
    "replay": ["replay", "BAG", "--ask", "What?"],
    "plan": ["plan", "BAG", "--goal", GOAL],
    "eval": ["eval", "SUITE", "--out", "OUT"],
    "rooms evaluate": ["rooms", "evaluate", "--each", "1"],
    "bench engine": ["bench", "engine", "--shape", "nano"],
}


@pytest.mark.parametrize("command", LOADING)
def test_a_model_that_does_not_fit_is_one_line_with_numbers_and_remedy(capsys, monkeypatch, tmp_path, places, command):
    monkeypatch.setattr(memory, "free_bytes", lambda device: memory.GIB // 1024)
    words = {**places, "OUT": str(tmp_path / "out")}
    assert main([words.get(word, word) for word in LOADING[command]]) == 1
    err = capsys.readouterr().err
    assert "iB: " in err
    assert "cpu has 0.00 GiB free: take a smaller model, dtype bfloat16, or fewer frames in a clip" in err
    assert "Traceback" not in err
    assert err.count("llava-ov: error: ") == 1


@pytest.mark.parametrize("command", ["replay", "plan", "rooms evaluate", "bench engine"])
def test_a_device_that_is_not_to_be_had_is_one_line(capsys, places, command):
    """What names no device at all is wrong usage: see test_exit_codes.py."""
    assert main([*(places.get(word, word) for word in LOADING[command]), "--device", "cuda:99"]) == 1
    assert "llava-ov: error: device is 'cuda:99'" in capsys.readouterr().err


def test_fewer_frames_are_a_remedy(capsys, monkeypatch, places):
    """The memory that is planned is that of the clips that the command asks about."""
    planned = []
    check_fits = memory.check_fits

    def checked(plan, *rest):
        planned.append((plan.frames, plan.cameras))
        check_fits(plan, *rest)

    monkeypatch.setattr("llava_ov_ros.onevision.loading.check_fits", checked)
    assert main(["replay", places["BAG"], "--ask", "What?", "--frames", "3", "--json"]) == 0
    assert planned == [(3, 1)]
    assert json.loads(capsys.readouterr().out)["model"] == "rooms"
