"""Answers as servers stream them: cut anywhere, with and without log-probabilities, and not all in vLLM's way."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from fixtures.scripted_server import ScriptedServer, Talk, end, piece, usage

from llava_ov_ros.asking import Generated
from llava_ov_ros.remote import RemoteEngine, ServerError

CHINESE = "门开着,桌上有红色的杯子。"
OutcomeOf = Callable[..., Any]


def stream_of(*events: Any, line_break: str = "\n", done: bool = True) -> bytes:
    """The bytes of an event stream."""
    texts = [event if isinstance(event, str) else json.dumps(event, ensure_ascii=False) for event in events]
    return "".join(f"data: {text}{line_break * 2}" for text in [*texts, *["[DONE]"] * done]).encode()


def answering(body: bytes, kind: str = "text/event-stream", cut: int = 0) -> Callable[[Talk], None]:
    """A script that sends a body whole, or in pieces of `cut` bytes, each in an HTTP chunk of its own."""

    def play(talk: Talk) -> None:
        if not cut:
            talk.head(kind)
            talk.send(body)
            return
        talk.send(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        for begin in range(0, len(body), cut):
            part = body[begin : begin + cut]
            talk.send(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        talk.send("0\r\n\r\n")

    return play


WHOLE = [*(piece(mark, -0.1) for mark in CHINESE), end(-0.2), usage(1234)]


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("cut", [0, 1, 2, 3, 7, 1000])
def test_chinese_arrives_whole_wherever_the_stream_is_cut(
    server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf, cut: int, line_break: str
):
    server.chats.append(answering(stream_of(*WHOLE, line_break=line_break), cut=cut))
    heard: list[str] = []
    answer = outcome_of(engine, on_text=heard.append)
    assert (answer.text, heard) == (CHINESE, list(CHINESE))
    assert answer.probabilities == pytest.approx([math.exp(-0.1)] * len(CHINESE))
    assert answer.end_probability == pytest.approx(math.exp(-0.2))
    assert answer.token_ids == (7,) * len(CHINESE)
    assert (answer.prompt_tokens, answer.finish, answer.remark) == (1234, "stop", "")


def test_comments_and_other_lines_of_a_stream_are_passed_over(
    server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf
):
    parts = [b"\xef\xbb\xbf", stream_of(piece("ye"), done=False), b": ping\n\nid: 4\nevent: chunk\nretry: 5\n"]
    parts += [stream_of(piece("s"), done=False), b": ping\n\n\n\nevent: ping\ndata:\n\n", stream_of(end(), usage(1000))]
    server.chats.append(answering(b"".join(parts)))
    assert outcome_of(engine).text == "yes"


def test_a_stream_is_utf_8_whatever_its_head_says(server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf):
    server.chats.append(answering(stream_of(*WHOLE), "text/event-stream; charset=iso-8859-1"))
    assert outcome_of(engine).text == CHINESE


def without(event: dict[str, Any], name: str) -> dict[str, Any]:
    """An event whose token lacks a field."""
    changed: dict[str, Any] = json.loads(json.dumps(event))
    del changed["choices"][0]["logprobs"]["content"][0][name]
    return changed


def named(event: dict[str, Any], name: str) -> dict[str, Any]:
    """An event whose token is told by its text, without bytes."""
    changed = without(event, "bytes")
    changed["choices"][0]["logprobs"]["content"][0]["token"] = name
    return changed


def bare(event: dict[str, Any]) -> dict[str, Any]:
    """An event without log-probabilities."""
    return {"choices": [{**event["choices"][0], "logprobs": None}]}


def joined(*events: dict[str, Any]) -> dict[str, Any]:
    """One event of several, as servers send them that decode several tokens at once."""
    choices = [event["choices"][0] for event in events]
    text = "".join(choice["delta"]["content"] for choice in choices)
    entries = [entry for choice in choices for entry in choice["logprobs"]["content"]]
    return {"choices": [{**choices[-1], "delta": {"content": text}, "logprobs": {"content": entries}}]}


# Half of a character, which the server's text shows as a replacement.
HALF = piece("\N{REPLACEMENT CHARACTER}")
HALF["choices"][0]["logprobs"]["content"][0]["bytes"] = [0xE9]


@pytest.mark.parametrize(
    ("events", "probabilities", "ends"),
    [
        ([piece("ja"), end()], 1, True),
        ([joined(piece("j"), piece("a"), end())], 2, True),
        ([without(piece("ja"), "bytes"), without(end(), "bytes")], 1, True),
        ([named(piece("ja"), "ja"), named(end(), "<|im_end|>")], 1, True),
        ([named(piece("ja"), "ja"), bare(end())], 1, False),
        ([without(piece("ja"), "bytes"), bare(end())], 1, False),
        ([piece("ja"), bare(end())], 1, False),
        ([piece("ja"), end(reason="length")], 2, False),
        ([piece("ja"), HALF, end()], 2, True),
        ([bare(piece("ja")), bare(end())], 0, False),
    ],
)
def test_the_end_token_is_told_from_the_text(
    server: ScriptedServer,
    engine: RemoteEngine,
    outcome_of: OutcomeOf,
    events: list[Any],
    probabilities: int,
    ends: bool,
):
    server.chats.append(answering(stream_of(*events, usage(1000))))
    answer = outcome_of(engine)
    assert isinstance(answer, Generated)
    assert len(answer.probabilities) == probabilities
    assert (answer.end_probability is not None) == ends
    assert bool(answer.remark) == (probabilities == 0)


def test_an_empty_answer_has_no_probabilities_but_that_of_its_end(
    server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf
):
    server.chats.append(answering(stream_of(end(), usage(1000))))
    answer = outcome_of(engine)
    assert (answer.text, answer.probabilities, answer.finish, answer.remark) == ("", (), "stop", "")
    assert answer.end_probability == pytest.approx(math.exp(-0.5))


def test_finish_reason_length(server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf):
    server.chats.append(answering(stream_of(piece("and so"), bare(end(reason="length")), usage(1000))))
    answer = outcome_of(engine)
    assert (answer.text, answer.finish, answer.end_probability) == ("and so", "length", None)


def test_a_stream_without_done_is_whole_if_it_has_told_its_end(
    server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf
):
    server.chats.append(answering(stream_of(*WHOLE, done=False)))
    assert outcome_of(engine).text == CHINESE


def test_a_stream_that_ends_without_a_reason_is_no_answer(
    server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf
):
    server.chats.append(answering(stream_of(piece("and so"), usage(1000))))
    outcome = outcome_of(engine)
    assert isinstance(outcome, ServerError)
    assert "in the middle of the answer" in str(outcome)
    assert server.chats == []


def test_an_end_of_a_lost_attempt_does_not_count_for_the_next(
    server: ScriptedServer, make_engine: Callable[..., RemoteEngine], outcome_of: OutcomeOf
):
    engine = make_engine(retries=1)
    engine.connect()
    lost = stream_of(bare(end()), done=False) + b'data: {"choi'

    def cut(talk: Talk) -> None:
        talk.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\n")
        talk.send(lost)

    server.chats += [cut, answering(stream_of(piece("no end"), usage(1000)))]
    assert isinstance(outcome_of(engine), ServerError)


@pytest.mark.parametrize("reason", ["content_filter", "abort", "\x1b[31m" * 500, {"a": 1}, 3])
def test_an_unknown_end_is_named(server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf, reason: object):
    server.chats.append(answering(stream_of({"choices": [{"delta": {}, "finish_reason": reason}]})))
    outcome = outcome_of(engine)
    assert isinstance(outcome, ServerError)
    assert "ended the answer as" in str(outcome)
    assert str(outcome).isprintable()
    assert len(str(outcome)) < 200


@pytest.mark.parametrize("log", [math.nan, None])
def test_log_probabilities_that_are_no_numbers_are_no_answer(
    server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf, log: float | None
):
    server.chats.append(answering(stream_of(piece("yes", log), end(), usage(1000))))
    outcome = outcome_of(engine)
    assert isinstance(outcome, ServerError)
    assert "not numbers" in str(outcome)
    # A damaged model answers nobody: the next question is asked, and not left alone.
    assert outcome_of(engine).text == "yes"


def test_an_impossible_token_has_probability_0(server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf):
    server.chats.append(answering(stream_of(piece("yes", -math.inf), end(), usage(1000))))
    answer = outcome_of(engine)
    assert (answer.probabilities, answer.confidence) == ((0.0,), 0.0)


def test_a_positive_log_probability_is_1(server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf):
    server.chats.append(answering(stream_of(piece("yes", 1e300), end(1e-9), usage(1000))))
    answer = outcome_of(engine)
    assert (answer.probabilities, answer.end_probability) == ((1.0,), 1.0)


def entry(**fields: Any) -> str:
    """An event whose token has these fields."""
    content = [{"token": "a", "logprob": -1, **fields}]
    return json.dumps({"choices": [{"delta": {"content": "a"}, "logprobs": {"content": content}}]})


@pytest.mark.parametrize(
    "event",
    [
        '{"choices": [{"delta": {"content": ["a"]}}]}',
        '{"choices": [{"delta": {"content": 5}}]}',
        '{"choices": {"0": 1}}',
        '{"choices": [5]}',
        '{"choices": [], "usage": {"prompt_tokens": Infinity}}',
        '{"choices": [], "usage": {"prompt_tokens": "many"}}',
        '{"choices": [], "usage": 5}',
        entry(logprob="low"),
        entry(logprob=10**400),
        entry(bytes=[300]),
        entry(token="token_id:x"),
        entry(logprob=[]),
        "[" * 900 + "]" * 900,
        "[1, 2]",
        "null",
        '"text"',
        '{"choices": ' + "[" * 600 + "]" * 600 + "}",
    ],
    ids=lambda event: event[:60],
)
def test_an_event_that_is_none_is_named_and_bounded(
    server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf, event: str
):
    server.chats.append(answering(stream_of(event, end(), usage(1000))))
    outcome = outcome_of(engine)
    assert isinstance(outcome, ServerError)
    assert "event of the server" in str(outcome)
    assert len(str(outcome)) < 200
    assert engine.counters().server_failures == 1


def test_a_number_in_place_of_bytes_takes_no_memory(
    server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf
):
    # bytes(10**12) would ask for a terabyte.
    server.chats.append(answering(stream_of(entry(bytes=10**12), bare(end()), usage(1000))))
    assert outcome_of(engine).text == "a"


def test_half_of_a_surrogate_pair_becomes_a_replacement(
    server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf
):
    event = piece("x")
    event["choices"][0]["delta"]["content"] = "a\ud83db"
    server.chats.append(answering(stream_of(json.dumps(event), end(), usage(1000))))
    assert outcome_of(engine).text == "a\N{REPLACEMENT CHARACTER}b"
