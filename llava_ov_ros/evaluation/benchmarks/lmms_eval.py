"""Registers the model `llava_ov_ros` with lmms-eval (entry point `lmms_eval.models` in setup.py)."""

from __future__ import annotations

from typing import Any

MODEL_ID = "llava_ov_ros"
_MODELS = "llava_ov_ros.evaluation.benchmarks.lmms_eval_models"


def manifests() -> list[Any]:
    """Return the model's ModelManifest for lmms-eval 0.7: the chat model, and the simple model for `--force_simple`."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return [
        ModelManifest(
            model_id=MODEL_ID,
            simple_class_path=f"{_MODELS}.SimpleModel",
            chat_class_path=f"{_MODELS}.ChatModel",
        )
    ]
