"""Answers chosen among given ones: their probabilities are the model's own, whatever the order and the company."""

from __future__ import annotations

import dataclasses
import math
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.normalizers import NFC

from llava_ov_ros.ask_error import AskError
from llava_ov_ros.bench.plain_path import plain_inputs
from llava_ov_ros.evaluation.rooms.accuracy import trials
from llava_ov_ros.frames import Clip, Frame
from llava_ov_ros.onevision import Ask, Engine, EngineSettings, Generated, Sampling, load_engine
from llava_ov_ros.onevision.shapes import END_ID
from llava_ov_ros.onevision.tokens import PromptTokenizer

CHOICES = ("yes", "no", "the red mug on the countertop", "cannot tell", "3", "从左到右", "n")
TOLERANCE = 1e-4


def logs(answer: Generated) -> dict[str, float]:
    return {choice.text: choice.log_probability for choice in answer.choices}


def teacher_forced(engine: Engine, clip: Any, question: str, choice: str) -> float:
    """The logarithm of a choice's probability by transformers, its end included."""
    inputs = plain_inputs(engine, clip, question)
    answer = [*engine._state.checkpoint.tokenizer.encode_text(choice), END_ID]  # type: ignore[union-attr]
    ids = torch.cat([inputs["input_ids"], torch.tensor([answer])], dim=1)
    with torch.inference_mode():
        logits = engine.transformers_model(
            input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values_videos=inputs["pixel_values_videos"]
        ).logits[0, -len(answer) - 1 : -1]
    return float(logits.log_softmax(-1)[range(len(answer)), answer].sum())


def generated(engine: Engine, clips: Any, ask: Ask, choice: str, mode: str) -> float:
    """The same by generation whose tokens are forced, step by step."""
    answer = [*engine._state.checkpoint.tokenizer.encode_text(choice), END_ID]  # type: ignore[union-attr]
    found: list[float] = []

    def force(tokens: Any, logits: torch.Tensor) -> torch.Tensor:
        wanted = answer[len(tokens)]
        found.append(float(logits.log_softmax(-1)[wanted]))
        return torch.full_like(logits, -math.inf).index_fill(0, torch.tensor([wanted]), 0.0)

    forced = dataclasses.replace(ask, choices=None, hook=force, max_new_tokens=len(answer))
    (said,) = engine.answer_many(clips, [forced], mode=mode)
    assert said.finish == "stop"
    return math.fsum(found)


@pytest.mark.parametrize("frames", [1, 4])
def test_probabilities_are_those_of_transformers(nano: Engine, make_clip: Any, frames: int) -> None:
    clip = make_clip(frames=frames, seed=frames)
    questions = ["Is there a mug?", "What colour is it, and where does it stand?", "How many?"]
    answers = nano.answer_many([clip], [Ask(question, choices=CHOICES) for question in questions])
    for question, answer in zip(questions, answers, strict=True):
        for choice, found in logs(answer).items():
            assert found == pytest.approx(teacher_forced(nano, clip, question, choice), abs=TOLERANCE)
        weights = {text: math.exp(value) for text, value in logs(answer).items()}
        for choice in answer.choices:
            assert choice.probability == pytest.approx(weights[choice.text] / sum(weights.values()), rel=1e-9)
        assert math.fsum(choice.probability for choice in answer.choices) == pytest.approx(1, abs=1e-12)
        assert answer.text == max(weights, key=weights.__getitem__)
        assert answer.confidence == max(choice.probability for choice in answer.choices)
        assert [choice.text for choice in answer.choices] == list(CHOICES), "in the order in which they were given"


@pytest.mark.parametrize("mode", ["video", "multi_image", "image"])
@pytest.mark.parametrize("history", [(), (("Where is it?", "on the table"),)])
def test_all_modes_and_histories(nano: Engine, make_clip: Any, mode: str, history: Any) -> None:
    clips = [make_clip("front", 3)] if mode == "image" else [make_clip("front", 3), make_clip("rear", 2, seed=1)]
    ask = Ask("And now?", choices=CHOICES[:4], history=history)
    (answer,) = nano.answer_many(clips, [ask], mode=mode)
    for choice, found in logs(answer).items():
        assert found == pytest.approx(generated(nano, clips, ask, choice, mode), abs=TOLERANCE)
    assert (
        answer.prompt_tokens
        == nano.answer_many(clips, [dataclasses.replace(ask, choices=None)], mode=mode)[0].prompt_tokens
    )


def test_the_chosen_answer_is_as_a_generated_one(nano: Engine, make_clip: Any) -> None:
    (answer,) = nano.answer_many([make_clip()], [Ask("Where?", choices=CHOICES)])
    assert answer.finish == "stop"
    assert answer.token_ids == tuple(nano._state.checkpoint.tokenizer.encode_text(answer.text))  # type: ignore[union-attr]
    assert len(answer.probabilities) == len(answer.token_ids)
    assert answer.end_probability is not None
    total = math.fsum(answer.log_probabilities) + math.log(answer.end_probability)
    assert total == pytest.approx(logs(answer)[answer.text], abs=1e-6)
    assert answer.total_s >= answer.time_to_first_token_s > 0
    assert answer.clips[0].frames == make_clip().frames or len(answer.clips[0].frames) == 3


def test_the_order_changes_no_bit(nano: Engine, make_clip: Any) -> None:
    clip = make_clip(seed=7)
    questions = [f"Question {'very ' * (number % 4)}{number}?" for number in range(21)]
    shuffled = random.Random(3)
    answers = nano.answer_many([clip], [Ask(question, choices=CHOICES) for question in questions])
    expected = dict(zip(questions, answers, strict=True))
    for _ in range(4):
        order = shuffled.sample(questions, len(questions))
        asks = [Ask(question, choices=tuple(shuffled.sample(CHOICES, len(CHOICES)))) for question in order]
        for question, answer in zip(order, nano.answer_many([clip], asks), strict=True):
            assert logs(answer) == logs(expected[question])
            assert answer.text == expected[question].text


def test_company_and_batches_change_nothing_to_speak_of(nano: Engine, nano_directory: Path, make_clip: Any) -> None:
    clip = make_clip(seed=8)
    many = tuple(f"place {number}" for number in range(40))
    asks = [Ask(f"Question {number}?", choices=many if number % 2 else CHOICES) for number in range(5)]
    together = nano.answer_many([clip], asks)
    small = load_engine(str(nano_directory), device="cpu", settings=EngineSettings(0, 0, batch=3))
    for ask, answer, other in zip(asks, together, small.answer_many([clip], asks), strict=True):
        (alone,) = nano.answer_many([clip], [ask])
        assert logs(answer) == pytest.approx(logs(alone), abs=TOLERANCE)
        assert logs(answer) == pytest.approx(logs(other), abs=TOLERANCE)
        assert answer.text == alone.text == other.text


def test_a_free_answer_of_the_trained_model_has_its_own_probability() -> None:
    engine = load_engine("rooms", device="cpu")
    sure = 0
    for trial in trials(seed=5, each=6, categories=("colour", "presence", "counting", "where")):
        frames = tuple(Frame("camera", n * 10**9, "optical", rgb) for n, rgb in enumerate(trial.frames()))
        clip = Clip("camera", frames)
        free = engine.answer_many([clip], [Ask(question.text) for question in trial.asked])
        others = [({"red", "two", "on the desk", "no"} - {said.text}) for said in free]
        asks = [
            Ask(question.text, choices=(*other, said.text))
            for question, other, said in zip(trial.asked, others, free, strict=True)
        ]
        for said, chosen in zip(free, engine.answer_many([clip], asks), strict=True):
            assert said.finish == "stop"
            assert said.end_probability is not None
            total = math.fsum(said.log_probabilities) + math.log(said.end_probability)
            assert logs(chosen)[said.text] == pytest.approx(total, abs=TOLERANCE)
            if math.exp(total) > 0.5:
                sure += 1
                assert chosen.text == said.text
                assert chosen.token_ids == said.token_ids
    assert sure > 5


def test_nothing_of_the_clip_is_computed_again(nano: Engine, make_clip: Any) -> None:
    clip = make_clip(frames=5, seed=9)
    while nano.prepare([clip]):
        pass
    asks = [Ask("One?", choices=("yes", "no")), Ask("And two?", choices=("yes", "no", "maybe"))]
    before = nano.counters()
    answers = nano.answer_many([clip], asks)
    after = nano.counters()
    assert after.prefix_tokens == before.prefix_tokens
    assert after.frames_encoded == before.frames_encoded
    assert after.decoded_tokens == before.decoded_tokens
    own = sum(answer.prompt_tokens for answer in answers) - 2 * nano.prefix_length([clip])
    encode = nano._state.checkpoint.tokenizer.encode_text  # type: ignore[union-attr]
    choices = sum(len(encode(choice)) for ask in asks for choice in ask.choices or ())
    assert after.suffix_tokens - before.suffix_tokens == own + choices, "each question once, each choice once"


def test_free_and_listed_questions_together(nano: Engine, make_clip: Any) -> None:
    pieces: list[str] = []
    asks = [
        Ask("Free?", max_new_tokens=5),
        Ask("Listed?", on_text=pieces.append, choices=("yes", "no")),
        Ask("Unwanted?", should_stop=lambda: "cancelled", choices=("yes", "no")),
        Ask("Too long?" * 9000, choices=("yes", "no")),
        Ask("Free too?", max_new_tokens=3),
    ]
    outcomes = dict(nano.stream([make_clip()], asks))
    assert sorted(outcomes) == [0, 1, 2, 3, 4]
    assert isinstance(outcomes[3], AskError)
    assert "the answer up to 1, the model's context is 32768: shorten the question" in str(outcomes[3])
    free, listed, unwanted = (outcomes[number] for number in range(3))
    assert isinstance(free, Generated)
    assert isinstance(listed, Generated)
    assert isinstance(unwanted, Generated)
    assert free.token_ids == nano.answer_many([make_clip()], [asks[0]])[0].token_ids
    assert free.choices == ()
    assert listed.text in ("yes", "no")
    assert pieces == [], "nothing is streamed"
    assert (unwanted.finish, unwanted.text, unwanted.choices) == ("cancelled", "", ())


def test_whose_time_is_up_while_long_texts_are_read_does_not_wait_for_them(nano: Engine, make_clip: Any) -> None:
    read = 0
    tokenizer = nano._state.checkpoint.tokenizer  # type: ignore[union-attr]
    encode = tokenizer.encode

    def count(segments: Any) -> Any:
        nonlocal read
        read += any("Long" in getattr(segment, "text", "") for segment in segments)
        return encode(segments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenizer, "encode", count)
        asks = [Ask(f"Long {i}?", should_stop=lambda: "deadline" if read >= 3 else None) for i in range(10)]
        outcomes = dict(nano.stream([make_clip()], asks))
    assert read == 3, "each text once, and none when the time is up"
    assert {outcome.finish for outcome in outcomes.values()} == {"deadline"}  # type: ignore[union-attr]


def test_later_batches_are_not_computed_when_nobody_wants_them(nano: Engine, make_clip: Any) -> None:
    ended: list[int] = []
    asks = [
        Ask(f"Question {number:02}?", should_stop=lambda: "deadline" if ended else None, choices=("yes", "no"))
        for number in range(40)
    ]
    for number, outcome in nano.stream([make_clip()], asks):
        assert isinstance(outcome, Generated)
        assert outcome.finish == ("stop" if number < 16 else "deadline")
        ended.append(number)
    assert sorted(ended) == list(range(40))


def test_a_tie_is_decided_by_the_text(make_clip: Any, nano_directory: Path, tmp_path: Path, changed: Any) -> None:
    def equal(tensors: dict[str, torch.Tensor]) -> None:
        (head,) = (tensor for name, tensor in tensors.items() if name.endswith("lm_head.weight"))
        head.zero_()

    directory = changed(Path(shutil.copytree(nano_directory, tmp_path / "model")), equal)
    engine = load_engine(str(directory), device="cpu")
    for choices in (("b", "a", "c"), ("c", "b", "a")):
        (answer,) = engine.answer_many([make_clip()], [Ask("Which?", choices=choices)])
        assert answer.text == "a"
        assert [choice.probability for choice in answer.choices] == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"choices": ()}, "choices is empty"),
        ({"choices": ("yes", "no", "yes")}, "choice 3 is 'yes', which is there already"),
        ({"choices": ("yes", " ")}, "choice 2 is ' '"),
        ({"choices": ("yes",), "hook": lambda tokens, logits: logits}, "neither a grammar, a hook nor a temperature"),
        ({"choices": ("yes",), "sampling": Sampling(temperature=0.5)}, "neither a grammar, a hook nor a temperature"),
    ],
)
def test_choices_that_cannot_be(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Ask("Which?", **fields)


def test_choices_that_are_one_text_to_the_tokenizer(nano: Engine, nano_directory: Path, make_clip: Any) -> None:
    composing = Tokenizer.from_file(str(nano_directory / "tokenizer.json"))
    composing.normalizer = NFC()
    checkpoint = nano._state.checkpoint  # type: ignore[union-attr]
    engine = Engine(dataclasses.replace(checkpoint, tokenizer=PromptTokenizer(composing)))
    outcomes = dict(engine.stream([make_clip()], [Ask("Who?", choices=("caf\u00e9", "cafe\u0301")), Ask("Free?", 2)]))
    assert isinstance(outcomes[0], ValueError)
    assert "the same text to the tokenizer" in str(outcomes[0])
    assert isinstance(outcomes[1], Generated)
