"""Checkpoints that are quantised already are read as their formats say, and stay quantised in memory.

What a file means is computed here with numpy, or by the library that wrote the file; what the model then answers, by
transformers with these weights.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixtures.quantised import EVERYTHING, LAYERS, Arrays, Codes, Integers, write_quantised
from safetensors.torch import load_file, save_file
from torch.utils._python_dispatch import TorchDispatchMode

from llava_ov_ros.bench.plain_path import plain_generate, plain_inputs
from llava_ov_ros.checkpoints import CheckpointError
from llava_ov_ros.onevision import dense_blocks, load_engine
from llava_ov_ros.onevision.canonical_names import canonical_name
from llava_ov_ros.onevision.loading import check_model
from llava_ov_ros.onevision.packed_integers import PackedIntegers

QUESTION, NEW_TOKENS = "Where is the mug?", 12
WAYS = [
    *(Integers(bits, group, symmetric) for bits in (4, 8) for group in (None, 32) for symmetric in (True, False)),
    *(Integers(bits, 0, symmetric) for bits in (4, 8) for symmetric in (True, False)),
    *(Integers(bits, 32, symmetric, ordered=True) for bits in (4, 8) for symmetric in (True, False)),
    Integers(8, 32, symmetric=False, zeros_as_bytes=True),
    *(Codes(kind, nested) for kind in ("nf4", "fp4") for nested in (False, True)),
]


def same_as_plain(directory: Path, dense: Path, clip: Any) -> None:
    """The weights are, to the bit, those of a plain checkpoint, with which transformers gives the engine's answer."""
    engine = load_engine(str(directory), device="cpu")
    answer = engine.answer([clip], QUESTION, mode="video", max_new_tokens=NEW_TOKENS)
    model = engine.transformers_model
    found = {canonical_name(name): tensor for name, tensor in model.named_parameters()}
    expected = {canonical_name(name): tensor for name, tensor in load_file(dense / "model.safetensors").items()}
    assert found.keys() == expected.keys()
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []
    assert list(answer.token_ids) == plain_generate(engine, plain_inputs(engine, clip, QUESTION), NEW_TOKENS)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_file_means_what_its_format_says(nano_directory: Path, tmp_path: Path, make_clip: Any, way: Any) -> None:
    directory, dense = write_quantised(nano_directory, tmp_path, way)
    same_as_plain(directory, dense, make_clip())


@pytest.mark.parametrize("way", [Integers(4, 16, symmetric=False), Codes("nf4", nested=True)], ids=str)
def test_tower_projector_and_head_may_be_quantised_too(
    nano_directory: Path, tmp_path: Path, make_clip: Any, way: Any
) -> None:
    """Rows of the tower are no whole number of nf4's blocks."""
    directory, dense = write_quantised(nano_directory, tmp_path, way, EVERYTHING)
    same_as_plain(directory, dense, make_clip())


def test_layers_of_one_input_need_not_all_be_quantised(nano_directory: Path, tmp_path: Path, make_clip: Any) -> None:
    some = re.compile(r"language_model.*\.(q_proj|v_proj|up_proj)\.weight$")
    directory, dense = write_quantised(nano_directory, tmp_path, Integers(4, 32), some)
    same_as_plain(directory, dense, make_clip())


def test_the_parts_of_a_weight_may_lie_in_two_files(nano_directory: Path, tmp_path: Path, make_clip: Any) -> None:
    directory, dense = write_quantised(nano_directory, tmp_path, Integers(4, 32))
    tensors = load_file(directory / "model.safetensors")
    (directory / "model.safetensors").unlink()
    index = {name: f"model-{number % 2}.safetensors" for number, name in enumerate(sorted(tensors))}
    for file in set(index.values()):
        save_file({name: tensor for name, tensor in tensors.items() if index[name] == file}, directory / file)
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    same_as_plain(directory, dense, make_clip())


@pytest.mark.parametrize("way", [Integers(4, 32, symmetric=False), Integers(8, None), Codes(nested=True)], ids=str)
@pytest.mark.parametrize("rows", [1, 3, 40])
def test_products_in_bfloat16_are_as_near_as_bfloat16_is(
    nano_directory: Path, tmp_path: Path, way: Any, rows: int
) -> None:
    directory, dense = write_quantised(nano_directory, tmp_path, way)
    layer = load_engine(str(directory), device="cpu", dtype="bfloat16")._loaded().language.layers[0]
    (weight,) = layer.down.weights
    (name,) = (
        n for n in load_file(dense / "model.safetensors") if n.endswith("language_model.layers.0.mlp.down_proj.weight")
    )
    exact = load_file(dense / "model.safetensors")[name].double()
    x = torch.randn(2, rows, 128, generator=torch.Generator().manual_seed(0)).bfloat16()
    bias = torch.randn(64).bfloat16()
    found, expected = weight.product(x, bias), x.double() @ exact.T + bias.double()
    assert found.shape == expected.shape and found.dtype == torch.bfloat16
    assert float((found.double() - expected).norm() / expected.norm()) < 2**-7


class Made(TorchDispatchMode):
    """Notes the shape of each floating-point tensor that an operator makes."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: set[tuple[int, ...]] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for one in made if isinstance(made, (tuple, list)) else (made,):
            if isinstance(one, torch.Tensor) and one.is_floating_point() and not one.is_meta:
                self.shapes.add(tuple(one.shape))
        return made


@pytest.mark.parametrize("way", [Integers(4, 32), Integers(8, 32, ordered=True), Codes(nested=True)], ids=str)
def test_no_weight_is_ever_dequantised_whole(
    nano_directory: Path, tmp_path: Path, make_clip: Any, monkeypatch: pytest.MonkeyPatch, way: Any
) -> None:
    directory, dense = write_quantised(nano_directory, tmp_path, way)
    stored = load_file(dense / "model.safetensors")
    weights = {name: tensor.shape for name, tensor in stored.items() if LAYERS.search(name)}
    plain = {tensor.shape for name, tensor in stored.items() if name not in weights}
    # Blocks of eight rows.
    monkeypatch.setattr(dense_blocks, "CPU_BLOCK_BYTES", 8 * 128 * 4)
    with Made() as made:
        engine = load_engine(str(directory), device="cpu")
        engine.answer([make_clip()], QUESTION, max_new_tokens=3)
    assert (720, 64) in made.shapes, "the embedding, which is made whole"
    whole = set(weights.values()) - plain
    assert {(128, 64), (64, 128)} <= whole
    assert made.shapes & {*whole, *((shape.numel(),) for shape in whole)} == set()
    held = sum(
        weight.nbytes for layer in engine._loaded().language.layers for one in layer.products for weight in one.weights
    )
    numbers = sum(shape.numel() for shape in weights.values())
    # Integers or codes, and scales of 32 bits for 32 or, coded, of 8 bits for 64 numbers.
    assert held < numbers * {8: 1.2, 4: 0.65}[getattr(way, "bits", 4)] + len(weights) * 4096
    plan = check_model(str(directory), device="cpu")
    assert engine.memory_bytes() - engine.counters().prefix_bytes <= plan.total
    engine.drop_caches()
    assert engine.memory_bytes() == plan.weights + plan.tables


def test_a_quantised_model_is_said_to_be_so_and_is_not_quantised_again(
    nano_directory: Path, tmp_path: Path, caplog: Any
) -> None:
    directory, _ = write_quantised(nano_directory, tmp_path, Integers(4, 32))
    with caplog.at_level("INFO", "llava_ov_ros"):
        load_engine(str(directory), device="cpu")
    said = "model quantised: 14 weights are quantised already (compressed-tensors, int4 in groups of 32)"
    assert said in [record.getMessage() for record in caplog.records]
    with pytest.raises(ValueError, match=r"quantize is 'int8', but the weights of model 'quantised' are quantised"):
        load_engine(str(directory), device="cpu", quantize="int8")


def scheme(**fields: Any) -> Callable[[dict[str, Any]], None]:
    """Changes what the configuration says of the weights."""
    return lambda found: found["config_groups"]["group_0"]["weights"].update(fields)


def group(**fields: Any) -> Callable[[dict[str, Any]], None]:
    """Changes what the configuration says of a group of layers."""
    return lambda found: found["config_groups"]["group_0"].update(fields)


def whole(**fields: Any) -> Callable[[dict[str, Any]], None]:
    """Changes what the configuration says of all."""
    return lambda found: found.update(fields)


ACTIVATIONS = {"num_bits": 8, "type": "int", "dynamic": True, "strategy": "token"}
CONFIGURATIONS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "another format": (whole(format="int-quantized"), r"format is 'int-quantized': .*pack-quantized is read"),
    "several formats": (whole(format="mixed-precision"), r"format is 'mixed-precision'"),
    "another format of a group": (group(format="nvfp4-pack-quantized"), r"group_0\.format is 'nvfp4"),
    "a rotation": (whole(transform_config={"config_groups": {"u": {"type": "hadamard"}}}), r"transform_config is"),
    "quantised keys": (whole(kv_cache_scheme={"num_bits": 8}), r"kv_cache_scheme is"),
    "sparse weights": (whole(sparsity_config={"format": "sparse-24-bitmask"}), r"sparsity_config is"),
    "quantised activations": (group(input_activations=ACTIVATIONS), r"quantised activations are not computed here"),
    "three bits": (scheme(num_bits=3), r"weights\.num_bits is 3: computed here is 4, 8"),
    "floats": (scheme(type="float"), r"weights\.type is 'float': computed here is int"),
    "blocks": (scheme(strategy="block"), r"weights\.strategy is 'block': computed here is tensor, channel, group"),
    "no weights": (group(weights=None), r"group_0\.weights is None"),
    "groups as a list": (whole(config_groups=[1]), r"config_groups is \[1\]"),
    "other groups": (scheme(group_size=64), r"int4 in groups of 32 with scales .* no entry of config_groups describes"),
    "other bits": (scheme(num_bits=8), r"no entry of config_groups describes"),
    "zeros that are not there": (scheme(symmetric=False), r"no entry of config_groups describes"),
    "eight bits of bitsandbytes": (
        whole(quant_method="bitsandbytes", load_in_8bit=True, load_in_4bit=False),
        r"is of bitsandbytes' 8 bits",
    ),
    "nothing of bitsandbytes": (
        whole(quant_method="bitsandbytes", load_in_4bit=True),
        r"quantised beforehand \(bitsandbytes\), and none of the files' is",
    ),
    "AutoAWQ": (whole(quant_method="awq"), r"quantised beforehand \(awq\), which cannot be read here"),
    "GPTQ": (whole(quant_method="gptq"), r"quantised beforehand \(gptq\), which cannot be read here"),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_what_is_not_computed_is_refused_by_name(nano_directory: Path, tmp_path: Path, name: str) -> None:
    change, message = CONFIGURATIONS[name]
    directory, _ = write_quantised(nano_directory, tmp_path, Integers(4, 32))
    content = json.loads((directory / "config.json").read_text())
    change(content["quantization_config"])
    (directory / "config.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=message) as raised:
        load_engine(str(directory), device="cpu")
    assert str(directory) in str(raised.value)


def of(ending: str, change: Callable[[np.ndarray], np.ndarray | None]) -> Callable[[Arrays], None]:
    """Changes the first tensor whose name ends so; None removes it."""

    def edit(stored: Arrays) -> None:
        name = next(one for one in stored if one.endswith(ending))
        changed = change(stored.pop(name))
        if changed is not None:
            stored[name] = changed

    return edit


def state(**fields: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Changes the description of a weight of codes."""
    return lambda found: np.frombuffer(json.dumps(json.loads(found.tobytes()) | fields).encode(), np.uint8)


GROUPS, CODES = Integers(4, 32, symmetric=False, ordered=True), Codes(nested=True)
STATE = ".quant_state.bitsandbytes__nf4"
TENSORS: dict[str, tuple[Integers | Codes, Callable[[Arrays], None], str]] = {
    "no scales": (GROUPS, of(".weight_scale", lambda _: None), r"weight_scale is missing, .*: the file is damaged"),
    "no shape": (GROUPS, of(".weight_shape", lambda _: None), r"weight_shape is missing"),
    "a shape of another weight": (
        GROUPS,
        of(".weight_shape", lambda found: found + 8),
        r"weight_packed is of type I32",
    ),
    "a shape of nothing": (GROUPS, of(".weight_shape", lambda found: found * 0), r"weight_packed is of type I32"),
    "a row of scales": (GROUPS, of(".weight_scale", lambda found: found[0]), r"weight_scale is of type F32 and shape"),
    "zeros of another weight": (
        GROUPS,
        of(".weight_zero_point", lambda found: found[1:]),
        r"weight_zero_point is of type",
    ),
    "groups of fewer columns": (GROUPS, of(".weight_g_idx", lambda found: found[1:]), r"weight_g_idx is of type I32"),
    "groups of unequal size": (
        GROUPS,
        of(".weight_g_idx", lambda found: found * 0),
        r"weight_g_idx does not put the columns into \d groups of 32",
    ),
    "scales that are not finite": (
        GROUPS,
        of(".weight_scale", lambda found: found / 0),
        r"not finite: the file is damaged",
    ),
    "no codes": (
        CODES,
        of("up_proj.weight", lambda _: None),
        r"up_proj\.weight is missing, where .* has U8 \(4096, 1\)",
    ),
    "codes in other numbers": (
        CODES,
        of("up_proj.weight", lambda found: found.reshape(-1, 2).view(np.float16)),
        r"up_proj\.weight is .*bnb_4bit_quant_storage uint8",
    ),
    "no table": (CODES, of(".quant_map", lambda _: None), r"quant_map is missing"),
    "a state that is no JSON": (CODES, of(STATE, lambda found: found[1:]), r"bitsandbytes__nf4 is no JSON"),
    "a state of another kind": (CODES, of(STATE, state(quant_type="fp4")), r"is of a kind that is none of nf4, fp4"),
    "a state without a shape": (CODES, of(STATE, state(shape=None)), r"says \{"),
    "blocks that do not fit": (CODES, of(STATE, state(blocksize=96)), r"is no whole number of blocks of 96"),
    "an endless mean": (CODES, of(STATE, state(nested_offset=1e999)), r"says \{"),
    "a further scale": (
        GROUPS,
        lambda found: found.update({"x.input_scale": np.ones(1)}),
        r"input_scale is of weights",
    ),
}


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_what_is_damaged_is_named(nano_directory: Path, tmp_path: Path, name: str) -> None:
    way, edit, message = TENSORS[name]
    directory, _ = write_quantised(nano_directory, tmp_path, way, edit=edit)
    with pytest.raises(CheckpointError, match=message) as raised:
        load_engine(str(directory), device="cpu")
    assert str(directory) in str(raised.value)


def test_columns_that_were_not_sorted_keep_their_order(nano_directory: Path, tmp_path: Path, make_clip: Any) -> None:
    """Some writers give every column the group -1 then."""

    def edit(stored: Arrays) -> None:
        for name in [name for name in stored if name.endswith("weight_shape")]:
            stored[name.replace("shape", "g_idx")] = np.full(stored[name][1], -1, np.int32)

    directory, dense = write_quantised(nano_directory, tmp_path, Integers(4, 32), edit=edit)
    same_as_plain(directory, dense, make_clip())
    (weight,) = load_engine(str(directory), device="cpu")._loaded().language.layers[0].o.weights
    assert isinstance(weight, PackedIntegers) and weight.order is None


def test_a_tied_head_is_not_quantised_alone(nano_directory: Path, tmp_path: Path) -> None:
    directory, _ = write_quantised(nano_directory, tmp_path, Integers(4, 32), EVERYTHING)
    content = json.loads((directory / "config.json").read_text())
    content["tie_word_embeddings"] = content["text_config"]["tie_word_embeddings"] = True
    (directory / "config.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="lm_head is quantised and the embedding is not"):
        load_engine(str(directory), device="cpu")
