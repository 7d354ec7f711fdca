"""What a checkpoint can have wrong, and the sentence that it is refused with; long, with several transformers.

Each entry makes one fault in a whole checkpoint. `None` as its message says that the checkpoint is none the worse: it
loads, and answers as the whole one does.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from llava_ov_ros.checkpoints import CheckpointError
from llava_ov_ros.onevision import Ask, load_engine
from llava_ov_ros.onevision.canonical_names import canonical_name, published_name

Edit = Callable[[Path], None]
ANSWER_ALL = Path(__file__).parent / "answer_all.py"
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 35733\n"


def config(*path: str, value: Any) -> Edit:
    """Sets one field of config.json."""

    def edit(directory: Path) -> None:
        content = json.loads((directory / "config.json").read_text())
        part = content
        for name in path[:-1]:
            part = part[name]
        part[path[-1]] = value
        (directory / "config.json").write_text(json.dumps(content))

    return edit


def text(name: str, content: str) -> Edit:
    """Writes one file."""
    return lambda directory: (directory / name).write_text(content) and None


def tensors(change: Callable[[dict[str, torch.Tensor]], Any]) -> Edit:
    """Changes the weights."""

    def edit(directory: Path) -> None:
        found = load_file(directory / "model.safetensors")
        change(found)
        save_file({name: tensor.contiguous() for name, tensor in found.items()}, directory / "model.safetensors")

    return edit


def nothing(directory: Path) -> None:
    """Changes nothing."""


def all_of(*edits: Edit) -> Edit:
    """Does one after the other."""

    def edit(directory: Path) -> None:
        for one in edits:
            one(directory)

    return edit


def named(found: dict[str, torch.Tensor], ending: str) -> str:
    return next(name for name in found if name.endswith(ending))


def tied_without_head(found: dict[str, torch.Tensor]) -> None:
    del found[named(found, "lm_head.weight")]


def int8(found: dict[str, torch.Tensor]) -> None:
    name = named(found, "layers.0.mlp.up_proj.weight")
    found[name] = found[name].mul(40).to(torch.int8)


def further(suffix: str, dtype: torch.dtype = torch.float32) -> Edit:
    """Adds a tensor beside a layer's weight, as quantising tools and adapters do."""
    name = "model.language_model.layers.0.mlp.up_proj"
    return tensors(lambda found: found.update({f"{name}.{suffix}": torch.ones(1, dtype=dtype)}))


def quantised(method: str) -> Edit:
    return config("quantization_config", value={"quant_method": method, "bits": 4})


def index(directory: Path) -> None:
    (directory / "model.safetensors").rename(directory / "a.safetensors")
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": ["a.safetensors"]}))


def elsewhere(directory: Path) -> None:
    (directory / "model.safetensors").rename(directory.parent / "a.safetensors")
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": "../a.safetensors"}}))


def no_words(directory: Path) -> None:
    content = json.loads((directory / "tokenizer.json").read_text())
    content["model"] |= {"vocab": {}, "merges": []}
    (directory / "tokenizer.json").write_text(json.dumps(content))


def further_tokens(directory: Path) -> None:
    content = json.loads((directory / "tokenizer.json").read_text())
    last = content["added_tokens"][-1]
    for number in range(last["id"] + 1, 721):
        content["added_tokens"].append(last | {"id": number, "content": f"<|{number}|>"})
    (directory / "tokenizer.json").write_text(json.dumps(content))


def without_start(directory: Path) -> None:
    content = (directory / "tokenizer.json").read_text()
    (directory / "tokenizer.json").write_text(content.replace("<|im_start|>", "<|begin|>"))


def adapter(alone: bool) -> Edit:
    def edit(directory: Path) -> None:
        content = {"base_model_name_or_path": "llava-hf/llava-onevision-qwen2-7b-ov-hf", "peft_type": "LORA"}
        (directory / "adapter_config.json").write_text(json.dumps(content))
        save_file({"base_model.model.x.lora_A.weight": torch.ones(1)}, directory / "adapter_model.safetensors")
        if alone:
            (directory / "config.json").unlink()
            (directory / "model.safetensors").unlink()

    return edit


def renamed(name_of: Callable[[str], str]) -> Edit:
    def change(found: dict[str, torch.Tensor]) -> None:
        for name in list(found):
            found[name_of(name)] = found.pop(name)

    return tensors(change)


def flat_tower(name: str) -> str:
    """As transformers 5 writes names: without `vision_model.`."""
    return published_name(name).replace("vision_tower.vision_model.", "vision_tower.")


CONFIG, TOKENIZER, GIVEN = r"config\.json", r"tokenizer\.json", ("text_config",)
FAULTS: dict[str, tuple[Edit, str | None]] = {
    # It loads all the same.
    "no lm_head, tied in the text only": (
        all_of(
            tensors(tied_without_head),
            config("tie_word_embeddings", value=False),
            config(*GIVEN, "tie_word_embeddings", value=True),
        ),
        None,
    ),
    "no lm_head, tied nowhere": (
        all_of(
            tensors(tied_without_head),
            config("tie_word_embeddings", value=False),
            config(*GIVEN, "tie_word_embeddings", value=False),
        ),
        None,
    ),
    "end tokens as a list": (config(*GIVEN, "eos_token_id", value=[713, 711]), None),
    "names as published": (renamed(published_name), None),
    "names as transformers 5 writes them": (renamed(flat_tower), None),
    "a window as long as the context": (
        all_of(
            config(*GIVEN, "use_sliding_window", value=True),
            config(*GIVEN, "sliding_window", value=32768),
            config(*GIVEN, "max_window_layers", value=0),
        ),
        None,
    ),
    "rules in config.json, where there is no other file": (config("repetition_penalty", value=1.0), None),
    "fields that nothing needs": (
        all_of(
            config(*GIVEN, "num_labels", value=10**30),
            config(*GIVEN, "pad_token_id", value="x"),
            config("dtype", value=7),
            config("vision_config", "pruned_heads", value=1e300),
        ),
        None,
    ),
    # It says what cannot be, or what is not computed here.
    "a penalty in config.json": (
        config(*GIVEN, "repetition_penalty", value="strong"),
        rf"{CONFIG}: repetition_penalty",
    ),
    "a placeholder beyond the vocabulary": (config("video_token_index", value=10000), r"video_token_index is 10000"),
    "layers with a point": (config(*GIVEN, "num_hidden_layers", value=2.0), r"num_hidden_layers is 2\.0"),
    "a base that is no number": (
        lambda directory: config(*GIVEN, "rms_norm_eps", value=float("nan"))(directory),
        rf"{CONFIG} is not JSON: NaN is no number",
    ),
    "a base of 10^400": (config(*GIVEN, "rope_theta", value=10**400), r"text_config\.rope_theta is 10000"),
    "no factor": (
        config(*GIVEN, "rope_parameters", value={"rope_type": "linear", "rope_theta": 1e6, "factor": None}),
        r"rope_parameters\.factor is None",
    ),
    "another projector": (config("projector_hidden_act", value="foo"), rf"{CONFIG} describes no model.*foo"),
    "heads of no width": (config(*GIVEN, "head_dim", value=0), r"text_config\.head_dim is 0"),
    "attention to what comes": (config(*GIVEN, "is_causal", value=False), r"text_config\.is_causal is False"),
    "another size as a list": (
        text("preprocessor_config.json", '{"size": {"width": [70]}}'),
        r"size is \{'width': \[70",
    ),
    "pixels as they are": (text("preprocessor_config.json", '{"do_rescale": false}'), r"do_rescale is False"),
    "another resampling": (text("preprocessor_config.json", '{"resample": 0}'), r"resample is 0"),
    "two names for one place": (
        tensors(lambda found: found.update({"ema.layers.0.mlp.up_proj.weight": torch.zeros(128, 64)})),
        r"tensors .*layers\.0\.mlp\.up_proj\.weight have the same place",
    ),
    "a head of its own, though tied": (
        all_of(config("tie_word_embeddings", value=True), config(*GIVEN, "tie_word_embeddings", value=True)),
        r"lm_head differs from the embedding though tie_word_embeddings is true",
    ),
    "a file elsewhere": (elsewhere, r"index\.json: weight_map is \{'x': '\.\./a\.safetensors'\}"),
    "no words": (no_words, r"the tokenizer makes .* of 'Is there a red mug"),
    "end tokens as words": (config(*GIVEN, "eos_token_id", value=["<|im_end|>"]), rf"{CONFIG}: text_config\.eos_tok"),
    "an end token beyond the vocabulary": (config(*GIVEN, "eos_token_id", value=9999), rf"{CONFIG}: eos_token_id is 9"),
    "text_config null": (config("text_config", value=None), rf"{CONFIG}: text_config is None"),
    "vision_config a list": (config("vision_config", value=[]), rf"{CONFIG}: vision_config is \[\]"),
    "a width as text": (config(*GIVEN, "hidden_size", value="64"), rf"{CONFIG}: text_config\.hidden_size is '64'"),
    "a share of a layer": (config(*GIVEN, "num_hidden_layers", value=2.5), r"text_config\.num_hidden_layers is 2\.5"),
    "a thousand million layers": (config(*GIVEN, "num_hidden_layers", value=10**9), r"num_hidden_layers is 1000000000"),
    "a context of 10^9": (
        config(*GIVEN, "max_position_embeddings", value=10**9),
        rf"{CONFIG}: text_config\.max_position_embeddings is 1000000000: it must be at most 1048576",
    ),
    "another activation": (config(*GIVEN, "hidden_act", value="gelu"), rf"{CONFIG}: text_config\.hidden_act is 'gelu'"),
    "a sliding window": (
        all_of(
            config(*GIVEN, "use_sliding_window", value=True),
            config(*GIVEN, "sliding_window", value=128),
            config(*GIVEN, "max_window_layers", value=0),
            config(*GIVEN, "layer_types", value=["sliding_attention"] * 2),
        ),
        rf"{CONFIG}: use_sliding_window is true with sliding_window 128",
    ),
    "another language model": (config(*GIVEN, "model_type", value="qwen3"), r"text_config\.model_type is 'qwen3'"),
    "positions that depend on the length": (
        config(*GIVEN, "rope_parameters", value={"rope_type": "dynamic", "rope_theta": 1e6, "factor": 2.0}),
        r"rope_type is 'dynamic'",
    ),
    "a feature layer that is not there": (
        config("vision_feature_layer", value=7),
        r"vision_feature_layer is 7.*-3 to 2",
    ),
    "a feature layer before the first": (config("vision_feature_layer", value=-4), r"vision_feature_layer is -4"),
    "several feature layers": (config("vision_feature_layer", value=[-2, -1]), r"vision_feature_layer is \[-2, -1\]"),
    "no canvases": (config("image_grid_pinpoints", value=[]), rf"{CONFIG}: image_grid_pinpoints is \[\]"),
    "a canvas that is no tiles": (
        config("image_grid_pinpoints", value=[[70, 100]]),
        r"\[70, 100\], which cannot be cut",
    ),
    "another mean": (
        text("preprocessor_config.json", json.dumps({"image_mean": [0.48, 0.46, 0.41]})),
        r"preprocessor_config\.json: image_mean is \[0\.48.* with \[0\.5, 0\.5, 0\.5\]: if the tower was trained so",
    ),
    # A file is none.
    "an empty tokenizer": (text("tokenizer.json", ""), rf"{TOKENIZER} is empty"),
    "a tokenizer of nothing": (text("tokenizer.json", "{}"), rf"{TOKENIZER} is no tokenizer"),
    "a pointer for a tokenizer": (text("tokenizer.json", LFS), rf"{TOKENIZER} is a Git LFS pointer.*git lfs pull"),
    "a pointer for a configuration": (text("config.json", LFS), rf"{CONFIG} is a Git LFS pointer"),
    "a pointer for weights": (text("model.safetensors", LFS), r"model\.safetensors is a Git LFS pointer"),
    "a list of weight files": (index, r"index\.json: weight_map is \['a\.safetensors'\]"),
    # The tokenizer is another model's.
    "tokens beyond the embedding": (further_tokens, r"ids up to 720, the embedding only 720 rows"),
    "no <|im_start|>": (without_start, r"the tokenizer has no token <\|im_start\|>"),
    # The weights are no plain ones.
    "int8": (tensors(int8), r"layers\.0\.mlp\.up_proj\.weight is of type I8"),
    **{
        f"quantised by {method}": (quantised(method), rf"{CONFIG}: quantization_config says .*\({method}\)")
        for method in ("awq", "gptq", "fp8", "modelopt")
    },
    "quantised by compressed-tensors": (
        quantised("compressed-tensors"),
        rf"{CONFIG}: quantization_config\.format is None",
    ),
    "quantised by bitsandbytes": (
        quantised("bitsandbytes"),
        rf"{CONFIG}: quantization_config is of bitsandbytes' 8 bits",
    ),
    "bitsandbytes by its names": (further("weight.absmax"), r"weight\.absmax is of weights .*\(bitsandbytes\)"),
    "bitsandbytes int8 by its names": (further("SCB"), r"up_proj\.SCB is of weights .*\(bitsandbytes\)"),
    "GPTQ by its names": (further("qweight", torch.int32), r"up_proj\.qweight is of weights .*\(AWQ or GPTQ\)"),
    "scales by their names": (further("weight_scale"), r"weight_scale is of weights .*\(fp8 or int8 with scales\)"),
    "compressed by its names": (further("weight_packed", torch.int32), r"weight_packed .*\(compressed-tensors\)"),
    "a file of AutoGPTQ": (text("quantize_config.json", "{}"), r"has a quantize_config\.json"),
    "an adapter alone": (
        adapter(alone=True),
        r"holds an adapter \(adapter_config\.json\), made for llava-hf/.*merge it",
    ),
    "an adapter beside a model": (adapter(alone=False), r"beside a whole model.*merge it.*or move"),
    "an adapter whose file has no end": (text("adapter_config.json", "[" * 100_000), r"a model that it does not name"),
    "an adapter that was not merged": (further("lora_A.weight"), r"lora_A\.weight is of an adapter"),
}


def made(whole: Path, directory: Path, edit: Edit) -> Path:
    shutil.copytree(whole, directory)
    edit(directory)
    return directory


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_wrong_is_named(nano_directory: Path, tmp_path: Path, name: str, make_clip: Any) -> None:
    edit, message = FAULTS[name]
    directory = made(nano_directory, tmp_path / "model", edit)
    if message is not None:
        with pytest.raises(CheckpointError, match=message) as raised:
            load_engine(str(directory), device="cpu")
        assert str(directory) in str(raised.value)
        return
    whole = made(nano_directory, tmp_path / "whole", tensors(tied_without_head) if "lm_head" in name else nothing)
    asked = [Ask("Is there a red mug?", 8)]
    found, expected = (load_engine(str(one)).answer_many([make_clip()], asked) for one in (directory, whole))
    assert found[0].token_ids == expected[0].token_ids


def test_what_a_tokenizer_file_keeps_of_earlier_calls_is_not_heeded(
    rooms: Path, tmp_path: Path, make_clip: Any
) -> None:
    """Transformers resets truncation and padding at its own calls, and saves what the last of them set."""
    directory = made(rooms, tmp_path / "model", nothing)
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.enable_truncation(20)
    tokenizer.enable_padding(length=20, pad_id=711, pad_token="<|endoftext|>")
    tokenizer.save(str(directory / "tokenizer.json"))
    asked = [Ask("Is there a red mug on the wooden table beside the window?", 8)]
    found, expected = (
        load_engine(str(one), device="cpu").answer_many([make_clip()], asked) for one in (directory, rooms)
    )
    assert (found[0].prompt_tokens, found[0].token_ids) == (expected[0].prompt_tokens, expected[0].token_ids)


def test_a_head_that_is_missing_is_said_once(nano_directory: Path, tmp_path: Path, caplog: Any) -> None:
    directory = made(nano_directory, tmp_path / "model", tensors(tied_without_head))
    load_engine(str(directory), device="cpu")
    said = [record.getMessage() for record in caplog.records if "lm_head" in record.getMessage()]
    assert said == [
        f"model directory {directory} has no lm_head: its embedding is taken, as if tie_word_embeddings were true"
    ]


def test_the_shipped_model_has_the_published_names(rooms: Path) -> None:
    names = load_file(rooms / "model.safetensors").keys()
    assert {name for name in names if name != published_name(name)} == set()
    assert "vision_tower.vision_model.embeddings.patch_embedding.weight" in names
    assert {canonical_name(name) for name in names} == {canonical_name(flat_tower(name)) for name in names}


def test_a_smoke_question_is_asked_in_each_mode_and_its_time_is_logged(
    nano_directory: Path, tmp_path: Path, caplog: Any
) -> None:
    directory = made(nano_directory, tmp_path / "model", nothing)
    with caplog.at_level("INFO", "llava_ov_ros"):
        engine = load_engine(str(directory), device="cpu")
        load_engine(str(directory), device="cpu")
    said = [record.getMessage() for record in caplog.records if "smoke" in record.getMessage()]
    assert len(said) == 1
    assert re.fullmatch(r"model model: a smoke question in each mode took \d+\.\d s", said[0])
    # What was asked leaves nothing behind.
    assert engine.counters().frames_encoded == engine.counters().prefix_bytes == 0


VERSIONS = ("4.54", "4.57", "newest")


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("version", VERSIONS)
def test_all_of_it_with_the_transformers(
    nano_directory: Path, rooms: Path, tmp_path: Path, version: str, transformers_overlay: Callable[[str], Path]
) -> None:
    """Every checkpoint above, loaded and asked with another transformers; and what that one makes of both namings."""
    directories = {
        name: made(nano_directory, tmp_path / str(i), edit) for i, (name, (edit, _)) in enumerate(FAULTS.items())
    }
    for name, edit in (("whole", nothing), ("without head", tensors(tied_without_head))):
        directories[name] = made(nano_directory, tmp_path / name, edit)
    directories["rooms"] = rooms
    directories["rooms, flat names"] = made(rooms, tmp_path / "flat", renamed(flat_tower))
    overlay = transformers_overlay(version)
    paths = [str(overlay), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, str(ANSWER_ALL), str(overlay), *map(str, directories.values())],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = dict(zip(directories, json.loads(done.stdout.splitlines()[-1]), strict=True))
    for name, (_, message) in FAULTS.items():
        if message is not None:
            assert re.search(f"^(Checkpoint|Damage)Error: .*{message}", found[name]["error"]), (name, found[name])
        else:
            expected = found["without head" if "lm_head" in name else "whole"]
            assert found[name].get("tokens") == expected["tokens"], (name, found[name])
    # Both namings are the same model here. transformers reads the published one; the flat one from 5 on.
    assert found["rooms"]["logits"] == found["rooms, flat names"]["logits"]
    flat_is_read = not version.startswith("4")
    assert [found[name]["missing"] == [] for name in ("rooms", "rooms, flat names")] == [True, flat_is_read]
    assert found["rooms"]["apart"] <= 1e-4
    assert not flat_is_read or found["rooms, flat names"]["apart"] <= 1e-4
