"""What a real vLLM does with requests that are written by hand: the client relies on each of these facts."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from fixtures.chat import LIMIT_S, assistant, image, request, room_clip, text, user, video
from fixtures.servers import VllmServer
from fixtures.waiting import until

from llava_ov_ros.onevision import Ask, Engine, load_engine
from llava_ov_ros.planning.model.plan_grammar import plan_grammar

QUESTION = "Is there a mug on the desk?"
FRAME_TOKENS = 36
"""Of `rooms` in mode video."""
DEFAULT_FRAMES = 32
"""Frames of a clip that vLLM takes if nobody says otherwise."""
WITHIN = 1e-3
"""Of probabilities."""
LONG = 4000
"""Tokens of an answer that takes seconds."""


@pytest.fixture(scope="module")
def engine() -> Engine:
    """The local engine, with the same weights in the same precision."""
    return load_engine("rooms", device="cpu")


def post(server: VllmServer, *messages: dict[str, Any], **fields: Any) -> httpx.Response:
    body = request(server.model, messages, **fields)
    return httpx.post(f"{server.url}/chat/completions", json=body, timeout=LIMIT_S)


def complete(server: VllmServer, *messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    response = post(server, *messages, **fields)
    assert response.status_code == httpx.codes.OK, response.text
    answer: dict[str, Any] = response.json()
    return answer


def text_of(answer: dict[str, Any]) -> str:
    words: str = answer["choices"][0]["message"]["content"]
    return words


def prompt_tokens(answer: dict[str, Any]) -> int:
    count: int = answer["usage"]["prompt_tokens"]
    return count


@pytest.mark.parametrize("frames", [1, 4, 40])
def test_a_list_of_pictures_is_a_clip_of_all_its_frames(vllm_server, engine, frames):
    clip = room_clip("clip", frames)
    answer = complete(vllm_server, user(video(clip), text(QUESTION)))
    local = engine.answer([clip], QUESTION, max_new_tokens=32)
    assert prompt_tokens(answer) == local.prompt_tokens
    assert text_of(answer) == local.text


def test_a_longer_clip_is_cut_where_the_server_is_not_told_to_keep_it(default_vllm):
    counts = {
        frames: prompt_tokens(complete(default_vllm, user(video(room_clip("cut", frames)), text(QUESTION))))
        for frames in (DEFAULT_FRAMES - 1, DEFAULT_FRAMES, DEFAULT_FRAMES + 8)
    }
    assert counts[DEFAULT_FRAMES] == counts[DEFAULT_FRAMES - 1] + FRAME_TOKENS
    assert counts[DEFAULT_FRAMES + 8] == counts[DEFAULT_FRAMES]


def test_two_clips_and_earlier_turns_are_the_prompt_of_the_local_engine(vllm_server, engine):
    front, rear = room_clip("front", 2, "front"), room_clip("rear", 3, "rear")
    first = user(text("front:\n"), video(front), text("rear:\n"), video(rear), text("What is on the desk?"))
    answer = complete(vllm_server, first, assistant("a mug"), user(text("And on the shelf?")))
    ask = Ask("And on the shelf?", 32, history=(("What is on the desk?", "a mug"),))
    local = engine.answer_many([front, rear], [ask])[0]
    assert (prompt_tokens(answer), text_of(answer)) == (local.prompt_tokens, local.text)


def test_tokens_come_with_the_model_s_own_log_probabilities(vllm_server, engine):
    clip = room_clip("probable", 4)
    answer = complete(vllm_server, user(video(clip), text(QUESTION)), logprobs=True)
    local = engine.answer([clip], QUESTION, max_new_tokens=32)
    *tokens, end = answer["choices"][0]["logprobs"]["content"]
    assert end["token"] == "<|im_end|>"
    assert [math.exp(one["logprob"]) for one in tokens] == pytest.approx(local.probabilities, abs=WITHIN)
    assert math.exp(end["logprob"]) == pytest.approx(local.end_probability, abs=WITHIN)


def test_the_tokens_of_a_given_answer_are_the_last_of_the_prompt_s(vllm_server, engine):
    """So a choice is scored: log-probabilities of its tokens and of the end after it; the newline is the template's."""
    clip = room_clip("choice", 4)
    fields = {"prompt_logprobs": 0, "add_generation_prompt": False, "max_tokens": 1}
    choices = ("yes", "no")
    local = engine.answer_many([clip], [Ask(QUESTION, choices=choices)])[0]
    for words, choice in zip(choices, local.choices, strict=True):
        answer = complete(vllm_server, user(video(clip), text(QUESTION)), assistant(words), **fields)
        entries = answer["prompt_logprobs"]
        assert len(entries) == prompt_tokens(answer)
        # The prompt's own, the answer's one, the end, and the newline.
        assert len(entries) == local.prompt_tokens + 3
        assert entries[0] is None
        last = [next(iter(one.values())) for one in entries[-3:]]
        assert [one["decoded_token"] for one in last] == [words, "<|im_end|>", "\n"]
        assert sum(one["logprob"] for one in last[:2]) == pytest.approx(choice.log_probability, abs=WITHIN)


def test_a_grammar_of_plans_holds_the_text(vllm_server, engine):
    grammar = plan_grammar(
        {"GotoLocation": [["desk", "shelf", "fridge"]], "PickupObject": [["mug", "apple"]]},
        max_steps=4,
        endings={"NoOp": []},
        instead=("DONE",),
    )
    clip = room_clip("plan", 4)
    # Nothing in this question asks for a plan.
    free = text_of(complete(vllm_server, user(video(clip), text(QUESTION))))
    held = complete(
        vllm_server,
        user(video(clip), text(QUESTION)),
        structured_outputs={"grammar": grammar.text},
        max_tokens=grammar.max_new_tokens,
        logprobs=True,
    )
    step = r"(GotoLocation (desk|shelf|fridge)|PickupObject (mug|apple))"
    plan = rf"{step}(; {step}){{0,3}}(; NoOp)?|DONE"
    assert not re.fullmatch(plan, free)
    assert re.fullmatch(plan, text_of(held))
    assert held["choices"][0]["finish_reason"] == "stop"
    local = engine.answer_many([clip], [Ask(QUESTION, 99, hook=engine.grammar_hook(grammar.text))])[0]
    assert text_of(held) == local.text


def test_a_grammar_that_is_none_is_refused_with_the_reason(vllm_server):
    response = post(vllm_server, user(text("Plan?")), structured_outputs={"grammar": 'start: ("a"'})
    assert response.status_code == httpx.codes.BAD_REQUEST
    assert "Grammar error" in response.json()["error"]["message"]


def test_one_picture_is_mode_image_and_two_are_not_mode_multi_image(vllm_server, engine):
    """VLLM tiles every picture, also where the original code pads several to squares."""
    clip = room_clip("pictures", 2)
    newest = clip.frames[-1]
    one = complete(vllm_server, user(image(newest), text(QUESTION)))
    local = engine.answer([type(clip)("camera", (newest,))], QUESTION, mode="image", max_new_tokens=32)
    assert (prompt_tokens(one), text_of(one)) == (local.prompt_tokens, local.text)
    two = complete(vllm_server, user(*map(image, clip.frames), text(QUESTION)))
    padded = engine.answer([clip], QUESTION, mode="multi_image", max_new_tokens=32).prompt_tokens
    tiles = prompt_tokens(one) - len(engine.prompt_ids([clip], Ask(QUESTION), "image")) + 1
    assert prompt_tokens(two) != padded
    assert prompt_tokens(two) > 2 * tiles


def pieces(server: VllmServer, **fields: Any) -> Iterator[dict[str, Any]]:
    """Answers of a stream, one at a time; leaving the iterator closes the connection."""
    body = request(server.model, [user(text("Say something."))], stream=True, **fields)
    with httpx.stream("POST", f"{server.url}/chat/completions", json=body, timeout=LIMIT_S) as response:
        assert response.status_code == httpx.codes.OK, response.read()
        for line in response.iter_lines():
            if line.startswith("data: {"):
                yield json.loads(line.removeprefix("data: "))


def test_a_closed_connection_ends_the_answer(vllm_server):
    aborted, finished, generated = vllm_server.aborted(), vllm_server.finished(), vllm_server.generated()
    stream = pieces(vllm_server, max_tokens=LONG, ignore_eos=True)
    for piece in stream:
        if piece["choices"][0]["delta"].get("content"):
            break
    assert vllm_server.running() == 1
    stream.close()
    until(lambda: vllm_server.aborted() == aborted + 1, "the server notes that the request was aborted")
    until(lambda: vllm_server.running() == 0, "the server does nothing")
    assert vllm_server.finished() == finished
    assert vllm_server.generated() < generated + LONG


def test_a_server_that_is_paused_keeps_the_connection_and_goes_on(vllm_server):
    stream = pieces(vllm_server, max_tokens=400, ignore_eos=True)
    next(stream)
    vllm_server.pause()
    try:
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(vllm_server.url.removesuffix("/v1") + "/health", timeout=0.5)
    finally:
        vllm_server.resume()
    last = [piece for piece in stream if piece["choices"]][-1]
    assert last["choices"][0]["finish_reason"] == "length"


def test_a_killed_server_breaks_the_stream_and_starts_again_on_its_port(default_vllm):
    stream = pieces(default_vllm, max_tokens=LONG, ignore_eos=True)
    next(stream)
    default_vllm.kill()
    with pytest.raises(httpx.RemoteProtocolError):
        list(stream)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{default_vllm.url}/models", timeout=LIMIT_S)
    default_vllm.start()
    assert text_of(complete(default_vllm, user(video(room_clip("again", 2)), text(QUESTION))))


def test_requests_about_clips_of_different_lengths_at_once_are_answered_as_if_alone(vllm_server):
    clips = [room_clip(f"alone {frames}", frames) for frames in range(1, 9)]

    def ask(clip):
        answer = complete(vllm_server, user(video(clip), text(QUESTION)), logprobs=True)
        return prompt_tokens(answer), text_of(answer)

    with ThreadPoolExecutor(len(clips)) as pool:
        together = list(pool.map(ask, clips))
    assert together == [ask(clip) for clip in clips]


def test_clips_of_different_lengths_end_a_server_without_the_shipped_extension(default_vllm):
    """Once this fails, vLLM needs config/servers/clips_of_any_length.py no more."""
    response = post(default_vllm, user(video(room_clip("two", 2)), video(room_clip("three", 3)), text(QUESTION)))
    assert response.status_code == httpx.codes.INTERNAL_SERVER_ERROR
    assert default_vllm.runs[-1].ended.wait(LIMIT_S)
    assert "Expected multimodal embeddings to be a sequence of 2D tensors" in default_vllm.log.read_text()
