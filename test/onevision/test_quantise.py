"""Quantised weights are for CUDA; elsewhere they are refused with a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from llava_ov_ros.onevision import load_engine


def test_a_cpu_is_told_why_not() -> None:
    with pytest.raises(ValueError, match=r"quantize is 'int8', but the device is cpu: quantised weights are for CUDA"):
        load_engine("rooms", device="cpu", quantize="int8")


def test_an_unknown_quantisation_is_refused() -> None:
    with pytest.raises(ValueError, match=r"quantize is 'int3': allowed are none, int8, int4"):
        load_engine("rooms", device="cpu", quantize="int3")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
@pytest.mark.parametrize("quantisation", ["int8", "int4"])
def test_a_quantised_model_answers(nano_directory: Path, make_clip: Any, quantisation: str) -> None:
    pytest.importorskip("torchao")
    plain = load_engine(str(nano_directory), device="cuda")
    small = load_engine(str(nano_directory), device="cuda", quantize=quantisation)
    first, second = (engine.answer([make_clip()], "Where?", max_new_tokens=8) for engine in (plain, small))
    assert len(second.token_ids) == 8
    assert second.probabilities != first.probabilities
