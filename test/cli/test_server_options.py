"""Commands whose --model is the address of a server: what they send and show, and one line where it cannot be used."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import yaml

from llava_ov_ros.checkpoints import ADDRESS_FORM
from llava_ov_ros.cli.main import main, make_parser
from llava_ov_ros.cli.model_options import SERVER_PARAMETERS, node_parameters
from llava_ov_ros.settings import DEFAULTS, Settings, parameter

TOPIC = "/front/image_raw"
GOAL = "put the mug on the desk"
SERVED = ["demo", "replay", "plan", "eval", "rooms evaluate", "rooms episodes", "doctor"]


@pytest.fixture(scope="module")
def places(write_bag, shot, tmp_path_factory):
    """A recording, and a suite about it."""
    folder = tmp_path_factory.mktemp("places")
    bag = write_bag(folder / "bag", [shot(TOPIC, i * 0.5, level=i * 12) for i in range(5)])
    suite = folder / "suite.yaml"
    suite.write_text(yaml.safe_dump({"name": "s", "bags": [{"bag": "bag", "questions": [{"ask": "What?"}]}]}))
    return {"BAG": str(bag), "SUITE": str(suite)}


ASKING = {
    "replay": ["replay", "BAG", "--ask", "What?"],
    "plan": ["plan", "BAG", "--goal", GOAL],
    "eval": ["eval", "SUITE", "--out", "OUT"],
    "rooms evaluate": ["rooms", "evaluate", "--each", "1"],
}


@pytest.fixture(params=ASKING)
def asking(request, places, tmp_path):
    words = {**places, "OUT": str(tmp_path / "out")}
    return [words.get(word, word) for word in ASKING[request.param]]


@pytest.mark.parametrize("command", SERVED)
def test_help_teaches_addresses_and_the_options_about_them(command, capsys):
    with pytest.raises(SystemExit):
        main([*command.split(), "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert ADDRESS_FORM in text
    for name in SERVER_PARAMETERS:
        assert f"--{name.replace('_', '-')}" in text
        assert parameter(name).text[1:] in text


@pytest.mark.parametrize("command", [["replay", "bag"], ["rooms", "evaluate"], ["rooms", "episodes"], ["demo"]])
def test_options_have_the_parameters_defaults_and_choices(command, capsys):
    args = make_parser().parse_args(command)
    assert {name: getattr(args, name) for name in SERVER_PARAMETERS} == {
        name: getattr(DEFAULTS, name) for name in SERVER_PARAMETERS
    }
    for wrong in (["--remote-image-px", "15"], ["--remote-image-px", "1025"], ["--remote-image-format", "bmp"]):
        with pytest.raises(SystemExit) as left:
            make_parser().parse_args([*command, *wrong])
        assert left.value.code == 2


def test_a_node_that_a_command_starts_gets_them_as_parameters():
    words = ["demo", "--model", "http://h:1/v1", "--remote-model", "m", "--remote-image-px", "96"]
    words += ["--remote-image-format", "png", "--remote-key-file", "keys", "--remote-ca-file", "ca.pem"]
    given = node_parameters(make_parser().parse_args(words))
    settings = Settings(**given)
    assert (settings.model, settings.remote_model, settings.remote_image_px) == ("http://h:1/v1", "m", 96)
    assert (settings.remote_image_format, settings.remote_key_file, settings.remote_ca_file) == (
        "png",
        "keys",
        "ca.pem",
    )


def test_replay_asks_a_server(small_server, places, capsys):
    small_server.answers = {"colour": "red"}
    words = ["--model", small_server.url, "--remote-image-px", "32", "--remote-image-format", "png", "--json"]
    assert main(["replay", places["BAG"], "--ask", "What colour?", "--at", "1", *words]) == 0
    captured = capsys.readouterr()
    record = json.loads(captured.out)
    assert (record["text"], record["status"], record["model"]) == ("red", "OK", small_server.name)
    assert record["confidence"] > 0.9
    content = small_server.asked[-1]["messages"][1]["content"]
    (url,) = [part["video_url"]["url"] for part in content if "video_url" in part]
    sent = url.partition(",")[2].split(",")
    assert len(sent) == len(record["frames"]) == 2
    assert all(picture.startswith("iVBOR") for picture in sent), "PNG"
    assert small_server.name in captured.err


def test_an_answer_that_the_server_fails_to_give_is_told(small_server, places, capsys):
    small_server.broken = "What colour?"
    assert main(["replay", places["BAG"], "--ask", "What colour?", "--model", small_server.url, "--json"]) == 1
    record = json.loads(capsys.readouterr().out)
    assert (record["status"], record["text"]) == ("MODEL_ERROR", "")
    assert "out of order" in record["message"]


def test_rooms_evaluate_ends_where_the_server_fails(small_server, capsys):
    small_server.broken = "What colour"
    assert main(["rooms", "evaluate", "--each", "1", "--no-blind", "--model", small_server.url]) == 1
    err = capsys.readouterr().err
    assert err.splitlines()[-1].startswith("llava-ov: error: ")
    assert "out of order" in err.splitlines()[-1]
    assert "Traceback" not in err


def last_line(capsys):
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert err.count("llava-ov: error: ") == 1
    return err[err.index("llava-ov: error: ") :]


def test_a_server_that_does_not_answer_is_one_line_with_the_remedy(asking, gone_server, capsys):
    assert main([*asking, "--model", gone_server]) == 1
    said = last_line(capsys)
    assert gone_server in said
    assert "no connection" in said
    assert "start the server, or correct the address" in said


def test_a_model_that_the_server_does_not_have_is_one_line(asking, small_server, capsys):
    assert main([*asking, "--model", small_server.url, "--remote-model", "other"]) == 1
    assert "remote_model is 'other', and the server has 'toy'" in last_line(capsys)


@pytest.mark.parametrize("address", ["http://", "http://host:99999/v1", "https://host/v1?x=1"])
def test_a_wrong_address_ends_as_a_wrong_directory_does(asking, address, capsys):
    codes = main([*asking, "--model", "./no/such/directory"]), main([*asking, "--model", address])
    assert codes == (1, 1)
    err = capsys.readouterr().err
    assert ADDRESS_FORM in err or "port" in err.lower()
    assert "Traceback" not in err


def test_a_password_in_an_address_is_not_repeated(asking, capsys):
    assert main([*asking, "--model", "http://me:secret@host/v1"]) == 1
    said = last_line(capsys)
    assert "remote_key_file" in said
    assert "secret" not in said


def test_options_about_a_server_need_one(asking, capsys):
    assert main([*asking, "--remote-model", "m"]) == 2
    assert "--remote-model is about a model on a server, and the model is rooms" in last_line(capsys)


def test_what_computes_here_says_so(tmp_path, capsys):
    (tmp_path / "multi_view_in_domain.json").write_text("[]")
    assert main(["eval", "interleave", str(tmp_path), "--model", "http://h:1/v1"]) == 1
    assert "is named by the address of a server, and this needs one on this machine" in last_line(capsys)


def test_live_replay_leaves_them_to_the_node(places, capsys):
    words = ["--model", "rooms", "--remote-model", "m"]
    assert main(["replay", places["BAG"], "--ask", "What?", "--live", *words]) == 2
    assert "--remote-model does not go with --live: set the node's parameter remote_model" in last_line(capsys)


def test_torch_is_not_imported_for_a_server(asking, small_server):
    """Nor is anything else that only a checkpoint needs."""
    code = (
        "import sys; from llava_ov_ros.cli.main import main; main(sys.argv[1:])\n"
        "sys.exit(str({'torch', 'transformers', 'tokenizers', 'llguidance'} & set(sys.modules)))"
    )
    command = [sys.executable, "-P", "-c", code, *asking, "--model", small_server.url]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert ended.stderr.splitlines()[-1] == "set()", ended.stderr
    assert small_server.asked
