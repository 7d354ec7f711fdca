"""How a model is found, how it is called in answers, and that a wrong name is told before torch is imported."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from huggingface_hub import scan_cache_dir

from llava_ov_ros.checkpoints import CheckpointError, find_checkpoint, local_checkpoint, model_name

REPO = "acme/tiny-onevision-ov-hf"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOPIC = "/front/image_raw"


@pytest.fixture(scope="module")
def hub(tmp_path_factory, rooms):
    """A home of huggingface_hub as a download leaves it: blobs by their digests, a snapshot of links, a reference."""
    home = tmp_path_factory.mktemp("hub")
    repo = home / "hub" / f"models--{REPO.replace('/', '--')}"
    snapshot = repo / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (repo / "blobs").mkdir()
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(COMMIT)
    for number, file in enumerate(sorted(rooms.iterdir())):
        blob = repo / "blobs" / f"{number:040x}"
        shutil.copy(file, blob)
        (snapshot / file.name).symlink_to(Path("..", "..", "blobs", blob.name))
    (info,) = scan_cache_dir(home / "hub").repos
    assert (info.repo_id, [revision.commit_hash for revision in info.revisions]) == (REPO, [COMMIT])
    return home


@pytest.fixture(scope="module")
def bag(write_bag, shot, tmp_path_factory):
    path = tmp_path_factory.mktemp("bags") / "bag"
    return write_bag(path, [shot(TOPIC, i * 0.5, level=i * 12) for i in range(5)])


def program(home, *arguments):
    """Output of `llava-ov`, with the cache of a model hub that is out of reach."""
    call = "import sys; from llava_ov_ros.cli.main import main; sys.exit(main())"
    environment = os.environ | {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    environment.pop("HF_HUB_CACHE", None)
    done = subprocess.run(
        [sys.executable, "-c", call, *map(str, arguments)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class NoSuchModel(BaseHTTPRequestHandler):
    """The hub's answer about a name that it has not."""

    def do_GET(self):
        """Answers every request alike."""
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words):
        """Says nothing."""


def test_a_hub_that_is_out_of_reach_and_one_that_has_no_such_model(tmp_path):
    """What is to be done first is another: of the one the network, of the other the name."""
    call = "from llava_ov_ros.checkpoints import find_checkpoint; find_checkpoint('acme/nothing')"
    server = HTTPServer(("127.0.0.1", 0), NoSuchModel)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        told = {}
        for port in (server.server_port, 1):
            environment = os.environ | {"HF_HOME": str(tmp_path), "HF_ENDPOINT": f"http://127.0.0.1:{port}"}
            environment |= {"HF_HUB_OFFLINE": "0", "no_proxy": "*"}
            done = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True, env=environment)
            told[port] = done.stderr.splitlines()[-1]
    finally:
        server.shutdown()
        server.server_close()
    assert "and the model hub does not give it (" in told[server.server_port]
    assert "); correct the name, or download the model where there is a network" in told[server.server_port]
    assert "and the model hub cannot be reached (" in told[1]
    assert "); download the model where there is a network and name its directory, or correct the name" in told[1]


def test_answers_name_the_model_of_the_hub(hub, bag, tmp_path):
    asked = program(hub, "replay", bag, "--ask", "What?", "--model", REPO, "--json")
    assert json.loads(asked)["model"] == REPO
    questions = [{"ask": "What?", "gold": "red"}]
    (tmp_path / "suite.yaml").write_text(
        yaml.safe_dump({"name": "s", "model": REPO, "bags": [{"bag": str(bag), "questions": questions}]})
    )
    program(hub, "eval", tmp_path / "suite.yaml", "--out", tmp_path / "out")
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["model"] == REPO


def test_a_snapshot_named_by_its_path_is_called_as_on_the_hub(hub):
    (info,) = scan_cache_dir(hub / "hub").repos
    (revision,) = info.revisions
    assert model_name(find_checkpoint(str(revision.snapshot_path))) == info.repo_id


@pytest.mark.parametrize(
    ("directory", "name"),
    [
        ("/models/ov-0.5b", "ov-0.5b"),
        ("/hub/models--gpt2/snapshots/0123", "gpt2"),
        ("/hub/models--a--b-c/snapshots/0123", "a/b-c"),
        ("/hub/datasets--a--b/snapshots/0123", "0123"),
        ("/backup/snapshots/monday", "monday"),
        ("/", ""),
    ],
)
def test_other_directories_are_called_as_they_are(directory, name):
    assert model_name(Path(directory)) == name


def test_a_directory_is_called_as_it_is_not_as_the_link_to_it(tmp_path, rooms):
    (tmp_path / "now").symlink_to(rooms)
    assert model_name(find_checkpoint(str(tmp_path / "now"))) == "rooms"


def test_a_folder_of_the_organisations_name_does_not_hide_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "acme").mkdir()
    assert local_checkpoint(REPO) is None


@pytest.mark.parametrize("model", ["nowhere", "./nowhere", "../nowhere", "~/nowhere", "/no/where", "no/such/model", ""])
def test_what_is_neither_is_refused_without_asking_the_hub(tmp_path, monkeypatch, model):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        CheckpointError, match=r"no directory .*shipped model .*\(rooms\); a hub name|no model is named"
    ):
        local_checkpoint(model)


COMMANDS = {
    "replay": ["replay", "BAG", "--ask", "What?", "--model", "MODEL"],
    "plan": ["plan", "BAG", "--goal", "put the mug on the desk", "--model", "MODEL"],
    "eval": ["eval", "SUITE", "--out", "out", "--model", "MODEL"],
    "eval --check": ["eval", "SUITE", "--check", "--model", "MODEL"],
    "demo": ["demo", "--model", "MODEL"],
    "rooms evaluate": ["rooms", "evaluate", "--model", "MODEL"],
    "rooms episodes": ["rooms", "episodes", "--model", "MODEL"],
}
MISSING = {
    "no directory": "./nowhere",
    "and the model hub cannot be reached": "acme/nothing",
    "copy tokenizer.json from the model that this one was made from": "./unspoken",
}
# A hub name is looked for, and a directory looked into, when the suite is run, not when it is checked.
CASES = [
    (command, said)
    for command in COMMANDS
    for said in MISSING
    if command != "eval --check" or MISSING[said] == "./nowhere"
]


@pytest.mark.parametrize(("command", "said"), CASES)
def test_a_missing_model_is_told_before_torch_is_imported(bag, tmp_path, rooms, command, said):
    shutil.copytree(rooms, tmp_path / "unspoken", ignore=shutil.ignore_patterns("tokenizer*"))
    suite = tmp_path / "suite.yaml"
    suite.write_text(yaml.safe_dump({"name": "s", "bags": [{"bag": str(bag), "questions": [{"ask": "What?"}]}]}))
    places = {"BAG": str(bag), "SUITE": str(suite), "MODEL": MISSING[said]}
    check = (
        "import sys; from llava_ov_ros.cli.main import main\n"
        f"code = main({[places.get(word, word) for word in COMMANDS[command]]})\n"
        "assert not {'torch', 'transformers', 'rclpy'} & set(sys.modules)\n"
        "sys.exit(code)"
    )
    environment = os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode in (1, 2), done.stderr
    assert said in done.stderr
    assert Path(MISSING[said]).name in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == (2 if command.startswith("eval") and said == "no directory" else 1)
