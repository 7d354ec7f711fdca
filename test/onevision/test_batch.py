"""Several questions at once: each streams, stops and samples by itself, as if it were alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from llava_ov_ros.onevision import Ask, Engine, Generated, Sampling, decoding, scoring
from llava_ov_ros.onevision.batches import SHORT_TOKENS


def test_each_answer_is_that_of_the_question_alone(nano: Engine, make_clip: Any) -> None:
    clip = make_clip(frames=3, seed=4)
    asks = [Ask(f"Question {'very ' * n}long?", max_new_tokens=3 + 4 * n) for n in range(5)]
    together = nano.answer_many([clip], asks)
    for ask, answer in zip(asks, together, strict=True):
        alone = nano.answer_many([clip], [ask])[0]
        assert alone.token_ids == answer.token_ids
        assert alone.probabilities == pytest.approx(answer.probabilities, rel=1e-4)
        assert len(answer.token_ids) == ask.max_new_tokens


def test_answers_come_as_they_end(nano: Engine, make_clip: Any) -> None:
    asks = [Ask("Long?", max_new_tokens=20), Ask("Short?", max_new_tokens=2), Ask("Middle?", max_new_tokens=9)]
    assert [number for number, _ in nano.stream([make_clip()], asks)] == [1, 2, 0]


def test_one_is_cancelled_and_the_others_go_on(nano: Engine, make_clip: Any) -> None:
    pieces: dict[int, list[str]] = {0: [], 1: []}
    asks = [
        Ask("One?", max_new_tokens=30, on_text=pieces[0].append),
        Ask(
            "Two?",
            max_new_tokens=30,
            on_text=pieces[1].append,
            should_stop=lambda: "cancelled" if len(pieces[1]) >= 3 else None,
        ),
        Ask("Never wanted?", should_stop=lambda: "deadline"),
    ]
    first, second, third = nano.answer_many([make_clip()], asks)
    assert (first.finish, second.finish, third.finish) == ("length", "cancelled", "deadline")
    assert len(first.token_ids) == 30
    assert 3 <= len(second.token_ids) < 30
    assert third.token_ids == ()
    assert "".join(pieces[0]) == first.text
    assert "".join(pieces[1]) == second.text


def test_more_questions_than_the_batch_are_all_answered(nano: Engine, make_clip: Any) -> None:
    asks = [Ask(f"Question {n}?", max_new_tokens=2) for n in range(37)]
    answers = nano.answer_many([make_clip()], asks)
    assert len(answers) == 37
    assert answers[36].token_ids == nano.answer_many([make_clip()], [asks[36]])[0].token_ids


def test_one_prompt_that_is_too_long_does_not_hurt_the_others(nano: Engine, make_clip: Any) -> None:
    asks = [Ask("Short?", max_new_tokens=4), Ask("Long?", max_new_tokens=40_000)]
    outcomes = dict(nano.stream([make_clip()], asks))
    assert isinstance(outcomes[1], ValueError)
    assert "40000" in str(outcomes[1])
    assert outcomes[0].finish == "length"  # type: ignore[union-attr]


def test_a_seed_gives_the_same_answer_whatever_else_is_asked(nano: Engine, make_clip: Any) -> None:
    def ask(seed: int) -> Ask:
        return Ask("Tell me.", max_new_tokens=12, sampling=Sampling(temperature=1.0, top_p=0.9, seed=seed))

    alone = nano.answer_many([make_clip()], [ask(7)])[0]
    greedy, among, other = nano.answer_many([make_clip()], [Ask("Tell me.", max_new_tokens=12), ask(7), ask(8)])
    assert alone.token_ids == among.token_ids
    assert len({alone.token_ids, other.token_ids, greedy.token_ids}) == 3


def test_a_tiny_top_p_is_greedy(nano: Engine, make_clip: Any) -> None:
    sampled = Ask("Tell me.", max_new_tokens=12, sampling=Sampling(temperature=1.5, top_p=1e-6, seed=1))
    greedy = Ask("Tell me.", max_new_tokens=12)
    first, second = nano.answer_many([make_clip()], [sampled, greedy])
    assert first.token_ids == second.token_ids


@pytest.mark.parametrize(("field", "value"), [("temperature", -1.0), ("top_p", 0.0), ("top_p", 1.5)])
def test_impossible_sampling_is_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        Sampling(**{field: value})


def test_a_hook_decides_what_may_be_said(nano: Engine, make_clip: Any) -> None:
    allowed = [5, 6, 7]
    lengths: list[int] = []

    def only_allowed(tokens: Any, logits: torch.Tensor) -> torch.Tensor:
        lengths.append(len(tokens))
        masked = torch.full_like(logits, float("-inf"))
        masked[allowed] = logits[allowed]
        return masked

    free, bound = nano.answer_many(
        [make_clip()], [Ask("Say.", max_new_tokens=9), Ask("Say.", max_new_tokens=9, hook=only_allowed)]
    )
    assert set(bound.token_ids) <= set(allowed)
    assert not set(free.token_ids) <= set(allowed)
    assert lengths == list(range(9))
    assert bound.confidence > free.confidence, "probabilities are those among the allowed tokens"


def test_earlier_turns_are_part_of_the_prompt(nano: Engine, make_clip: Any) -> None:
    clip = make_clip()
    plain, later = nano.answer_many(
        [clip],
        [
            Ask("And now?", max_new_tokens=6),
            Ask("And now?", max_new_tokens=6, history=(("Where is it?", "on the table"),)),
        ],
    )
    ids = nano.prompt_ids([clip], Ask("And now?", history=(("Where is it?", "on the table"),)), "video")
    text = nano._state.checkpoint.tokenizer.decode([i for i in ids if i is not None])
    assert text.index("Where is it?") < text.index("on the table") < text.index("And now?")
    assert ids.count(None) == 1
    assert later.prompt_tokens > plain.prompt_tokens
    assert later.token_ids != plain.token_ids


def test_a_long_text_is_prefilled_apart_from_short_ones(nano: Any, make_clip: Any, monkeypatch: Any) -> None:
    """Rows of a batch are as long as its longest: a long text must not make the others as dear."""
    prefilled: list[list[int]] = []
    first_logits = decoding.first_logits

    def note(model: Any, prefix: Any, suffixes: Any, *more: Any) -> Any:
        prefilled.append([len(suffix) for suffix in suffixes])
        return first_logits(model, prefix, suffixes, *more)

    monkeypatch.setattr(decoding, "first_logits", note)
    monkeypatch.setattr(scoring, "first_logits", note)
    short = [Ask(f"Question {number}?", max_new_tokens=1) for number in range(6)]
    long = [Ask("Where is it? " * 300, max_new_tokens=1), Ask("What is it? " * 300, max_new_tokens=1)]
    listed = [Ask("Which? " * 300, choices=("a", "b")), Ask("Which?", choices=("a", "b"))]
    outcomes = dict(nano.stream([make_clip()], [*long, *short, *listed]))
    assert sorted(outcomes) == list(range(10))
    assert all(isinstance(outcome, Generated) for outcome in outcomes.values())
    assert sum(map(len, prefilled)) == 10
    assert all(len({length <= SHORT_TOKENS for length in lengths}) == 1 for lengths in prefilled), prefilled
    assert all(len(lengths) * max(lengths) <= 16 * SHORT_TOKENS for lengths in prefilled), prefilled
