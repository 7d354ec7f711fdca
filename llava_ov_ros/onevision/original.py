"""Reads configuration and tokenizer of checkpoints in the original lmms-lab layout (LlavaQwenForCausalLM).

The tensors' names are mapped by `canonical_names.canonical_name`, as for every other layout.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE

from ..bounds import cited, shortened
from ..checkpoints import CheckpointError, check_tokenizer_files

Shapes = Mapping[str, tuple[int, ...]]

ARCHITECTURE = "LlavaQwenForCausalLM"
MOST_TILES = 32
IMAGE_TOKEN_ID = 151646  # LLaVA-OneVision's place for <image>; <video> follows it
# The tower's name ends in the size of its input: google/siglip-so400m-patch14-384. The position embedding does not
# tell that size: a tower of 384 px has 27 x 27 positions of 14 px, and its convolution drops the last 6 px.
_TILE_IN_NAME = re.compile(r"patch(\d+)-(\d+)/?$")
_CANVASES_IN_TILES = re.compile(r"\((\d+)\s*x\s*(\d+)\)")
SO400M_HEAD_WIDTH = 72  # google/siglip-so400m-patch14-384: 1152 wide, 16 heads
# The pattern by which Qwen2Tokenizer splits text before BPE (transformers, tokenization_qwen2.py).
QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_TEXT_FIELDS = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "max_position_embeddings",
    "rms_norm_eps",
    "rope_theta",
    "rope_scaling",
    "hidden_act",
    "sliding_window",
    "use_sliding_window",
    "max_window_layers",
    "bos_token_id",
    "eos_token_id",
    "head_dim",
)
# Per field the value that the engine supports, and the original code's default for a missing field (builder.py,
# llava_arch.py).
_EXPECTED: dict[str, tuple[str, str | None]] = {
    "mm_projector_type": ("mlp2x_gelu", "linear"),
    "mm_patch_merge_type": ("spatial_unpad", "flat"),
    "mm_spatial_pool_mode": ("bilinear", None),
    "mm_newline_position": ("one_token", "one_token"),
    "image_aspect_ratio": ("anyres_max_9", "square"),
}
SO400M_LAYERS = 27


def tile_px(raw: Mapping[str, Any], preprocessing: Mapping[str, Any]) -> int:
    """Side of the tower's input in pixels, from the tower's name or else from preprocessor_config.json.

    Args:
        raw: Content of config.json.
        preprocessing: Content of preprocessor_config.json; empty if the checkpoint has none.

    Raises:
        ValueError: Neither file tells the size.
    """
    tower = raw["mm_vision_tower"]
    found = _TILE_IN_NAME.search(tower)
    if found is not None:
        return int(found.group(2))
    size = preprocessing.get("size", preprocessing.get("crop_size"))
    sides = set(size.values()) if isinstance(size, Mapping) else {size}
    if len(sides) == 1 and type(side := sides.pop()) is int and side > 0:
        return side
    raise ValueError(
        f"mm_vision_tower is {cited(tower)}, which does not tell the size of the tower's input (as "
        "google/siglip-so400m-patch14-384 does): name the tower so, or add a preprocessor_config.json with "
        '{"size": {"height": 384, "width": 384}}'
    )


def original_config(raw: Mapping[str, Any], shapes: Shapes, tile: int) -> dict[str, Any]:
    """Convert the configuration of an original checkpoint to the fields of transformers' format.

    The original configuration names its vision tower but not the tower's shape, which is read from the tensors. Its
    `mm_vision_select_layer` of -2 no longer applies, since the tower's last layer was deleted
    (siglip_encoder.py:563-574).

    Args:
        raw: Content of config.json.
        shapes: Shape of each tensor, by its original name.
        tile: Side of the tower's input in pixels.

    Raises:
        ValueError: The checkpoint is no LLaVA-OneVision; the message names the field or the tensor.
    """
    for field, (expected, default) in _EXPECTED.items():
        if (found := raw.get(field, default)) != expected:
            said = f"is {cited(found)}" if field in raw else f"is absent, which the original code takes for {default!r}"
            raise ValueError(f"{field} {said}: LLaVA-OneVision has {expected!r}")
    text = {field: raw[field] for field in _TEXT_FIELDS if field in raw}
    # Fields of the rotary embedding as transformers 5 writes them.
    rope = raw.get("rope_parameters") or {}
    if "rope_theta" in rope:
        text["rope_theta"] = rope["rope_theta"]
    if rope.get("rope_type", "default") != "default":
        text["rope_scaling"] = {name: value for name, value in rope.items() if name != "rope_theta"}
    # The original code truncates prompts to this length; the engine refuses longer ones.
    if raw.get("tokenizer_model_max_length") is not None and "max_position_embeddings" in text:
        text["max_position_embeddings"] = min(text["max_position_embeddings"], raw["tokenizer_model_max_length"])
    # A fine-tuned checkpoint that was saved again may lack the spare rows of the vocabulary (builder.py:287).
    text["vocab_size"] = _shape(shapes, "model.embed_tokens.weight")[0]
    tied = bool(raw.get("tie_word_embeddings", False))
    return {
        "vision_config": _vision_config(shapes, tile),
        "text_config": {"model_type": "qwen2", "tie_word_embeddings": tied, **text},
        "image_token_index": raw.get("image_token_index", IMAGE_TOKEN_ID),
        "video_token_index": raw.get("image_token_index", IMAGE_TOKEN_ID) + 1,
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "full",
        "image_grid_pinpoints": _canvases(raw["image_grid_pinpoints"], tile),
        "vision_aspect_ratio": raw.get("image_aspect_ratio", "anyres_max_9"),
        "tie_word_embeddings": tied,
    }


def _shape(shapes: Shapes, ending: str) -> tuple[int, ...]:
    for name, shape in shapes.items():
        if name.endswith(ending):
            return shape
    raise ValueError(f"there is no tensor {ending}")


def _canvases(found: list[list[int]] | str, tile: int) -> list[list[int]]:
    """Canvas sizes (height, width) in pixels, from the original's (width, height).

    The text "(1x1),...,(6x6)" means all sizes between the two, in tiles; other texts are lists (mm_utils.py:209-230).
    """
    if isinstance(found, str) and "x" not in found:
        found = ast.literal_eval(found)
    if not isinstance(found, str):
        return [[height, width] for width, height in found]
    pairs = [tuple(map(int, pair)) for pair in _CANVASES_IN_TILES.findall(found)]
    if not pairs:
        raise ValueError(f'image_grid_pinpoints is {cited(found)}: it must be pairs of pixels, or "(1x1),...,(6x6)"')
    (least_a, least_b), (most_a, most_b) = pairs[0], pairs[-1]
    if not (1 <= least_a <= most_a <= MOST_TILES and 1 <= least_b <= most_b <= MOST_TILES):
        raise ValueError(f"image_grid_pinpoints is {cited(found)}: canvases have 1 to {MOST_TILES} tiles, rising")
    return [[b * tile, a * tile] for a in range(least_a, most_a + 1) for b in range(least_b, most_b + 1)]


def _vision_config(shapes: Shapes, tile: int) -> dict[str, Any]:
    width, _, _, patch = _shape(shapes, "vision_model.embeddings.patch_embedding.weight")
    positions = _shape(shapes, "vision_model.embeddings.position_embedding.weight")[0]
    if (tile // patch) ** 2 != positions:
        raise ValueError(
            f"the tower's input has {tile} px, which is {tile // patch} patches of {patch} px a side, and its position "
            f"embedding has {positions} rows ({math.isqrt(positions)} a side): mm_vision_tower names another tower"
        )
    if width % SO400M_HEAD_WIDTH:
        raise ValueError(
            f"the tower is {width} wide, which is no multiple of the {SO400M_HEAD_WIDTH} of SigLIP's heads"
        )
    numbers = re.findall(r"vision_model\.encoder\.layers\.(\d+)\.", " ".join(shapes))
    if len(set(numbers)) == SO400M_LAYERS:
        raise ValueError(
            f"the tower was saved with all {SO400M_LAYERS} layers of SigLIP, and LLaVA-OneVision goes without the last "
            f"(siglip_encoder.py:563-574): remove the tensors of vision_model.encoder.layers.{SO400M_LAYERS - 1}"
        )
    return {
        "model_type": "siglip_vision_model",
        "hidden_size": width,
        "intermediate_size": _shape(shapes, "vision_model.encoder.layers.0.mlp.fc1.weight")[0],
        "num_hidden_layers": len(set(numbers)),
        "num_attention_heads": width // SO400M_HEAD_WIDTH,
        "patch_size": patch,
        "image_size": tile,
        "vision_use_head": False,
    }


def original_tokenizer(directory: Path) -> Tokenizer:
    """Build Qwen2's tokenizer from vocab.json and merges.txt, for a checkpoint without tokenizer.json.

    Raises:
        CheckpointError: A file is missing, or the added tokens do not fit vocab.json.
    """
    check_tokenizer_files(directory)
    tokenizer = Tokenizer(BPE.from_file(str(directory / "vocab.json"), str(directory / "merges.txt")))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    numbered = _added_tokens(directory)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in numbered])
    for token, number in numbered.items():
        if tokenizer.token_to_id(token) != number:
            raise CheckpointError(
                f"model directory {directory}: token {shortened(token)} is to have the id {number}, and the next "
                "free one is "
                f"{tokenizer.token_to_id(token)}: vocab.json and the added tokens are of different models"
            )
    return tokenizer


def _added_tokens(directory: Path) -> dict[str, int]:
    """Ids of the added tokens, sorted by id, from added_tokens.json or else tokenizer_config.json."""
    file = directory / "added_tokens.json"
    if file.is_file():
        found = json.loads(file.read_text())
    else:
        file = directory / "tokenizer_config.json"
        content = json.loads(file.read_text()) if file.is_file() else {}
        decoder = content.get("added_tokens_decoder", {})
        found = {token["content"]: int(number) for number, token in decoder.items()}
    return dict(sorted(found.items(), key=lambda item: int(item[1])))
