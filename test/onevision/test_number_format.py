"""What `dtype: auto` is: the CPU's instructions and the model's size decide; float32 where answers are compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from llava_ov_ros.checkpoints import find_checkpoint
from llava_ov_ros.live.number_format import comparable_dtype
from llava_ov_ros.node.model import load_from
from llava_ov_ros.onevision import load_engine, loading
from llava_ov_ros.onevision.checkpoint_files import open_checkpoint
from llava_ov_ros.onevision.devices import multiplies_bfloat16
from llava_ov_ros.onevision.loading import bfloat16_pays
from llava_ov_ros.onevision.shapes import SHAPES, tensor_shapes
from llava_ov_ros.settings import Settings

CPU = torch.device("cpu")
# Beginnings of /proc/cpuinfo, with some of the flags: an EPYC of 2024, a Xeon of 2023, an EPYC of 2017, and an Arm.
CPUS = {
    "avx512_bf16": ("model name\t: AMD EPYC 9005\nflags\t\t: fpu avx2 avx512f avx512_bf16 avx512_vnni\n", True),
    "amx": ("model name\t: Intel Xeon 8480\nflags\t\t: fpu avx512f amx_bf16 amx_tile amx_int8\n", True),
    "avx2": ("model name\t: AMD EPYC 7001\nflags\t\t: fpu avx avx2 fma\nbugs\t\t: avx512_bf16\n", False),
    "arm": ("processor\t: 0\nFeatures\t: fp asimd bf16\n", False),
}


@pytest.mark.parametrize("name", CPUS)
def test_the_cpus_flags_decide(tmp_path: Path, name: str) -> None:
    text, expected = CPUS[name]
    file = tmp_path / "cpuinfo"
    file.write_text(text)
    assert multiplies_bfloat16(file) is expected


def test_a_system_that_does_not_tell_is_taken_for_one_that_cannot(tmp_path: Path) -> None:
    assert multiplies_bfloat16(tmp_path / "cpuinfo") is False


@pytest.fixture
def with_flags(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    return lambda has: monkeypatch.setattr(loading, "multiplies_bfloat16", lambda: has)


def test_large_models_pay_and_small_ones_do_not(with_flags: Callable[[bool], None]) -> None:
    large, small = tensor_shapes(SHAPES["0.5b"]()), open_checkpoint(find_checkpoint("rooms")).shapes
    with_flags(True)
    assert bfloat16_pays(CPU, large)
    assert not bfloat16_pays(CPU, small)
    assert not bfloat16_pays(torch.device("cuda"), large)
    with_flags(False)
    assert not bfloat16_pays(CPU, large)


def test_the_node_alone_takes_bfloat16_on_a_cpu(
    monkeypatch: pytest.MonkeyPatch, with_flags: Callable[[bool], None]
) -> None:
    monkeypatch.setattr(loading, "BFLOAT16_PAYS_ABOVE", 1)
    with_flags(True)
    found = {
        "node": load_from(Settings(model="rooms", device="cpu")),
        "node, float32": load_from(Settings(model="rooms", device="cpu", dtype="float32")),
        "replay and eval": load_engine("rooms", device="cpu"),
    }
    formats = {name: engine._loaded().language.embedding.dtype for name, engine in found.items()}  # type: ignore[attr-defined,union-attr]
    assert formats == {"node": torch.bfloat16, "node, float32": torch.float32, "replay and eval": torch.float32}


def test_a_node_that_is_compared_computes_as_replay_does() -> None:
    for device in ("cpu", "auto"):
        expected = loading.place_and_dtype(device, "auto")[1]
        assert f"torch.{comparable_dtype('rooms', device)}" == str(expected)
    assert comparable_dtype("rooms", "cuda:1") == "bfloat16"
    assert comparable_dtype("rooms", "cpu", "float16") == "float16"
    assert comparable_dtype("http://127.0.0.1:8000/v1") == "auto"
