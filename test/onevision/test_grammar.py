"""Answers held to a grammar: nothing else can be said, nothing is cut off, and neighbours do not notice."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from llava_ov_ros.onevision import (
    Ask,
    Engine,
    EngineSettings,
    Generated,
    GrammarError,
    LogitHook,
    Sampling,
    load_engine,
)
from llava_ov_ros.onevision.grammar import Grammars
from llava_ov_ros.onevision.shapes import END_ID, VOCABULARY, widened
from llava_ov_ros.onevision.tokens import PromptTokenizer
from llava_ov_ros.planning import find_vocabulary, load_vocabulary, parse_line, step_grammar, whole_plan_grammar
from llava_ov_ros.planning.model.plan_grammar import plan_grammar
from llava_ov_ros.questions.prompts import find_prompts, load_prompts

THINGS = ["apple", "bowl", "butterknife", "cup", "egg", "knife", "mug", "pan", "plate", "potato", "soapbar", "tomato"]
PLACES = ["cabinet", "countertop", "desk", "desklamp", "fridge", "microwave", "shelf", "sinkbasin", "toiletpaperhanger"]
# "desk" begins "desklamp", and "knife" ends "butterknife".
ACTIONS = {
    "GotoLocation": [PLACES + THINGS],
    "PickupObject": [THINGS],
    "PutObject": [THINGS, PLACES],
    "HeatObject": [["apple", "cup", "egg"]],
    "SliceObject": [["apple", "tomato"]],
    "ToggleObject": [["desklamp"]],
    "Wait": [],
}
MAX_STEPS = 16
ENDING, INSTEAD = "NoOp", ("cannot tell", "DONE")
GRAMMAR = plan_grammar(ACTIONS, max_steps=MAX_STEPS, endings={ENDING: []}, instead=INSTEAD)
GENERATIONS = 1000


def steps_of(text: str) -> list[list[str]]:
    """The steps of a plan, read without the grammar; asserts that it is one."""
    steps = [step.split(" ") for step in text.split("; ")]
    if steps[-1] == [ENDING] and len(steps) > 1:
        steps.pop()
    assert 1 <= len(steps) <= MAX_STEPS, text
    for action, *arguments in steps:
        assert action in ACTIONS, text
        assert len(arguments) == len(ACTIONS[action]), text
        for argument, words in zip(arguments, ACTIONS[action], strict=True):
            assert argument in words, text
    return steps


def held(engine: Engine, question: str = "Plan?", **fields: Any) -> Ask:
    return Ask(question, GRAMMAR.max_new_tokens, hook=engine.grammar_hook(GRAMMAR.text), **fields)


def first(hook: LogitHook, change: Any) -> LogitHook:
    """A hook behind another change of the logits."""
    return lambda tokens, logits: hook(tokens, change(logits.clone()))


def seldom_ending(logits: torch.Tensor) -> torch.Tensor:
    """Random weights end an answer as soon as they may about every second time."""
    logits[END_ID] -= 3
    return logits


def test_a_thousand_sampled_plans_all_parse(nano: Engine, make_clip: Any, capsys: Any) -> None:
    clip = make_clip(frames=2)
    asks = []
    for seed in range(GENERATIONS):
        ask = held(nano, f"Goal {seed % 50}. Plan?", sampling=Sampling(temperature=1.0 + seed % 3, seed=seed))
        assert ask.hook is not None
        asks.append(dataclasses.replace(ask, hook=first(ask.hook, seldom_ending)))
    answers = nano.answer_many([clip], asks)
    assert len(answers) == GENERATIONS
    assert {answer.finish for answer in answers} == {"stop"}, "some were cut off"
    plans = [steps_of(answer.text) for answer in answers if answer.text not in INSTEAD]
    longest = max(len(answer.token_ids) for answer in answers)
    counts = [len(plan) for plan in plans]
    assert len({answer.text for answer in answers}) > GENERATIONS / 2
    assert {step[0] for plan in plans for step in plan} == set(ACTIONS)
    assert min(counts) == 1
    assert max(counts) > 4
    assert any(answer.text.endswith(f"; {ENDING}") for answer in answers)
    assert {answer.text for answer in answers} >= set(INSTEAD)
    with capsys.disabled():
        print(
            f"\n{GENERATIONS} plans held to the grammar: all parse, none cut off; up to {max(counts)} steps and "
            f"{longest} tokens of at most {GRAMMAR.max_new_tokens}"
        )


@pytest.mark.parametrize("name", ["alfred", "delivery"])
def test_plans_in_the_shipped_vocabularies(nano: Engine, make_clip: Any, name: str) -> None:
    vocabulary = load_vocabulary(find_vocabulary(name))
    words = {
        action.name: [vocabulary.choices(argument) for argument in action.arguments]
        for action in vocabulary.actions.values()
    }
    ends = {action.name for action in vocabulary.actions.values() if action.ends}
    grammar = plan_grammar(
        {action: of for action, of in words.items() if action not in ends},
        max_steps=vocabulary.max_steps,
        endings={action: words[action] for action in ends},
    )
    asks = [
        Ask("?", grammar.max_new_tokens, hook=nano.grammar_hook(grammar.text), sampling=Sampling(2.0, seed=seed))
        for seed in range(64)
    ]
    plans = [parse_line(answer.text, vocabulary) for answer in nano.answer_many([make_clip()], asks)]
    assert len({plan.line for plan in plans}) > 30


def never_ending(logits: torch.Tensor) -> torch.Tensor:
    logits[END_ID] = -1e4
    return logits


def test_a_model_that_never_ends_is_ended_after_the_last_step(nano: Engine, make_clip: Any) -> None:
    asks = [
        dataclasses.replace(ask, hook=first(ask.hook, never_ending))
        for ask in (held(nano, sampling=Sampling(temperature=1.0, seed=seed)) for seed in range(16))
        if ask.hook is not None
    ]
    for answer in nano.answer_many([make_clip()], asks):
        assert answer.finish == "stop"
        if answer.text not in INSTEAD:
            assert len(steps_of(answer.text)) == MAX_STEPS or answer.text.endswith(ENDING)


def test_the_budget_suffices_for_a_model_that_spells(nano: Engine, make_clip: Any) -> None:
    """One that takes single bytes where it can, and the longest words."""
    tokenizer = nano._state.checkpoint.tokenizer  # type: ignore[union-attr]
    single = torch.tensor([len(tokenizer.decode([token])) == 1 for token in range(VOCABULARY)])
    # No step begins so.
    single[tokenizer.encode_text(ENDING[0])] = False

    def spelling(logits: torch.Tensor) -> torch.Tensor:
        return torch.where(single, logits + 1e3, never_ending(logits))

    ask = held(nano)
    assert ask.hook is not None
    (answer,) = nano.answer_many([make_clip()], [dataclasses.replace(ask, hook=first(ask.hook, spelling))])
    assert answer.finish == "stop"
    assert len(steps_of(answer.text)) == MAX_STEPS
    plainly = len(tokenizer.encode_text(answer.text))
    assert plainly < len(answer.token_ids) < GRAMMAR.max_new_tokens


def test_caches_change_no_token(nano: Engine, nano_directory: Path, make_clip: Any) -> None:
    without = load_engine(str(nano_directory), device="cpu", settings=EngineSettings(0, 0, batch=3))
    for seed in range(6):
        clip = make_clip(frames=1 + seed % 3, seed=seed)
        asks = [f"Goal {number}. Plan?" for number in range(5)]
        warm = nano.answer_many([clip], [held(nano, question) for question in asks])
        again = nano.answer_many([clip], [held(nano, question) for question in asks])
        cold = without.answer_many([clip], [held(without, question) for question in asks])
        for one, two, three in zip(warm, again, cold, strict=True):
            assert one.token_ids == two.token_ids == three.token_ids
            assert one.text in INSTEAD or steps_of(one.text)


@pytest.mark.parametrize("static", [True, False])
def test_neighbours_do_not_notice(nano_directory: Path, make_clip: Any, static: bool) -> None:
    engine = load_engine(str(nano_directory), device="cpu", settings=EngineSettings(static_steps=static))
    clip = make_clip(seed=5)
    free = [Ask(f"What is {number}?", max_new_tokens=12) for number in range(4)]
    alone = [engine.answer_many([clip], [ask])[0] for ask in free]
    ours = [engine.answer_many([clip], [held(engine, f"Goal {number}.")])[0] for number in range(4)]
    mixed = [ask for pair in zip(free, (held(engine, f"Goal {n}.") for n in range(4)), strict=True) for ask in pair]
    together = engine.answer_many([clip], mixed)
    assert [answer.token_ids for answer in together[::2]] == [answer.token_ids for answer in alone]
    assert [answer.token_ids for answer in together[1::2]] == [answer.token_ids for answer in ours]
    for one, other in zip(together[::2], alone, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, rel=1e-4)


def test_it_streams_and_can_be_cancelled(nano: Engine, make_clip: Any) -> None:
    pieces: list[str] = []
    hook = first(nano.grammar_hook(GRAMMAR.text), never_ending)
    ask = Ask(
        "Plan?",
        GRAMMAR.max_new_tokens,
        pieces.append,
        lambda: "cancelled" if "; " in "".join(pieces) else None,
        Sampling(temperature=1.0, seed=11),
        hook,
    )
    (answer,) = nano.answer_many([make_clip()], [ask])
    assert answer.finish == "cancelled"
    assert answer.end_probability is None
    assert "".join(pieces) == answer.text
    assert steps_of(answer.text.partition("; ")[0])


def test_an_answer_that_is_begun_anew_is_the_same(nano_directory: Path, make_clip: Any) -> None:
    engine = load_engine(str(nano_directory), device="cpu")
    (expected,) = engine.answer_many([make_clip()], [held(engine)])
    inner = engine.grammar_hook(GRAMMAR.text)
    calls: list[int] = []

    def fails_at_first(tokens: Any, logits: torch.Tensor) -> torch.Tensor:
        changed = inner(tokens, logits)
        calls.append(len(tokens))
        if len(calls) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return changed

    (answer,) = engine.answer_many([make_clip()], [Ask("Plan?", GRAMMAR.max_new_tokens, hook=fails_at_first)])
    assert calls[:3] == [0, 0, 1]
    assert answer.token_ids == expected.token_ids


def allowed(hook: LogitHook, tokens: list[int], vocabulary: int = VOCABULARY) -> set[int]:
    logits = torch.arange(vocabulary, dtype=torch.float32)
    changed = hook(tokens, logits)
    kept = changed > -math.inf
    assert torch.equal(changed[kept], logits[kept]), "what is allowed keeps its logit"
    return set(kept.nonzero()[:, 0].tolist())


def test_the_mask_follows_from_the_tokens_alone(nano: Engine) -> None:
    tokenizer = nano._state.checkpoint.tokenizer  # type: ignore[union-attr]
    ids = [tokenizer.encode_text(text) for text in ("GotoLocation desk; Wait", "GotoLocation mug", "DONE", "Wait")]
    jumping = nano.grammar_hook(GRAMMAR.text)
    beginnings = [tokens[:count] for tokens in ids for count in range(len(tokens) + 1)]
    for tokens in [*beginnings, *reversed(beginnings), *beginnings[::2]]:
        assert allowed(jumping, tokens) == allowed(nano.grammar_hook(GRAMMAR.text), tokens)
    assert allowed(jumping, ids[2]) == {END_ID}
    assert END_ID in allowed(jumping, ids[0])
    assert END_ID not in allowed(jumping, ids[0][:-1])
    assert END_ID not in allowed(jumping, [])
    with pytest.raises(GrammarError, match="the answer so far begins no text of the grammar"):
        jumping([*ids[2], 5], torch.zeros(VOCABULARY))
    assert allowed(jumping, ids[2]) == {END_ID}, "it goes on after an error"


def test_places_without_a_token_and_all_end_tokens(rooms: Path) -> None:
    tokenizer, places = PromptTokenizer.from_file(rooms / "tokenizer.json"), VOCABULARY + 100
    other_end = tokenizer.control_id("<|endoftext|>")
    assert other_end is not None
    hook = Grammars(tokenizer, places, frozenset({END_ID, other_end})).hook('start: "ab" | "abc"')
    begin = allowed(hook, [], places)
    assert begin
    assert max(begin) < min(END_ID, other_end)
    assert allowed(hook, tokenizer.encode_text("ab"), places) == {*tokenizer.encode_text("c"), END_ID, other_end}
    assert allowed(hook, tokenizer.encode_text("abc"), places) == {END_ID, other_end}


def test_a_full_vocabulary(rooms: Path) -> None:
    """Tokens that span the borders of words, as a large vocabulary has them."""
    tokenizer = widened(rooms / "tokenizer.json", 151_936)
    hook = Grammars(tokenizer, 151_936, frozenset({END_ID})).hook(GRAMMAR.text)
    generator = torch.Generator().manual_seed(0)
    for _ in range(40):
        tokens: list[int] = []
        while True:
            choices = sorted(allowed(hook, tokens, 151_936))
            token = choices[int(torch.randint(len(choices), (), generator=generator))]
            if token == END_ID:
                break
            tokens.append(token)
        text = tokenizer.decode(tokens)
        assert text in INSTEAD or steps_of(text)
        assert len(tokens) < GRAMMAR.max_new_tokens


def test_marks_of_the_grammars_own_syntax_are_text(nano: Engine) -> None:
    actions = {
        'Say"': [["a\\b", "{1,2}", "/x/i", "a|b", "é#", "桌", "<|im_end|>"]],
        "Wait": [],
        "WaitFor": [["it"], ["x"]],
    }
    grammar = plan_grammar(actions, max_steps=2, endings={"%end": []}, instead=("no plan",))
    steps = [" ".join([name, *words]) for name, of in actions.items() for words in itertools.product(*of)]
    plans = [*steps, *("; ".join(pair) for pair in itertools.product(steps, repeat=2))]
    hook = nano.grammar_hook(grammar.text)
    for text in [*plans, *(f"{plan}; %end" for plan in plans), "no plan"]:
        tokens = nano._state.checkpoint.tokenizer.encode_text(text)  # type: ignore[union-attr]
        assert END_ID in allowed(hook, tokens), text


def test_the_grammar_is_exactly_the_plans(nano: Engine) -> None:
    """Every way through the tokens that are allowed ends at a plan, and every plan is reached."""
    grammar = plan_grammar({"Go": [["a", "ab"]], "Wait": []}, max_steps=2, endings={"End": []})
    hook = nano.grammar_hook(grammar.text)
    found: set[str] = set()

    def walk(tokens: list[int]) -> None:
        for token in allowed(hook, tokens):
            if token == END_ID:
                found.add(nano._state.checkpoint.tokenizer.decode(tokens))  # type: ignore[union-attr]
            else:
                walk([*tokens, token])

    walk([])
    steps = ["Go a", "Go ab", "Wait"]
    plans = [*steps, *(f"{one}; {two}" for one in steps for two in steps)]
    assert found == {*plans, *(f"{plan}; End" for plan in plans)}


def test_probabilities_are_those_among_what_is_allowed(nano: Engine, make_clip: Any) -> None:
    (only,) = nano.answer_many([make_clip()], [Ask("Say.", 9, hook=nano.grammar_hook('start: "Wait"'))])
    assert only.text == "Wait"
    assert only.probabilities == pytest.approx([1.0] * len(only.token_ids))
    assert only.end_probability == pytest.approx(1.0)
    assert only.confidence == pytest.approx(1.0), "no choice, no doubt"
    (either,) = nano.answer_many([make_clip()], [Ask("Say.", 9, hook=nano.grammar_hook('start: "a" | "b"'))])
    assert 0.5 <= either.probabilities[0] < 1


@pytest.mark.parametrize(
    ("grammar", "message"),
    [
        ("", "Empty grammar"),
        ("hello", "1(6): Expected token ':'"),
        ("start: foo", 'unknown name: "foo"'),
        ('start: "abc', "lexer error"),
        ("start: /a(/", "invalid regex"),
        ('begin: "a"', "start"),
    ],
)
def test_a_wrong_grammar_is_refused_with_the_place(nano: Engine, grammar: str, message: str) -> None:
    with pytest.raises(GrammarError, match=re.escape(message)):
        nano.grammar_hook(grammar)


def test_a_wrong_grammar_ends_its_own_question_only(nano: Engine, make_clip: Any) -> None:
    asks = [Ask("Plan?", 9), Ask("Plan?", 9, grammar='begin: "a"'), Ask("Plan?", 9)]
    ends = dict(nano.stream([make_clip()], asks))
    assert isinstance(ends[1], GrammarError)
    assert isinstance(ends[0], Generated) and isinstance(ends[2], Generated)
    assert ends[0].text == ends[2].text


def test_a_question_through_the_face_that_tasks_use(nano: Engine, make_clip: Any) -> None:
    ask = Ask("Plan?", GRAMMAR.max_new_tokens, grammar=GRAMMAR.text)
    (answer,) = nano.answer_many([make_clip()], [ask])
    assert answer.finish == "stop"
    assert answer.text in INSTEAD or steps_of(answer.text)


@pytest.mark.parametrize("name", ["alfred", "delivery"])
@pytest.mark.parametrize("prompts", ["plain", "llava_onevision"])
def test_what_the_node_asks_for_is_a_plan_or_one_step(nano: Engine, make_clip: Any, name: str, prompts: str) -> None:
    vocabulary, texts = load_vocabulary(find_vocabulary(name)), load_prompts(find_prompts(prompts))
    for grammar, longest in ((whole_plan_grammar(vocabulary, texts), None), (step_grammar(vocabulary, texts), 1)):
        asks = [
            Ask("?", grammar.max_new_tokens, hook=nano.grammar_hook(grammar.text), sampling=Sampling(2.0, seed=seed))
            for seed in range(128)
        ]
        said = {answer.text for answer in nano.answer_many([make_clip()], asks)}
        plans = [parse_line(text, vocabulary) for text in said - {texts.planning.done, texts.cannot_tell}]
        assert len(plans) > 5
        assert longest is None or {len(plan.steps) for plan in plans} == {longest}
