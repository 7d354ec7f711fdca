"""Lets vLLM 0.32 encode clips of different lengths at once, at which it ends without this.

vLLM encodes the clips that come at once, in one prompt or in several requests, together. If their numbers of frames
differ, LLaVA-OneVision's features come in three dimensions where the engine takes two, and the engine ends with all of
its requests. This removes the third, which has the size 1.

    PYTHONPATH=/where/this/file/is vllm serve MODEL --worker-extension-cls clips_of_any_length.ClipsOfAnyLength ...
"""

from __future__ import annotations

from typing import Any

from vllm.model_executor.models.llava_onevision import LlavaOnevisionForConditionalGeneration

_features = LlavaOnevisionForConditionalGeneration._process_video_pixels


def _features_of_each(self: LlavaOnevisionForConditionalGeneration, inputs: Any) -> list[Any]:
    """Features of each clip, (tokens, width)."""
    return [features.flatten(0, -2) for features in _features(self, inputs)]


LlavaOnevisionForConditionalGeneration._process_video_pixels = _features_of_each


class ClipsOfAnyLength:
    """Adds nothing to a worker of vLLM; as it is named, each worker imports this module before it loads the model."""
