"""The plain path: transformers' own `generate` on the same weights, the other side of every comparison."""

from __future__ import annotations

import time
from typing import Any

import torch

from ..asking import Ask
from ..frames import Clip
from ..onevision.engine import Engine
from ..onevision.pixels import normalised, squashed


class TokenTimes:
    """A streamer for `generate` that notes the time of each token."""

    def __init__(self) -> None:
        self.at_s: list[float] = []

    def put(self, value: torch.Tensor) -> None:
        """Called by `generate` with the prompt first, then with each token."""
        self.at_s.append(time.perf_counter())

    def end(self) -> None:
        """Called by `generate` at the end."""


def plain_inputs(engine: Engine, clip: Clip, question: str) -> dict[str, Any]:
    """Return the inputs of `generate`; pixels are prepared in advance, so that only the model's work is compared."""
    model = engine.transformers_model
    config = model.config
    size = config.vision_config.image_size
    weight = model.lm_head.weight
    pixels = normalised(torch.cat([squashed(frame.rgb, size) for frame in clip.frames]).to(weight.device), weight.dtype)
    side = -(-(size // config.vision_config.patch_size) // 2)
    visual = [config.video_token_index] * (len(clip.frames) * side**2 + 1)
    ids = [i for found in engine.prompt_ids([clip], Ask(question)) for i in (visual if found is None else [found])]
    tokens = torch.tensor([ids], device=weight.device)
    return {"input_ids": tokens, "attention_mask": torch.ones_like(tokens), "pixel_values_videos": pixels[None]}


def plain_generate(engine: Engine, inputs: dict[str, Any], count: int, streamer: TokenTimes | None = None) -> list[int]:
    """Return the tokens of transformers' greedy `generate`."""
    with torch.inference_mode():
        sequence = engine.transformers_model.generate(
            **inputs, do_sample=False, max_new_tokens=count, pad_token_id=0, streamer=streamer
        )
    tokens: list[int] = sequence[0, inputs["input_ids"].shape[1] :].tolist()
    return tokens
