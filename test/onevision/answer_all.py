"""Run with one version of transformers: what loading and asking each checkpoint comes to, as JSON.

    python test/onevision/answer_all.py OVERLAY DIRECTORY...

Of a directory called or made of `rooms` (it has a chat_template.jinja), also the first logits, and how far those of
transformers' own `from_pretrained` are from them.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from llava_ov_ros.bench.plain_path import plain_inputs
from llava_ov_ros.frames import Clip, Frame
from llava_ov_ros.onevision import Ask, Engine, load_engine

QUESTION = "Is there a red mug?"


def clip() -> Clip:
    """Three pictures of noise."""
    rng = np.random.default_rng(0)
    return Clip(
        "camera", tuple(Frame("camera", i, "", rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)) for i in range(3))
    )


def beside_transformers(engine: Engine, directory: Path) -> dict[str, Any]:
    """First logits of the engine, and those of the model as transformers itself loads it."""
    seen = []

    def look(_: Any, logits: torch.Tensor) -> torch.Tensor:
        seen.append(logits.clone())
        return logits

    engine.answer_many([clip()], [Ask(QUESTION, 1, hook=look)])
    model, info = transformers.LlavaOnevisionForConditionalGeneration.from_pretrained(
        directory, torch_dtype=torch.float32, output_loading_info=True
    )
    with torch.inference_mode():
        theirs = model(**plain_inputs(engine, clip(), QUESTION)).logits[0, -1]
    missing = [name for name in info["missing_keys"] if "lm_head" not in name]
    return {"logits": seen[0].tolist(), "missing": missing, "apart": float((theirs - seen[0]).abs().max())}


def outcome(directory: Path) -> dict[str, Any]:
    """Tokens of an answer, or the error."""
    try:
        engine = load_engine(str(directory), device="cpu")
        tokens = engine.answer_many([clip()], [Ask(QUESTION, 8)])[0].token_ids
        more = beside_transformers(engine, directory) if (directory / "chat_template.jinja").exists() else {}
    except Exception as error:  # noqa: BLE001 - which errors there are is the question
        return {"error": f"{type(error).__name__}: {error}"}
    return {"tokens": tokens, **more}


def main() -> None:
    """Print a list with an object for each directory."""
    assert Path(transformers.__file__).is_relative_to(sys.argv[1]), f"this is {transformers.__file__}"
    logging.disable(logging.WARNING)
    print(json.dumps([outcome(Path(name)) for name in sys.argv[2:]]))


if __name__ == "__main__":
    main()
