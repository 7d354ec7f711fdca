"""Answers are those of the original LLaVA-NeXT code, whose outputs on a small random checkpoint are in test/data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from llava_ov_ros.bench.plain_path import plain_generate, plain_inputs
from llava_ov_ros.checkpoints import CheckpointError
from llava_ov_ros.frames import Clip, Frame
from llava_ov_ros.onevision import Ask, Engine, load_engine, pixels
from llava_ov_ros.onevision.canonical_names import published_name
from llava_ov_ros.onevision.checkpoint_files import open_checkpoint
from llava_ov_ros.onevision.of_transformers import config_from

REFERENCE = Path(__file__).resolve().parents[1] / "data" / "original"
CHECKPOINT = REFERENCE / "checkpoint"
CASES: list[dict[str, Any]] = json.loads((REFERENCE / "cases.json").read_text())
RULES = {"repetition_penalty": 1.3, "no_repeat_ngram_size": 2, "suppress_tokens": [351, 610]}


def clip_of(case: dict[str, Any]) -> Clip:
    pictures = [cv2.imread(str(REFERENCE / "pictures" / f"{name}.png"))[:, :, ::-1] for name in case["pictures"]]
    return Clip("camera", tuple(Frame("camera", i, "", np.ascontiguousarray(rgb)) for i, rgb in enumerate(pictures)))


def copied(folder: Path, **fields: Any) -> Path:
    """The reference's checkpoint, with fields of its config.json replaced."""
    shutil.copytree(CHECKPOINT, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | fields))
    return folder


@pytest.fixture(scope="module")
def original() -> Engine:
    return load_engine(str(CHECKPOINT), device="cpu")


@pytest.fixture(scope="module")
def transformers_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same weights in transformers' layout, under the names of published checkpoints."""
    folder = tmp_path_factory.mktemp("models") / "twin"
    folder.mkdir()
    config = config_from(open_checkpoint(CHECKPOINT).config.fields())
    config.architectures = ["LlavaOnevisionForConditionalGeneration"]
    (folder / "config.json").write_text(json.dumps(config.to_dict(), default=str))
    tensors = load_file(CHECKPOINT / "model.safetensors")
    save_file({published_name(name): tensor for name, tensor in tensors.items()}, folder / "model.safetensors")
    shutil.copy(CHECKPOINT / "tokenizer.json", folder)
    return folder


@pytest.fixture(scope="module")
def twin(transformers_directory: Path) -> Engine:
    return load_engine(str(transformers_directory), device="cpu")


def first_logits(engine: Engine, case: dict[str, Any]) -> tuple[np.ndarray, list[int], int]:
    """Logits of the first token, tokens as the model alone would have them, and the prompt's length."""
    seen = []

    def look(_: Any, logits: torch.Tensor) -> torch.Tensor:
        seen.append(logits.clone().numpy())
        return logits

    ask = Ask(case["question"], len(case["tokens"]), hook=look)
    answer = engine.answer_many([clip_of(case)], [ask], mode=case["mode"])[0]
    return seen[0], list(answer.token_ids), answer.prompt_tokens


@pytest.mark.parametrize("layout", ["original", "twin"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_prompt_logits_and_tokens(request: pytest.FixtureRequest, layout: str, case: dict[str, Any]) -> None:
    engine = request.getfixturevalue(layout)
    logits, tokens, prompt_tokens = first_logits(engine, case)
    assert engine.prompt_ids([clip_of(case)], Ask(case["question"]), case["mode"]) == case["prompt_ids"]
    assert prompt_tokens == case["prompt_tokens"]
    assert tokens == case["tokens"]
    # Pixels may differ by a grey level, for which the resizing in torch differs from Pillow's.
    assert np.abs(logits - np.load(REFERENCE / "logits.npz")[case["case"]]).max() <= 1e-3


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_with_the_same_pixels_the_logits_are_the_same(
    original: Engine, case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def by_pillow(pictures: torch.Tensor, height: int, width: int) -> torch.Tensor:
        image = Image.fromarray(pictures[0].permute(1, 2, 0).numpy())
        resized = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
        return torch.from_numpy(resized.copy()).permute(2, 0, 1)[None]

    monkeypatch.setattr(pixels, "resized", by_pillow)
    logits, _, _ = first_logits(original, case)
    assert np.abs(logits - np.load(REFERENCE / "logits.npz")[case["case"]]).max() <= 1e-5


def test_the_penalty_of_the_file_is_applied_to_new_tokens_only(original: Engine) -> None:
    found = [
        original.answer([clip_of(case)], case["question"], mode=case["mode"], max_new_tokens=len(case["tokens"]))
        for case in CASES
    ]
    assert [list(one.token_ids) for one in found] == [case["tokens_repetition_penalty_1_1"] for case in CASES]
    # The file of the reference has a penalty that makes a difference.
    assert sum(case["tokens"] != case["tokens_repetition_penalty_1_1"] for case in CASES) == 4


def ruled(twin: Path, folder: Path, rules: dict[str, Any]) -> Engine:
    shutil.copytree(twin, folder)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": 713, "do_sample": True, **rules}))
    return load_engine(str(folder), device="cpu")


VIDEO = [case for case in CASES if case["mode"] == "video"]


@pytest.mark.parametrize("names", [["repetition_penalty"], ["no_repeat_ngram_size"], ["suppress_tokens"], [*RULES]])
def test_rules_of_transformers_layout_are_those_of_generate(
    transformers_directory: Path, tmp_path: Path, names: list[str]
) -> None:
    rules = {name: RULES[name] for name in names}
    engine = ruled(transformers_directory, tmp_path / "model", rules)
    questions = ["What is on the table?", "Is the red mug on the table on the table?", "What colour is it?"]
    clip = clip_of(VIDEO[-1])
    plain = []
    for question in questions:
        inputs = plain_inputs(engine, clip, question)
        engine.transformers_model.generation_config.update(**rules)
        plain.append(plain_generate(engine, inputs, 24))
        engine.transformers_model.generation_config.update(
            repetition_penalty=1.0, no_repeat_ngram_size=0, suppress_tokens=None
        )
        assert plain[-1] != plain_generate(engine, inputs, 24), "the rules make no difference here"
    # Together, so that every row needs its own.
    found = engine.answer_many([clip], [Ask(question, 24) for question in questions])
    assert [list(one.token_ids) for one in found] == plain


def test_probabilities_and_choices_are_the_models_own(transformers_directory: Path, tmp_path: Path) -> None:
    engine = ruled(transformers_directory, tmp_path / "model", {"repetition_penalty": 1.3})
    without = load_engine(str(transformers_directory), device="cpu")
    clip = clip_of(VIDEO[-1])
    asks = [Ask("What is on the table?", 1), Ask("What is on the table?", choices=("the table", "a mug"))]
    free, chosen = engine.answer_many([clip], asks)
    assert chosen.choices == without.answer_many([clip], asks)[1].choices
    seen = []

    def look(_: Any, logits: torch.Tensor) -> torch.Tensor:
        seen.append(logits.clone())
        return logits

    without.answer_many([clip], [Ask("What is on the table?", 1, hook=look)])
    assert free.probabilities[0] == pytest.approx(float(seen[0].softmax(-1)[free.token_ids[0]]), rel=1e-5)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_beams", 4),
        ("bad_words_ids", [[5]]),
        ("min_new_tokens", 3),
        ("sequence_bias", [[[5], 2.0]]),
        ("begin_suppress_tokens", [1]),
        ("guidance_scale", 1.5),
        ("repetition_penalty", 0),
        ("repetition_penalty", "strong"),
        ("repetition_penalty", 10**400),
        ("no_repeat_ngram_size", -1),
        ("no_repeat_ngram_size", 10**12),
        ("suppress_tokens", [720]),
        ("eos_token_id", ["713"]),
    ],
)
def test_what_is_not_done_is_refused_by_name(
    transformers_directory: Path, tmp_path: Path, field: str, value: Any
) -> None:
    with pytest.raises(CheckpointError, match=rf"generation_config\.json: {field} is "):
        ruled(transformers_directory, tmp_path / "model", {field: value})


def test_a_tower_whose_tile_is_not_told_is_refused_and_a_file_tells_it(tmp_path: Path) -> None:
    folder = copied(tmp_path / "model", mm_vision_tower="/data/towers/siglip")
    with pytest.raises(
        CheckpointError, match=r"mm_vision_tower is '/data/towers/siglip', which does not tell the size"
    ):
        open_checkpoint(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({"size": {"height": 384, "width": 384}}))
    assert open_checkpoint(folder).config.vision_config.image_size == 384


def test_a_tower_of_another_size_than_its_weights_is_refused(tmp_path: Path) -> None:
    folder = copied(tmp_path / "model", mm_vision_tower="google/siglip-so400m-patch14-224")
    with pytest.raises(CheckpointError, match=r"224 px, which is 16 patches .* 729 rows \(27 a side\)"):
        open_checkpoint(folder)


def test_canvases_in_tiles_are_those_in_pixels(tmp_path: Path) -> None:
    given = open_checkpoint(CHECKPOINT).config.image_grid_pinpoints
    folder = copied(tmp_path / "model", image_grid_pinpoints="(1x1),...,(6x6)")
    assert open_checkpoint(folder).config.image_grid_pinpoints == given


@pytest.mark.parametrize(
    ("field", "default"),
    [
        ("mm_projector_type", "linear"),
        ("mm_patch_merge_type", "flat"),
        ("mm_spatial_pool_mode", None),
        ("image_aspect_ratio", "square"),
    ],
)
def test_an_absent_field_is_what_the_original_code_takes_it_for(tmp_path: Path, field: str, default: Any) -> None:
    folder = copied(tmp_path / "model")
    content = json.loads((folder / "config.json").read_text())
    del content[field]
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=f"{field} is absent, which the original code takes for {default!r}"):
        open_checkpoint(folder)


def test_canvases_are_width_and_height(tmp_path: Path) -> None:
    folder = copied(tmp_path / "model", image_grid_pinpoints=[[768, 384], [384, 384]])
    assert open_checkpoint(folder).config.image_grid_pinpoints == [[384, 768], [384, 384]]
    folder = copied(tmp_path / "text", image_grid_pinpoints="[[768, 384], [384, 384]]")
    assert open_checkpoint(folder).config.image_grid_pinpoints == [[384, 768], [384, 384]]
    with pytest.raises(CheckpointError, match=r"canvases have 1 to 32 tiles, rising"):
        open_checkpoint(copied(tmp_path / "falling", image_grid_pinpoints="(6x6),...,(1x1)"))


def test_the_base_of_the_positions_is_read_where_transformers_5_writes_it(tmp_path: Path) -> None:
    folder = copied(tmp_path / "model")
    content = json.loads((folder / "config.json").read_text())
    content["rope_parameters"] = {"rope_type": "default", "rope_theta": content.pop("rope_theta")}
    (folder / "config.json").write_text(json.dumps(content))
    case = CASES[-1]
    assert first_logits(load_engine(str(folder), device="cpu"), case)[1] == case["tokens"]


def test_the_context_ends_where_the_original_would_cut(tmp_path: Path) -> None:
    folder = copied(tmp_path / "model", tokenizer_model_max_length=4096)
    assert open_checkpoint(folder).config.text_config.max_position_embeddings == 4096


def test_added_tokens_have_the_ids_that_their_file_says(tmp_path: Path) -> None:
    folder = copied(tmp_path / "model")
    content = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text(json.dumps(content["model"]["vocab"]))
    (folder / "merges.txt").write_text("\n".join(" ".join(pair) for pair in content["model"]["merges"]) + "\n")
    tokens = {str(token["id"]): {"content": token["content"]} for token in content["added_tokens"]}
    (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": tokens}))
    case = CASES[-1]
    assert first_logits(load_engine(str(folder), device="cpu"), case)[1] == case["tokens"]
    later = {token["content"]: token["id"] + 3 for token in content["added_tokens"]}
    (folder / "added_tokens.json").write_text(json.dumps(later))
    with pytest.raises(CheckpointError, match=r"is to have the id \d+, and the next free one is"):
        load_engine(str(folder), device="cpu")


def test_scaled_positions_are_kept(tmp_path: Path, original: Engine) -> None:
    scaled = load_engine(str(copied(tmp_path / "model", rope_scaling={"type": "linear", "factor": 2.0})))
    ours, theirs = (engine._loaded().language for engine in (scaled, original))
    # With linear scaling, position 2n is rotated as position n is without.
    assert torch.allclose(ours.cos[2::2][:50], theirs.cos[1:51], atol=1e-6)
    with pytest.raises(CheckpointError, match=r"rope_type is 'dynamic'"):
        load_engine(str(copied(tmp_path / "dynamic", rope_scaling={"type": "dynamic", "factor": 2.0})))
