"""`llava-ov bench weights`, and what `llava-ov bench peers` refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tokenizers import Tokenizer

from llava_ov_ros.cli.main import main
from llava_ov_ros.frames import Clip, Frame
from llava_ov_ros.onevision import load_engine


def test_weights_load_and_every_token_has_a_text(tmp_path, capsys):
    folder = tmp_path / "nano"
    assert main(["bench", "weights", str(folder), "--shape", "nano", "--dtype", "float32"]) == 0
    assert capsys.readouterr().out.strip() == str(folder)
    config = json.loads((folder / "config.json").read_text())
    assert config["dtype"] == "float32"
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    # Four places of the head, behind the tokens of rooms, would have no text there.
    assert all(tokenizer.id_to_token(number) is not None for number in range(config["text_config"]["vocab_size"]))
    engine = load_engine(str(folder), device="cpu", dtype="float32")
    rgb = np.zeros((70, 70, 3), np.uint8)
    answer = engine.answer([Clip("front", (Frame("front", 0, "optical", rgb),))], "What is there?", max_new_tokens=40)
    assert (len(answer.token_ids), answer.finish) == (40, "length")


def test_weights_overwrite_nothing(tmp_path, capsys):
    (tmp_path / "kept").mkdir()
    assert main(["bench", "weights", str(tmp_path / "kept"), "--shape", "nano"]) == 2
    assert f"{tmp_path / 'kept'} exists: name a new folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("server", "code", "said"),
    [
        ("rooms", 2, "--server rooms is no address: give the address of a server"),
        ("http://127.0.0.1:1/v1", 1, "start the server, or correct the address"),
    ],
)
def test_a_server_that_is_none(server, code, said, capsys):
    assert main(["bench", "peers", "--model", "rooms", "--server", server]) == code
    assert said in capsys.readouterr().err
