"""`llava-ov doctor` of a model on a server: whether it answers, what it is and what it lacks, with the remedy."""

from __future__ import annotations

import pytest

from llava_ov_ros.checks import Level
from llava_ov_ros.cli.machine_checks import OF_CHECKPOINTS, check_versions
from llava_ov_ros.cli.main import main
from llava_ov_ros.cli.server_checks import REMEDIES, check_server
from llava_ov_ros.remote import RemoteSettings
from llava_ov_ros.remote.probe import NAMES


def test_a_server_that_answers_and_each_thing_that_it_lacks(small_server):
    small_server.grammars = False
    model, *lacking = check_server(small_server.url, RemoteSettings())
    assert (model.name, model.level, model.remedy) == ("model", Level.OK, "")
    assert model.found == f"{small_server.name}: picture clips log_probabilities choices"
    assert [(one.name, one.level) for one in lacking] == [
        ("several pictures", Level.WARN),
        ("grammars", Level.WARN),
    ]
    assert "plan_decoding free" in lacking[1].remedy
    assert all("the server lacks it: " in one.found for one in lacking)


def test_every_ability_has_a_remedy():
    assert REMEDIES.keys() == set(NAMES)


def only(address, **settings):
    (found,) = check_server(address, RemoteSettings(**settings))
    assert (found.name, found.level) == ("model", Level.FAIL)
    return found


def test_a_server_that_is_not_there(gone_server):
    found = only(gone_server)
    assert "no connection" in found.found
    assert "start the server, or correct the address" in found.remedy


def test_a_server_that_asks_for_a_key(small_server, tmp_path):
    small_server.key = "s3cret"
    found = only(small_server.url, model="toy")
    assert "401" in found.found
    assert f"write the line `{small_server.url} KEY` into a file" in found.remedy
    keys = tmp_path / "keys"
    keys.write_text(f"http://other/v1 {small_server.key}\n")
    found = only(small_server.url, key_file=str(keys))
    assert f"has no key for {small_server.url}" in found.found
    assert "s3cret" not in found.found
    keys.write_text(f"{small_server.url} {small_server.key}\n")
    assert next(check_server(small_server.url, RemoteSettings(key_file=str(keys)))).level is Level.OK


def test_another_model_than_the_server_has(small_server):
    found = only(small_server.url, model="other")
    assert "the server has 'toy'" in found.found
    assert "give --remote-model" in found.remedy


def test_tls_of_a_server_without(small_server):
    found = only(small_server.url.replace("http:", "https:"))
    assert "SSL" in found.found
    assert "http:// instead of https://" in found.remedy


@pytest.mark.parametrize("settings", [{"ca_file": "/nowhere.pem"}, {"key_file": "/nowhere"}])
def test_files_that_are_not_there(small_server, settings):
    assert "/nowhere" in only(small_server.url, **settings).found
    assert not small_server.asked


def test_what_only_checkpoints_need_is_not_asked_for(monkeypatch):
    """A robot whose model is on a server does without torch."""
    from importlib.metadata import PackageNotFoundError

    from llava_ov_ros.cli import machine_checks

    installed = machine_checks.installed

    def without(name):
        if name in OF_CHECKPOINTS:
            raise PackageNotFoundError(name)
        return installed(name)

    monkeypatch.setattr(machine_checks, "installed", without)
    (here,) = check_versions()
    (served,) = check_versions(is_served=True)
    assert (here.level, served.level) == (Level.FAIL, Level.OK)
    assert "torch is missing" in here.found
    assert "httpx" in served.found


def test_options_about_a_server_need_one(capsys):
    assert main(["doctor", "--remote-model", "m"]) == 2
    assert "--remote-model is about a model on a server" in capsys.readouterr().err
