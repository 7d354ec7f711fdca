"""TLS, and the key of a server: it goes to its server and nowhere else."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures.scripted_server import Script, ScriptedServer, Talk, healthy

from llava_ov_ros.remote import AddressError, RemoteEngine, ServerError

HEADERS = "receive_response_headers.complete"
KEY = "sk-0123456789abcdef"
OutcomeOf = Callable[..., Any]
MakeEngine = Callable[..., RemoteEngine]


@pytest.fixture
def key_file(server: ScriptedServer, tmp_path: Path) -> Path:
    """A file with the key of the scripted server."""
    file = tmp_path / "keys"
    file.write_text(f"https://elsewhere/v1 another-key\n{server.address} {KEY}\n")
    return file


def echo_error(talk: Talk) -> None:
    """A proxy that repeats the headers of a request in its error."""
    talk.json({"error": {"message": f"bad header {talk.headers.get('authorization')}"}}, "401 Unauthorized")


def echo_page(talk: Talk) -> None:
    """The same as a page."""
    talk.json(f"<p>{talk.headers.get('authorization')}</p>", "502 Bad Gateway")


def echo_place(talk: Talk) -> None:
    """The same as a redirect."""
    talk.json("", "307 Moved", f"Location: http://x/{talk.headers.get('authorization', '')[7:]}\r\n")


def echo_event(talk: Talk) -> None:
    """The same as an event that cannot be read, behind a header that says it, too."""
    talk.head(more=f"X-Said: {talk.headers.get('authorization')}\r\n")
    talk.events({"choices": [{"delta": 5, "was": talk.headers.get("authorization")}]})


def echo_nonsense(talk: Talk) -> None:
    """The same as JSON that is none."""
    talk.head()
    talk.events(str(talk.headers.get("authorization")))


@pytest.mark.parametrize("script", [echo_error, echo_page, echo_place, echo_event, echo_nonsense, lambda talk: None])
def test_the_key_is_sent_and_told_to_nobody(
    server: ScriptedServer,
    make_engine: MakeEngine,
    outcome_of: OutcomeOf,
    key_file: Path,
    caplog: pytest.LogCaptureFixture,
    script: Script,
):
    caplog.set_level(logging.DEBUG)
    engine = make_engine(key_file=str(key_file))
    engine.connect()
    server.chats += [script] * 9
    outcome = outcome_of(engine)
    assert isinstance(outcome, ServerError)
    assert {talk.headers["authorization"] for talk in server.talks} == {f"Bearer {KEY}"}
    said = [str(outcome), repr(outcome), repr(engine.settings), repr(engine.counters()), engine.name]
    said += [repr(value) for thing in (engine, engine._connection) for value in vars(thing).values() if value != KEY]
    said += [repr(engine._connection._client.headers)]
    assert KEY not in "".join(said)
    # What the server itself repeats in its headers, httpcore logs as it came, at the level DEBUG; nothing else may.
    logged = [f"{record.getMessage()}{record.args}{record.exc_text}" for record in caplog.records]
    assert [line for line in logged if KEY in line and not line.startswith(HEADERS)] == []
    assert any("httpcore" in record.name for record in caplog.records)


def test_the_key_of_another_address_is_not_sent(make_engine: MakeEngine, tmp_path: Path):
    file = tmp_path / "keys"
    file.write_text(f"https://elsewhere/v1 {KEY}\n")
    with pytest.raises(AddressError, match="has no key for http://127") as raised:
        make_engine(key_file=str(file))
    assert KEY not in str(raised.value)


@pytest.mark.parametrize(
    "content",
    [b"", KEY.encode(), b"\x00\xff" * 100, f"{{}} {KEY} more\n".encode(), f"{{}} {KEY}\n{{}} {KEY}\n".encode()],
)
def test_a_file_of_keys_is_never_quoted(
    server: ScriptedServer, make_engine: MakeEngine, tmp_path: Path, content: bytes
):
    file = tmp_path / "keys"
    file.write_bytes(content.replace(b"{}", server.address.encode()))
    with pytest.raises(AddressError) as raised:
        make_engine(key_file=str(file))
    assert KEY not in str(raised.value)


def test_a_word_that_is_no_secret_is_no_hole_in_answers(
    server: ScriptedServer, make_engine: MakeEngine, outcome_of: OutcomeOf, tmp_path: Path
):
    file = tmp_path / "keys"
    file.write_text(f"{server.address} e")
    server.otherwise = healthy
    engine = make_engine(key_file=str(file))
    assert outcome_of(engine).text == "yes"


@pytest.mark.parametrize("file", ["/", "/no/such/file", "nul\0", "/dev/zero"])
def test_a_file_of_keys_that_is_none_is_named(make_engine: MakeEngine, file: str):
    with pytest.raises(AddressError, match="remote_key_file"):
        make_engine(key_file=file)


@pytest.mark.parametrize("file", ["/", "/no/such/file", "nul\0", "/dev/null"])
def test_a_file_of_certificates_that_is_none_is_named(make_engine: MakeEngine, file: str):
    with pytest.raises(AddressError, match="remote_ca_file"):
        make_engine(ca_file=file)


@pytest.mark.parametrize(
    "address",
    [
        "ftp://host/v1",
        "host:8000",
        "http://",
        "http://:8000/v1",
        "http://host:0/v1",
        "http://host:99999/v1",
        "http://host:x/v1",
        "http://user:word@host/v1",
        "http://host/v1?key=1",
        "http://host/v1#part",
        "http://[::1/v1",
        "http://ho st/v1",
        "http://host\x00/v1",
        "http://" + "a" * 70000 + "/v1",
        "http://a" + ".b" * 40000 + "/v1",
    ],
)
def test_an_address_that_is_none_is_refused_before_anything_is_sent(make_engine: MakeEngine, address: str):
    with pytest.raises(AddressError) as raised:
        make_engine(address)
    assert len(str(raised.value)) < 700
    assert "word" not in str(raised.value).replace("password", "")


@pytest.mark.parametrize("host", ["a" * 64 + ".invalid", "xn--.invalid", "..invalid", "ho_st.invalid", "例子.invalid"])
def test_a_host_that_has_no_address_is_an_outcome(make_engine: MakeEngine, outcome_of: OutcomeOf, host: str):
    try:
        engine = make_engine(f"http://{host}/v1", retries=0)
    except AddressError:
        return
    assert isinstance(outcome_of(engine), ServerError)


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[ScriptedServer]:
    """A server with a certificate that it has signed itself."""
    file = tmp_path / "server.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*command.split(), "-keyout", file, "-out", tmp_path / "ca.pem"], check=True, capture_output=True)
    file.write_text(file.read_text() + (tmp_path / "ca.pem").read_text())
    scripted = ScriptedServer(certificate=file)
    yield scripted
    scripted.close()


def test_a_certificate_that_nobody_knows_is_refused_once_with_the_remedy(
    tls_server: ScriptedServer, make_engine: MakeEngine, outcome_of: OutcomeOf
):
    outcome = outcome_of(make_engine(tls_server.address, retries=3))
    assert isinstance(outcome, ServerError)
    assert "remote_ca_file" in str(outcome)
    assert "self-signed" in str(outcome)
    assert tls_server.talks == []
    assert tls_server.accepted == 1


def test_a_certificate_in_ca_file_is_trusted(
    tls_server: ScriptedServer, make_engine: MakeEngine, outcome_of: OutcomeOf, tmp_path: Path
):
    engine = make_engine(tls_server.address, ca_file=str(tmp_path / "ca.pem"))
    assert outcome_of(engine).text == "yes"
    assert all(talk.server is tls_server for talk in tls_server.talks)


def test_a_server_without_tls_behind_https_is_named(
    server: ScriptedServer, make_engine: MakeEngine, outcome_of: OutcomeOf
):
    outcome = outcome_of(make_engine(server.address.replace("http:", "https:"), retries=0))
    assert isinstance(outcome, ServerError)
    assert "no connection" in str(outcome)


def test_no_cookie_is_kept(server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf):
    def play(talk: Talk) -> None:
        talk.head(more="Set-Cookie: a=b; Path=/\r\n")
        talk.send(b"data: [DONE]\n\n")

    server.chats.append(play)
    outcome_of(engine)
    server.otherwise = healthy
    outcome_of(engine)
    assert not any("cookie" in talk.headers for talk in server.talks)
