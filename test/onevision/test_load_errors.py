"""What libraries raise while a model is loaded becomes one line with the model, the cause and the remedy."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from llava_ov_ros.checkpoints import CheckpointError
from llava_ov_ros.onevision import load_engine
from llava_ov_ros.onevision.load_errors import with_plain_errors


def no_memory_of_torch() -> None:
    torch.empty(2**60, dtype=torch.uint8)


def no_memory_of_python() -> None:
    bytearray(2**62)


def no_memory_of_the_system() -> None:
    raise OSError(errno.ENOMEM, "Cannot allocate memory")


def no_file() -> None:
    Path("/nowhere/config.json").read_text()


def no_weights() -> None:
    with safe_open(Path(__file__), framework="pt"):
        pass


def failing_device() -> None:
    # As c10/cuda/CUDAException.cpp writes it.
    raise RuntimeError("CUDA error: device-side assert triggered\nCUDA kernel errors might be reported later")


@pytest.mark.parametrize(
    ("fail", "kind", "said"),
    [
        (no_memory_of_torch, MemoryError, r"memory ran out while it was loaded \(.*\): end what else"),
        (no_memory_of_python, MemoryError, r"memory ran out while it was loaded \(MemoryError\): end what else"),
        (no_memory_of_the_system, MemoryError, r"memory ran out while it was loaded \(.*\): end what else"),
        (no_file, CheckpointError, r"cannot be read \(.*/nowhere/config\.json.*\): make all of its files readable"),
        (no_weights, CheckpointError, r"cannot be read \(.*\): copy its weights again"),
        (failing_device, ValueError, r"device fails \(CUDA error: device-side assert triggered\): look at nvidia-smi"),
    ],
)
def test_a_cause_outside_the_program_is_one_line(fail, kind, said):
    @with_plain_errors
    def load(model: str) -> None:
        fail()

    with pytest.raises(kind, match=rf"^model 'my_model'.*{said}") as raised:
        load("my_model")
    assert len(str(raised.value).splitlines()) == 1


def test_a_fault_of_the_program_stays_what_it_is():
    @with_plain_errors
    def load(model: str) -> None:
        torch.zeros(2, 3) @ torch.zeros(2, 3)

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        load("my_model")


def test_a_refusal_with_its_numbers_stays_what_it_is(monkeypatch):
    monkeypatch.setattr("llava_ov_ros.onevision.memory.free_bytes", lambda device: 1)
    with pytest.raises(MemoryError, match=r"^model 'rooms' needs \d+\.\d MiB"):
        load_engine("rooms", device="cpu")


def test_a_damaged_tokenizer_is_named(tmp_path, rooms):
    for file in rooms.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        load_engine(str(tmp_path), device="cpu")
