"""What the probe finds out: abilities that a server lacks, servers that cannot be used, names that would do harm."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import pytest
from fixtures.scripted_server import (
    MODEL,
    Script,
    ScriptedServer,
    Talk,
    end,
    healthy,
    pictures_of,
    piece,
    scored,
    usage,
)

from llava_ov_ros.ask_error import AskError
from llava_ov_ros.asking import Generated
from llava_ov_ros.remote import ProbeError, RemoteEngine, ServerError

OutcomeOf = Callable[..., Any]
MakeEngine = Callable[..., RemoteEngine]


def listing(found: Any, status: str = "200 OK") -> Script:
    """A healthy server but for its list of models."""
    return lambda talk: talk.json(found, status) if talk.path == "/v1/models" else healthy(talk)


def without(is_asked: Callable[[Talk], Any], status: str = "400 Bad Request") -> Script:
    """A healthy server that refuses some chat completions."""

    def play(talk: Talk) -> None:
        if talk.method == "POST" and is_asked(talk):
            talk.json({"error": {"message": "not here"}}, status)
        else:
            healthy(talk)

    return play


def kinds(talk: Talk) -> list[str]:
    """The kinds of the parts of a request."""
    return [part["type"] for part in talk.body["messages"][-1]["content"] if isinstance(part, dict)]


def test_a_healthy_server(server: ScriptedServer, make_engine: MakeEngine):
    engine = make_engine(clip_frames=40)
    known = engine.connect()
    assert known.lacking == {}
    assert str(known) == "picture clips several_pictures log_probabilities choices grammars"
    assert (known.model, known.server, known.frame_tokens) == (MODEL, "maker 1.2", 5)
    assert engine.name == f"{MODEL} on maker 1.2 at {server.address[7:-3]}"
    seen = len(server.talks)
    assert engine.connect() is known
    assert len(server.talks) == seen


@pytest.mark.parametrize(
    ("is_asked", "lacks"),
    [
        (lambda talk: "image_url" in kinds(talk), {"picture", "several_pictures"}),
        (lambda talk: "video_url" in kinds(talk), {"clips"}),
        (lambda talk: kinds(talk).count("image_url") > 1, {"several_pictures"}),
        (lambda talk: "logprobs" in talk.body, {"log_probabilities"}),
        (lambda talk: "prompt_logprobs" in talk.body, {"choices"}),
        (lambda talk: "structured_outputs" in talk.body, {"grammars"}),
        (lambda talk: not pictures_of(talk.body), {"several_pictures"}),
    ],
)
@pytest.mark.parametrize("status", ["400 Bad Request", "501 Not Implemented", "500 Internal Server Error"])
def test_an_ability_that_the_server_lacks(
    server: ScriptedServer,
    make_engine: MakeEngine,
    outcome_of: OutcomeOf,
    is_asked: Callable[[Talk], Any],
    lacks: set[str],
    status: str,
):
    server.otherwise = without(is_asked, status)
    engine = make_engine()
    known = engine.connect()
    assert set(known.lacking) == lacks
    assert all("not here" in reason for reason in known.lacking.values())
    asks: dict[str, dict[str, Any]] = {
        "picture": {"mode": "image"},
        "clips": {},
        "several_pictures": {"mode": "multi_image"},
        "choices": {"choices": ("yes", "no"), "mode": "image" if "clips" in lacks else "video"},
        "grammars": {"grammar": 'start: "a"', "mode": "image" if "clips" in lacks else "video"},
    }
    for name, ask in asks.items():
        outcome = outcome_of(engine, **ask)
        assert isinstance(outcome, AskError if name in lacks else Generated), (name, outcome)
        if name in lacks:
            assert f": the server says {status[:3]}: not here" in str(outcome)


@pytest.mark.parametrize("status", ["500 Internal Server Error", "503 Busy", "429 Too Many", "502 Bad Gateway"])
@pytest.mark.parametrize("number", range(0, 9, 2))
def test_a_failure_of_a_moment_takes_no_ability_away(
    server: ScriptedServer, make_engine: MakeEngine, status: str, number: int
):
    server.chats += [healthy] * number
    server.chats.append(lambda talk: talk.json({"error": {"message": "a moment"}}, status))
    assert make_engine(retries=0).connect().lacking == {}
    assert server.chats == []


def test_half_a_response_takes_no_ability_away(server: ScriptedServer, make_engine: MakeEngine):
    def half(talk: Talk) -> None:
        talk.head()
        talk.events(piece("yes"))

    server.chats.append(half)
    assert make_engine().connect().lacking == {}


def test_a_server_that_does_not_stream_cannot_be_used(server: ScriptedServer, make_engine: MakeEngine):
    server.otherwise = lambda talk: healthy(talk) if talk.method == "GET" else talk.json({"choices": []})
    with pytest.raises(ServerError, match="does not stream"):
        make_engine().connect()


def test_a_server_without_pictures_cannot_be_used(server: ScriptedServer, make_engine: MakeEngine):
    server.otherwise = without(lambda talk: pictures_of(talk.body))
    with pytest.raises(ProbeError, match="neither about pictures"):
        make_engine().connect()


def test_a_server_that_ignores_pictures_is_refused(
    server: ScriptedServer, make_engine: MakeEngine, outcome_of: OutcomeOf
):
    def blind(talk: Talk) -> None:
        if talk.method == "POST" and "logprobs" in talk.body:
            talk.head()
            talk.events(piece("yes", -0.125), end(), usage(15), "[DONE]")
        else:
            healthy(talk)

    server.otherwise = blind
    engine = make_engine()
    with pytest.raises(ProbeError, match=r"same log-probability -0\.125"):
        engine.connect()
    outcome = outcome_of(engine)
    assert isinstance(outcome, ProbeError)
    # Not a single question was sent.
    assert all("What is there?" in str(talk.body) for talk in server.chats_seen)


def test_one_certain_token_does_not_make_a_server_blind(server: ScriptedServer, make_engine: MakeEngine):
    def sure(talk: Talk) -> None:
        if talk.method == "POST" and "logprobs" in talk.body:
            talk.head()
            second = piece("is", -0.1 - len(pictures_of(talk.body)[0]) * 1e-6)
            talk.events(piece("There", 0.0), second, end(), usage(15), "[DONE]")
        else:
            healthy(talk)

    server.otherwise = sure
    make_engine(image_format="png").connect()


@pytest.mark.parametrize(("least", "most"), [(33, 40), (1, 2), (32, 64)])
def test_a_server_that_looks_at_fewer_frames_has_no_clips(
    server: ScriptedServer, make_engine: MakeEngine, outcome_of: OutcomeOf, least: int, most: int
):
    def cutting(talk: Talk) -> None:
        if "video_url" in str(talk.body):
            pictures = pictures_of(talk.body)
            talk.head()
            first = piece("yes", -zlib.crc32(pictures[0].encode()) / 2**32)
            talk.events(first, end(), usage(10 + 5 * min(least, len(pictures))), "[DONE]")
        else:
            healthy(talk)

    server.otherwise = cutting
    engine = make_engine(clip_frames=most)
    assert "clips" in engine.connect().lacking
    if least > 1:
        assert f"of the {most} frames of clip_frames the server looks at {least}" in engine.counters().lacking
    assert isinstance(outcome_of(engine), AskError)


def test_an_answer_about_fewer_frames_than_were_sent_is_no_answer(
    server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf
):
    server.chats.append(lambda talk: talk.answer("yes", prompt_tokens=9))
    outcome = outcome_of(engine)
    assert isinstance(outcome, ServerError)
    assert "fewer frames" in str(outcome)


def test_a_server_that_counts_no_tokens_has_no_clips(server: ScriptedServer, make_engine: MakeEngine):
    def uncounted(talk: Talk) -> None:
        if talk.method == "GET" or "prompt_logprobs" in talk.body:
            healthy(talk)
        else:
            talk.head()
            talk.events(piece("yes", -len(str(talk.body)) * 1e-6), end(), "[DONE]")

    server.otherwise = uncounted
    known = make_engine(image_format="png").connect()
    assert {"clips", "several_pictures"} <= set(known.lacking)


@pytest.mark.parametrize(
    "script",
    [
        listing("", "404 Not Found"),
        listing("", "500 Internal Server Error"),
        listing("", "403 Forbidden"),
        listing("<html>", "200 OK"),
        listing({"data": []}),
        listing({"data": None}),
        listing([1]),
        listing({"data": [{"name": "x"}, 5]}),
        listing({"data": [{"id": 5}, {"id": None}, {"id": ["x"]}, {"id": ""}]}),
        listing({"data": [{"id": "\x1b[2J" + MODEL}]}),
        listing({"data": [{"id": "m" * 2**20}]}),
    ],
)
def test_a_list_of_models_that_says_nothing_needs_a_name(
    server: ScriptedServer, make_engine: MakeEngine, script: Script
):
    server.otherwise = script
    with pytest.raises(ProbeError, match="name it in remote_model") as raised:
        make_engine().connect()
    assert len(str(raised.value)) < 400
    assert str(raised.value).isprintable()
    assert make_engine(model="mine").connect().model == "mine"


def test_of_several_models_one_is_to_be_named(server: ScriptedServer, make_engine: MakeEngine):
    server.otherwise = listing({"data": [{"id": f"m{number}"} for number in range(500)]})
    with pytest.raises(ProbeError, match=r"'m0', 'm1', 'm2', 'm3', 'm4'$"):
        make_engine().connect()
    assert make_engine(model="m3").connect().model == "m3"
    with pytest.raises(ProbeError, match="remote_model is 'x', and the server has 'm0'"):
        make_engine(model="x").connect()
    assert {talk.body["model"] for talk in server.chats_seen} == {"m3"}


def test_why_the_models_are_not_listed_is_told(server: ScriptedServer, make_engine: MakeEngine):
    server.otherwise = lambda talk: talk.json({"error": {"message": "no key"}}, "401 Unauthorized")
    with pytest.raises(ProbeError, match="401: no key; remote_key_file"):
        make_engine().connect()
    with pytest.raises(ServerError, match="401: no key; remote_key_file"):
        make_engine(model="m").connect()


@pytest.mark.parametrize(
    ("owner", "version", "kind"),
    [
        ("vllm", "0.32.0+cpu", "vllm 0.32.0+cpu"),
        (None, "1", "1"),
        ("sglang", None, "sglang"),
        ({"a": 1}, ["1"], ""),
        ("\x1b[31mred\x07\n\u202e", "1\x00.2", "31mred 1.2"),
        ("o" * 2**20, "v" * 2**20, "o" * 19 + "… " + "v" * 39 + "…"),
    ],
)
def test_the_name_of_a_server_is_one_short_plain_line(
    server: ScriptedServer, make_engine: MakeEngine, owner: Any, version: Any, kind: str
):
    def play(talk: Talk) -> None:
        if talk.path == "/version":
            talk.json({"version": version})
        else:
            listing({"data": [{"id": MODEL, "owned_by": owner}]})(talk)

    server.otherwise = play
    engine = make_engine()
    assert engine.connect().server == kind
    assert engine.name.isprintable()


@pytest.mark.parametrize("found", ["", "[" * 900 + "]" * 900, "5", '{"version": {}}'])
def test_a_server_need_not_tell_its_version(server: ScriptedServer, make_engine: MakeEngine, found: str):
    server.otherwise = lambda talk: talk.json(found, "404 No") if talk.path == "/version" else healthy(talk)
    assert make_engine().connect().server == "maker"
    server.otherwise = lambda talk: talk.json(found) if talk.path == "/version" else healthy(talk)
    assert make_engine().connect().server == "maker"


@pytest.mark.parametrize("log", [None, float("nan"), float("-inf"), -1e300, "low"])
def test_choices_without_log_probabilities_are_lacking(server: ScriptedServer, make_engine: MakeEngine, log: Any):
    server.otherwise = lambda talk: (
        talk.json(scored([(5, "yes", log)], 15)) if "prompt_logprobs" in talk.body else healthy(talk)
    )
    known = make_engine().connect()
    assert set(known.lacking) == {"choices"}
    assert str(known.lacking["choices"]).isprintable()
