"""What becomes of a question when the server fails: one outcome, a bounded number of requests, a reason."""

from __future__ import annotations

import gzip
import json
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from fixtures.scripted_server import Script, ScriptedServer, Talk, end, piece, usage
from fixtures.waiting import until

from llava_ov_ros.ask_error import AskError
from llava_ov_ros.asking import Generated
from llava_ov_ros.remote import RemoteEngine, ServerError

OutcomeOf = Callable[..., Any]
MakeEngine = Callable[..., RemoteEngine]
RETRIES = 2


@pytest.fixture
def connected(make_engine: MakeEngine) -> RemoteEngine:
    """An engine that repeats twice and waits for the first byte for a moment only."""
    engine = make_engine(retries=RETRIES)
    engine.connect()
    return engine


def status(line: str, body: Any = "", more: str = "") -> Script:
    """A script that refuses."""
    return lambda talk: talk.json(body if body != "" else {"error": {"message": f"this is {line}"}}, line, more)


def raw(text: str | bytes) -> Script:
    """A script that sends bytes and closes the connection."""
    return lambda talk: talk.send(text)


def half(*events: Any, behind: str = 'data: {"choi') -> Script:
    """A script that sends events, then half a line, then closes a connection that was to send more."""

    def play(talk: Talk) -> None:
        talk.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 99999\r\n\r\n")
        talk.events(*events)
        talk.send(behind)

    return play


def stream(*events: Any) -> Script:
    """A script that sends events and ends the response in order."""

    def play(talk: Talk) -> None:
        talk.head()
        talk.events(*events)

    return play


ERROR_500 = {"error": {"message": "engine died", "type": "InternalServerError", "code": 500}}
ERROR_400 = {"error": {"message": "the prompt is too long", "type": "BadRequestError", "code": 400}}


@pytest.mark.parametrize(
    ("script", "asked", "said"),
    [
        pytest.param(lambda talk: None, 3, "disconnected", id="closed at once"),
        pytest.param(raw("HTTP/1.1 200 OK\r\nContent-"), 3, "connection failed", id="half a head"),
        pytest.param(raw("SSH-2.0-OpenSSH_9\r\n"), 3, "connection failed", id="no HTTP"),
        pytest.param(half(), 3, "connection failed", id="half a line"),
        pytest.param(half(piece("so")), 1, "connection failed", id="half a line behind text"),
        pytest.param(stream('{"choices": ['), 1, "no JSON", id="broken JSON"),
        pytest.param(stream("[" * 100_000), 1, "no JSON", id="nested JSON"),
        pytest.param(stream(), 3, "middle of the answer", id="an empty stream"),
        pytest.param(status("429 Too Many Requests"), 3, "429: this is 429", id="429 without end"),
        pytest.param(status("503 Service Unavailable"), 3, "503: this is 503", id="503"),
        pytest.param(status("500 Internal Server Error"), 3, "500: this is 500", id="500"),
        pytest.param(
            status("502 Bad Gateway", "<html>\n<h1>nginx</h1>"), 3, "502: <html> <h1>nginx", id="502 of a proxy"
        ),
        pytest.param(status("401 Unauthorized"), 1, "remote_key_file", id="401"),
        pytest.param(status("404 Not Found", {"detail": "Not Found"}), 1, "404: {'detail'", id="404"),
        pytest.param(status("404 Not Found", "[" * 900 + "]" * 900), 1, "404: ", id="404, nested"),
        pytest.param(status("307 Moved", more="Location: http://elsewhere/v1\r\n"), 1, "http://elsewhere/v1", id="307"),
        pytest.param(status("204 No Content"), 1, "204", id="204"),
        pytest.param(stream(ERROR_500), 3, "500: engine died", id="500 within a stream"),
        pytest.param(stream(piece("so"), ERROR_500), 1, "500: engine died", id="500 behind text"),
        pytest.param(
            stream({"object": "error", "message": "engine died", "code": 500}), 3, "500: engine died", id="old error"
        ),
        pytest.param(stream({"error": "down"}), 3, "500: down", id="an error that is a text"),
        pytest.param(lambda talk: talk.json({"id": "1"}), 1, "does not stream", id="200 with JSON"),
        pytest.param(
            lambda talk: (talk.head("text/html"), talk.send("<html>log in</html>")),
            1,
            "'<html>log in",
            id="200 with HTML",
        ),
        pytest.param(
            lambda talk: (talk.head(more="Content-Encoding: gzip\r\n"), talk.send(gzip.compress(b"data: 1\n\n"))),
            1,
            "compresses",
            id="gzip",
        ),
        pytest.param(
            lambda talk: (
                talk.head("text/html", "400 Bad Request", "Content-Encoding: gzip\r\n"),
                talk.send(gzip.compress(bytes(50 * 2**20))),
            ),
            1,
            "compresses",
            id="an error that unpacks to 50 MiB",
        ),
    ],
)
def test_every_failure_is_one_outcome_with_its_reason(
    server: ScriptedServer, connected: RemoteEngine, outcome_of: OutcomeOf, script: Script, asked: int, said: str
):
    before = len(server.chats_seen)
    server.chats += [script] * 9
    heard: list[str] = []
    outcome = outcome_of(connected, on_text=heard.append)
    assert isinstance(outcome, ServerError), outcome
    assert said in str(outcome)
    assert str(outcome).isprintable()
    assert len(str(outcome)) < 300
    assert len(server.chats_seen) - before == asked
    assert len(heard) <= 1
    counters = connected.counters()
    assert (counters.server_retries, counters.server_failures) == (asked - 1, asked)


@pytest.mark.parametrize(
    "script",
    [
        status("400 Bad Request", ERROR_400),
        status("422 Unprocessable", ERROR_400),
        status("413 Too Large", ERROR_400),
        stream(ERROR_400),
    ],
)
def test_a_question_that_the_server_refuses_is_invalid(
    server: ScriptedServer, connected: RemoteEngine, outcome_of: OutcomeOf, script: Script
):
    for _ in range(5):
        server.chats.append(script)
        outcome = outcome_of(connected)
        assert isinstance(outcome, AskError)
        assert "the prompt is too long" in str(outcome)
    # The server works: it is not left alone.
    assert outcome_of(connected).text == "yes"


def test_a_message_of_the_api_is_shown_longer_than_a_page(
    server: ScriptedServer, connected: RemoteEngine, outcome_of: OutcomeOf
):
    server.chats += [status("400 B", {"error": {"message": "m" * 5000}}), status("404 N", "p" * 5000)]
    api, page = str(outcome_of(connected)), str(outcome_of(connected))
    assert (api.count("m"), page.count("p")) == (199, 79)


def test_an_error_field_that_is_null_is_no_error(
    server: ScriptedServer, connected: RemoteEngine, outcome_of: OutcomeOf
):
    server.chats.append(stream({**piece("yes"), "error": None}, end(), usage(1000)))
    assert outcome_of(connected).text == "yes"


@pytest.mark.parametrize("lost", [1, 2])
def test_a_request_is_sent_again_until_it_is_answered(
    server: ScriptedServer, connected: RemoteEngine, outcome_of: OutcomeOf, lost: int
):
    before = len(server.chats_seen)
    server.chats += [status("500 Internal Server Error")] * lost
    assert outcome_of(connected).text == "yes"
    assert len(server.chats_seen) - before == lost + 1


def test_without_retries_nothing_is_sent_again(server: ScriptedServer, make_engine: MakeEngine, outcome_of: OutcomeOf):
    engine = make_engine(retries=0)
    engine.connect()
    before = len(server.chats_seen)
    server.chats.append(status("503 Service Unavailable"))
    assert isinstance(outcome_of(engine), ServerError)
    assert len(server.chats_seen) - before == 1


def in_seconds(seconds: float) -> str:
    """An HTTP date."""
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(("header", "least_s"), [("0.6", 0.6), ("date", 0.9)])
def test_retry_after_is_waited_for(
    server: ScriptedServer, connected: RemoteEngine, outcome_of: OutcomeOf, header: str, least_s: float
):
    value = in_seconds(2) if header == "date" else header
    server.chats.append(status("429 Too Many Requests", more=f"Retry-After: {value}\r\n"))
    began_s = time.monotonic()
    assert outcome_of(connected).text == "yes"
    # A lower bound, which no busy machine breaks.
    assert time.monotonic() - began_s >= least_s


@pytest.mark.parametrize("value", ["soon", "-5", "nan", "Wed, 99 Foo 2026", "1" * 400, ""])
def test_a_retry_after_that_says_nothing_is_passed_over(
    server: ScriptedServer, connected: RemoteEngine, outcome_of: OutcomeOf, value: str
):
    server.chats.append(status("429 Too Many Requests", more=f"Retry-After: {value}\r\n"))
    assert outcome_of(connected).text == "yes"


def test_waiting_for_a_busy_server_ends_at_the_deadline_with_the_reason(
    server: ScriptedServer, connected: RemoteEngine, outcome_of: OutcomeOf
):
    server.chats.append(status("429 Too Many Requests", more="Retry-After: 9\r\n"))
    seen = len(server.chats_seen)
    # The error reaches the caller within some looks after it was counted.
    late = after(10, "deadline")
    answer = outcome_of(connected, should_stop=lambda: late() if connected.counters().server_retries else None)
    assert isinstance(answer, Generated)
    assert answer.finish == "deadline"
    assert "429: this is 429" in answer.remark
    assert len(server.chats_seen) == seen + 1


@pytest.mark.parametrize("header", ["3000", "date"])
def test_a_server_that_asks_to_wait_for_long_is_not_waited_for(
    server: ScriptedServer, connected: RemoteEngine, outcome_of: OutcomeOf, header: str
):
    value = in_seconds(3000) if header == "date" else header
    server.chats.append(status("429 Too Many Requests", more=f"Retry-After: {value}\r\n"))
    seen = len(server.chats_seen)
    outcome = outcome_of(connected)
    assert isinstance(outcome, ServerError)
    assert "it asks to wait" in str(outcome)
    assert len(server.chats_seen) == seen + 1


def test_a_connection_that_the_server_has_closed_meanwhile_costs_nothing(
    server: ScriptedServer, connected: RemoteEngine, outcome_of: OutcomeOf
):
    def kept(talk: Talk) -> None:
        body = "".join(f"data: {json.dumps(event)}\n\n" for event in (piece("yes"), end(), usage(1000)))
        talk.is_over = True
        talk.send(f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {len(body)}\r\n\r\n{body}")

    server.otherwise = kept
    for _ in range(5):
        assert outcome_of(connected).text == "yes"
        # The server's thread closes the connection, which was to be kept, some time after the answer.
        until(lambda: server.open_sockets == 0, "the server has closed the connection")
    assert connected.counters().server_failures == 0


def after(count: int, wish: str) -> Callable[[], str | None]:
    """A `should_stop` that wishes after so many looks."""
    looks = iter(range(10**9))
    return lambda: wish if next(looks) > count else None


@pytest.mark.parametrize("sent", ["nothing", "head", "text"])
def test_silence_ends_at_the_deadline_with_the_text_so_far(
    server: ScriptedServer, connected: RemoteEngine, outcome_of: OutcomeOf, sent: str
):
    def play(talk: Talk) -> None:
        if sent != "nothing":
            talk.head()
        if sent == "text":
            talk.events(piece("门开"), piece("着", -1.0))
        talk.wait_for_hang_up()

    server.chats.append(play)
    # Silence of more than a second earns a remark.
    answer = outcome_of(connected, should_stop=after(75, "deadline"))
    assert isinstance(answer, Generated)
    assert (answer.finish, answer.end_probability) == ("deadline", None)
    assert answer.text == ("门开着" if sent == "text" else "")
    assert len(answer.probabilities) == len(answer.token_ids) == (2 if sent == "text" else 0)
    assert "sent nothing for" in answer.remark
    assert server.hung_up.acquire(timeout=40)


def test_silence_before_the_first_byte_is_a_failure(
    server: ScriptedServer, make_engine: MakeEngine, outcome_of: OutcomeOf
):
    engine = make_engine(retries=2)
    engine.connect()
    # Only now: the probe of a busy machine shall not fail.
    object.__setattr__(engine.settings, "silence_s", 0.2)
    object.__setattr__(engine.settings, "connect_s", 0.1)
    before = len(server.chats_seen)
    server.chats += [Talk.wait_for_hang_up] * 3
    outcome = outcome_of(engine)
    assert isinstance(outcome, ServerError)
    assert "remote_silence_s 0.2" in str(outcome)
    # Again it would be silent, while another model could answer. A busy machine may not even see the first request.
    assert len(server.chats_seen) - before <= 1
    counters = engine.counters()
    assert (counters.server_requests, counters.server_retries, counters.server_failures) == (1, 0, 1)


def test_nobody_listens(make_engine: MakeEngine, server: ScriptedServer, outcome_of: OutcomeOf):
    engine = make_engine()
    engine.connect()
    server.close()
    outcome = outcome_of(engine)
    assert isinstance(outcome, ServerError)
    assert "Connection refused" in str(outcome)


def forever(head: str, part: bytes) -> Script:
    """A script that sends until the client has enough."""

    def play(talk: Talk) -> None:
        talk.send(head)
        for _ in range(10**6):
            talk.send(part)

    return play


STREAM = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
PAGE = "HTTP/1.1 {} OK\r\nContent-Type: text/html\r\n\r\n"


@pytest.mark.parametrize(
    "script",
    [
        forever(STREAM, b"x" * 65536),
        forever(STREAM, b": ping\n\n" * 8192),
        forever(STREAM, b"data: x\n" * 8192),
        forever(STREAM, f"data: {json.dumps(piece('word '))}\n\n".encode() * 100),
        forever(PAGE.format(200), b"x" * 65536),
        forever(PAGE.format(404), b"x" * 65536),
        forever("HTTP/1.1 200 OK\r\n", b"X-Header: " + b"x" * 60000 + b"\r\n"),
        forever("", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    ],
    ids=["no line break", "comments", "one event", "answer", "page", "error", "headers", "informational"],
)
def test_a_response_without_end_is_cut_off(
    server: ScriptedServer, make_engine: MakeEngine, outcome_of: OutcomeOf, script: Script
):
    engine = make_engine(retries=0)
    engine.connect()
    object.__setattr__(engine.settings, "silence_s", 3.0)
    server.chats.append(script)
    tracemalloc.start()
    try:
        outcome = outcome_of(engine, max_new_tokens=64)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(outcome, ServerError)
    assert most < 20 * 2**20


def test_a_scored_prompt_without_end_is_cut_off(server: ScriptedServer, make_engine: MakeEngine, outcome_of: OutcomeOf):
    engine = make_engine(retries=0)
    engine.connect()
    server.chats.append(forever("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", b"[" * 65536))
    outcome = outcome_of(engine, choices=("yes",))
    assert isinstance(outcome, ServerError)
    assert "bytes" in str(outcome)


def test_a_silent_connection_is_watched_by_the_kernel(
    server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf
):
    """A cable that is cut in the middle of an answer is noticed, also where nothing else bounds the time."""
    timers: list[str] = []
    port = f":{int(server.address.rpartition(':')[2].partition('/')[0]):04X}"

    def play(talk: Talk) -> None:
        talk.head()
        talk.events(piece("so"))
        # Linux, net/ipv4/tcp_ipv4.c: remote address in field 2, state in field 3, active timer in field 5.
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        timers.extend(row[5][:2] for row in rows if row[2].endswith(port) and row[3] == "01")
        talk.events(end(), usage(1000), "[DONE]")

    server.chats.append(play)
    assert outcome_of(engine).text == "so"
    assert timers == ["02"]
