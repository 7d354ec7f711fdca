"""The command `llava-ov web`: what cannot be served is said in one line."""

from __future__ import annotations

import socket

from llava_ov_ros.cli import web
from llava_ov_ros.cli.main import main


def test_a_missing_extra_is_named_with_the_line_that_installs_it(monkeypatch, capsys):
    monkeypatch.setattr(web, "find_spec", lambda name: None if name == "uvicorn" else object())
    assert main(["web"]) == 1
    told = capsys.readouterr().err
    assert told == f"llava-ov: error: llava-ov web needs uvicorn, which is not installed: {web.INSTALL}\n"


def test_a_port_that_is_taken_is_named(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["web", "--port", str(port)]) == 1
    assert f"cannot listen on 127.0.0.1, port {port}: " in capsys.readouterr().err


def test_an_address_that_is_not_of_this_machine_is_named(capsys, tmp_path):
    token = tmp_path / "token"
    token.write_text("correct horse battery staple\n")
    token.chmod(0o600)
    assert main(["web", "--host", "192.0.2.1", "--token-file", str(token)]) == 1
    assert "cannot listen on 192.0.2.1, port 8421: " in capsys.readouterr().err
