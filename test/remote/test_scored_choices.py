"""Choices, which a server scores as answers within a prompt."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from fixtures.scripted_server import Script, ScriptedServer, Talk, healthy, scored

from llava_ov_ros.ask_error import AskError
from llava_ov_ros.remote import RemoteEngine, ServerError

OutcomeOf = Callable[..., Any]
Tokens = list[tuple[int, str, float | None]]
UNKNOWN = "\N{REPLACEMENT CHARACTER}"


def scoring(tokens_of: dict[str, Tokens]) -> Script:
    """A script that tells the tokens of each choice."""

    def play(talk: Talk) -> None:
        if "prompt_logprobs" in talk.body:
            talk.json(scored(tokens_of[talk.body["messages"][-1]["content"]]))
        else:
            healthy(talk)

    return play


def test_the_most_probable_choice_with_all_probabilities(
    server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf
):
    server.otherwise = scoring({"yes": [(5, "yes", -1.0)], "no": [(6, "n", -0.5), (7, "o", -0.25)]})
    answer = outcome_of(engine, choices=("yes", "no"))
    # Each ends with the end token, whose log-probability is -0.5.
    assert [choice.log_probability for choice in answer.choices] == pytest.approx([-1.5, -1.25])
    total = math.exp(-1.5) + math.exp(-1.25)
    assert [choice.probability for choice in answer.choices] == pytest.approx(
        [math.exp(-1.5) / total, math.exp(-1.25) / total]
    )
    assert (answer.text, answer.token_ids, answer.finish) == ("no", (6, 7), "stop")
    assert answer.probabilities == pytest.approx((math.exp(-0.5), math.exp(-0.25)))
    assert answer.end_probability == pytest.approx(math.exp(-0.5))
    # vLLM's first entry is null, and the turn of the assistant begins with three tokens.
    assert answer.prompt_tokens == 1 + 1000 + 3


def test_the_body_of_a_scored_choice(server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf):
    outcome_of(engine, choices=("yes", "no"), history=(("?", "!"),))
    bodies = [talk.body for talk in server.chats_seen[-2:]]
    assert sorted(body["messages"][-1]["content"] for body in bodies) == ["no", "yes"]
    for body in bodies:
        assert body["messages"][-1]["role"] == "assistant"
        assert (body["prompt_logprobs"], body["max_tokens"], body["add_generation_prompt"]) == (0, 1, False)
        assert "stream" not in body


def test_chinese_choices_whose_tokens_are_parts_of_characters(
    server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf
):
    parts: dict[str, Tokens] = {
        "是": [(5, UNKNOWN, -0.1), (6, UNKNOWN, -0.1)],
        "否": [(5, UNKNOWN, -0.1), (7, UNKNOWN, -2.0)],
    }
    server.otherwise = scoring(parts)
    answer = outcome_of(engine, choices=("是", "否"))
    assert (answer.text, answer.token_ids) == ("是", (5, 6))


@pytest.mark.parametrize("choice", [" yes", "yes ", "yes\n", "e\u0301"])
def test_spaces_and_marks_of_a_choice_are_scored(
    server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf, choice: str
):
    # Tokenizers compose characters (NFC).
    server.otherwise = scoring({choice: [(5, choice.replace("e\u0301", "é"), -0.1)], "no": [(6, "no", -0.2)]})
    assert outcome_of(engine, choices=(choice, "no")).text == choice


def test_a_template_that_trims_answers_is_found_out(
    server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf
):
    server.otherwise = scoring({" yes": [(5, "yes", -0.1)], "no": [(6, "no", -0.2)]})
    outcome = outcome_of(engine, choices=(" yes", "no"))
    assert isinstance(outcome, ServerError)
    assert "changes the answer ' yes' to 'yes'" in str(outcome)


def test_two_choices_with_the_same_tokens_are_invalid(
    server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf
):
    same: Tokens = [(5, "é", -0.1)]
    server.otherwise = scoring({"no": [(6, "no", -0.2)], "\u00e9": same, "e\u0301": same})
    outcome = outcome_of(engine, choices=("no", "\u00e9", "e\u0301"))
    assert isinstance(outcome, AskError)
    # In the words of the local engine.
    assert str(outcome) == "choices: 'é' and 'e\u0301' are the same text to the tokenizer"


def test_ties_are_broken_by_tokens(server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf):
    server.otherwise = scoring({"a": [(8, "a", -0.1)], "b": [(7, "b", -0.1)]})
    for choices in (("a", "b"), ("b", "a")):
        assert outcome_of(engine, choices=choices).text == "b"


def test_log_probabilities_above_0_are_0(server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf):
    server.otherwise = scoring({"a": [(8, "a", 1e300)], "b": [(7, "b", 1e-7)]})
    answer = outcome_of(engine, choices=("a", "b"))
    assert answer.probabilities == (1.0,)
    assert [choice.probability for choice in answer.choices] == [0.5, 0.5]


def test_choices_that_are_next_to_impossible_are_compared(
    server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf
):
    # -9999 is the least that vLLM tells.
    server.otherwise = scoring({"a": [(8, "a", -9999.0)], "bc": [(7, "b", -9999.0), (6, "c", -9999.0)]})
    answer = outcome_of(engine, choices=("a", "bc"))
    assert (answer.text, answer.confidence, answer.probabilities) == ("a", 1.0, (0.0,))


NO_TURN = {"prompt_logprobs": [None, {"1": {"logprob": -1, "decoded_token": "yes"}}]}


@pytest.mark.parametrize(
    "response",
    [
        {},
        {"choices": []},
        {"choices": [{"prompt_logprobs": None}]},
        {"prompt_logprobs": "yes"},
        {"prompt_logprobs": [None, 5]},
        {"prompt_logprobs": [None, {"x": {"logprob": -1, "decoded_token": "yes"}}]},
        {"prompt_logprobs": [None, {"1": {"logprob": 10**400, "decoded_token": "<|im_end|>"}}]},
        NO_TURN,
        scored([(5, "yes", None)]),
        scored([(5, "yes", math.nan)]),
        scored([(5, "yes", -math.inf)]),
        scored([(5, "yes", -1e308), (5, "", -1e308)]),
        scored([]),
        {"prompt_logprobs": [{}] * 100},
        [1],
    ],
    ids=lambda response: str(response)[:40],
)
def test_a_prompt_without_probabilities_is_no_answer(
    server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf, response: Any
):
    server.chats += [lambda talk: talk.json(response)] * 2
    outcome = outcome_of(engine, choices=("yes", "no"))
    assert isinstance(outcome, ServerError)
    assert str(outcome).isprintable()
    assert len(str(outcome)) < 300


def test_the_first_failure_ends_the_other_requests(server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf):
    def play(talk: Talk) -> None:
        if talk.body["messages"][-1]["content"] == "no":
            server.wait_for_chats(before + 3)
            talk.json({"error": {"message": "too long"}}, "400 Bad Request")
        else:
            talk.wait_for_hang_up()

    before = len(server.chats_seen)
    server.otherwise = play
    outcome = outcome_of(engine, choices=("yes", "no", "maybe"))
    assert isinstance(outcome, AskError)
    assert "too long" in str(outcome)
    for _ in range(2):
        assert server.hung_up.acquire(timeout=40)
    assert len(server.chats_seen) == before + 3


def test_a_choice_is_asked_again(server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf):
    before = len(server.chats_seen)
    server.chats += [lambda talk: talk.json("", "503 Busy")] * 2
    answer = outcome_of(engine, choices=("yes", "no", "maybe"))
    assert [choice.text for choice in answer.choices] == ["yes", "no", "maybe"]
    assert len(server.chats_seen) - before == 5


def test_the_answer_of_an_older_vllm(server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf):
    """The log-probabilities of the prompt within the first choice, as completions have them."""
    server.otherwise = lambda talk: talk.json(
        {"choices": [scored([(ord(talk.body["messages"][-1]["content"]), talk.body["messages"][-1]["content"], -0.1)])]}
    )
    assert outcome_of(engine, choices=("b", "a")).text == "a"
