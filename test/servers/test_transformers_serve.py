"""What `transformers serve` does with requests that are written by hand: one picture, several, and what it cannot."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fixtures.chat import LIMIT_S, image, request, room_clip, text, user, video
from fixtures.servers import ModelServer

from llava_ov_ros.frames import Clip
from llava_ov_ros.onevision import Engine, load_engine

QUESTION = "Is there a mug on the desk?"


@pytest.fixture(scope="module")
def engine() -> Engine:
    """The local engine, with the same weights in the same precision."""
    return load_engine("rooms", device="cpu")


def post(server: ModelServer, *parts: dict[str, Any], **fields: Any) -> httpx.Response:
    body = request(server.model, [user(*parts)], **fields)
    return httpx.post(f"{server.url}/chat/completions", json=body, timeout=LIMIT_S)


def answer_of(response: httpx.Response) -> tuple[int, str]:
    """Tokens of the prompt, and the text."""
    assert response.status_code == httpx.codes.OK, response.text
    answer = response.json()
    return answer["usage"]["prompt_tokens"], answer["choices"][0]["message"]["content"]


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (1280, 720)])
def test_one_picture_is_mode_image(transformers_server, engine, size):
    newest = room_clip("picture", 1, size=size).frames[0]
    local = engine.answer([Clip("camera", (newest,))], QUESTION, mode="image", max_new_tokens=32)
    assert answer_of(post(transformers_server, image(newest), text(QUESTION))) == (local.prompt_tokens, local.text)


def test_several_pictures_have_the_tokens_of_mode_multi_image(transformers_server, engine):
    clip = room_clip("pictures", 2)
    local = engine.answer([clip], QUESTION, mode="multi_image", max_new_tokens=32)
    tokens, _ = answer_of(post(transformers_server, *map(image, clip.frames), text(QUESTION)))
    assert tokens == local.prompt_tokens


def test_a_clip_is_an_error_of_the_server(transformers_server):
    response = post(transformers_server, video(room_clip("clip", 2)), text(QUESTION))
    assert response.status_code == httpx.codes.INTERNAL_SERVER_ERROR


@pytest.mark.parametrize(
    "field",
    [{"prompt_logprobs": 0}, {"structured_outputs": {"grammar": 'start: "a"'}}, {"add_generation_prompt": True}],
)
def test_fields_of_vllm_are_refused_by_name(transformers_server, field):
    response = post(transformers_server, text(QUESTION), **field)
    assert response.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert next(iter(field)) in response.text


def test_log_probabilities_are_left_out_in_silence(transformers_server):
    response = post(transformers_server, text(QUESTION), logprobs=True)
    assert response.status_code == httpx.codes.OK
    assert not response.json()["choices"][0].get("logprobs")


def test_the_list_of_models_fails_where_no_cache_of_the_hub_is(transformers_server):
    assert httpx.get(f"{transformers_server.url}/models", timeout=LIMIT_S).status_code == 500
    assert httpx.get(transformers_server.url.removesuffix("/v1") + "/health", timeout=LIMIT_S).status_code == 200
