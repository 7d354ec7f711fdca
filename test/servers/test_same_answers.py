"""Fresh questions of all kinds to `rooms` on a real vLLM and on this machine: the same texts, probabilities and plans.

`pytest -m servers test/servers/test_same_answers.py --questions 1000` asks more of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest
from fixtures.servers import VllmServer

from llava_ov_ros.asking import Ask, Generated, answers_in_order
from llava_ov_ros.evaluation.rooms.held_plans import PLAN_CATEGORIES, plan_question
from llava_ov_ros.evaluation.rooms.typed_questions import scene_question
from llava_ov_ros.frames import NS_PER_S, Clip, Frame
from llava_ov_ros.onevision import Engine, load_engine
from llava_ov_ros.planning import find_vocabulary, load_vocabulary
from llava_ov_ros.questions import find_prompts, load_prompts, shape
from llava_ov_ros.remote import RemoteEngine, RemoteSettings
from llava_ov_ros.rooms.room_questions import CATEGORIES, Question, questions
from llava_ov_ros.rooms.takes import make_take, pictures

WITHIN = 1e-3
"""Of probabilities."""
TIE = 1e-4
"""Two tokens whose probabilities differ by less may change places by rounding."""
LONGEST = 96


@pytest.fixture(scope="module")
def local() -> Engine:
    """The local engine in float32."""
    return load_engine("rooms", device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def remote(vllm_server: VllmServer) -> Iterator[RemoteEngine]:
    """The engine that asks the server, with the pixels that the local engine sees."""
    engine = RemoteEngine(vllm_server.url, RemoteSettings(image_px=96, image_format="png"))
    yield engine
    engine.close()


def rooms_with_questions(least: int) -> Iterator[tuple[str, Clip, list[Question]]]:
    """Clips of 1 to 8 frames, each with questions about it, until there are so many questions."""
    asked = number = 0
    while asked < least:
        seed = f"the same answers, {number}"
        random = Random(seed)
        take = make_take(random, (1, 2, 4, 8)[number % 4])
        shown = enumerate(pictures(take, random))
        clip = Clip("camera", tuple(Frame("camera", index * NS_PER_S, "", picture) for index, picture in shown))
        listed = questions(take, random)
        yield seed, clip, listed
        asked, number = asked + len(listed), number + 1


def numbers(answer: Generated) -> list[float]:
    """All probabilities of an answer."""
    end = [] if answer.end_probability is None else [answer.end_probability]
    return [*answer.probabilities, *end, *(choice.probability for choice in answer.choices)]


def is_tie(here: Generated, there: Generated) -> bool:
    """Whether two texts part at a step at which both tokens are as probable."""
    step = next(
        index
        for index, (one, other) in enumerate(zip((*here.token_ids, -1), (*there.token_ids, -1), strict=False))
        if one != other
    )
    ours, theirs = ([*one.probabilities, one.end_probability or 0.0] for one in (here, there))
    return abs(ours[step] - theirs[step]) < TIE


def test_the_server_gives_the_answers_of_this_machine(local, remote, pytestconfig):
    prompts = load_prompts(find_prompts("plain"))
    vocabulary = load_vocabulary(find_vocabulary("alfred"))
    seen: Counter[str] = Counter()
    ties, wrong, largest, asked = [], [], 0.0, 0
    for seed, clip, listed in rooms_with_questions(pytestconfig.getoption("--questions")):
        asks = []
        for question in listed:
            asks.append(Ask(question.text, LONGEST))
            if question.category in PLAN_CATEGORIES:
                held = plan_question(question, vocabulary, prompts, "constrained")
                asks.append(Ask(held.prompt, held.max_new_tokens, grammar=held.grammar))
            elif (typed := scene_question(question)) is not None:
                shaped = shape(typed, prompts)
                asks.append(Ask(shaped.prompt, shaped.max_new_tokens, choices=shaped.choices))
            seen.update([question.category])
        pair = (answers_in_order(engine, [clip], asks, mode="video") for engine in (local, remote))
        for ask, here, there in zip(asks, *pair, strict=True):
            assert there.prompt_tokens == here.prompt_tokens
            asked += 1
            told = f"{seed}: {ask.question!r}: {here.text!r} here, {there.text!r} there"
            if here.text != there.text:
                (ties if is_tie(here, there) else wrong).append(told)
                continue
            assert there.token_ids == here.token_ids
            largest = max(largest, *(abs(a - b) for a, b in zip(numbers(here), numbers(there), strict=True)))
    print(f"{seen.total()} questions, {asked} prompts; largest difference {largest:.2e}; ties: {ties}")
    assert wrong == []
    assert largest < WITHIN
    assert set(seen) == set(CATEGORIES)
