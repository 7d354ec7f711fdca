"""Models with random weights in given shapes, for tests and benchmarks whose answers need no meaning."""

from __future__ import annotations

import itertools
import json
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from .checkpoint import Checkpoint, assembled
from .checkpoint_files import ARCHITECTURE
from .modules import OneVision
from .plain_config import PlainConfig, plain_config
from .prompt import DEFAULT_STYLE, PROMPT_STYLES
from .tokens import PromptTokenizer

# Size of the vocabulary of models/rooms/tokenizer.json, and its ids of visual tokens and the end token. The
# vocabularies of larger models have further ids, without text.
VOCABULARY = 720
IMAGE_ID, VIDEO_ID, END_ID = 714, 715, 713
TRUE_VISION_LAYERS = 26


def _config(tile: int, patch: int, vision: dict[str, int], text: dict[str, Any]) -> PlainConfig:
    config = plain_config(
        {
            "vision_config": {
                "model_type": "siglip_vision_model",
                "patch_size": patch,
                "image_size": tile,
                "vision_use_head": False,
                **vision,
            },
            "text_config": {"model_type": "qwen2", "eos_token_id": END_ID, "rope_theta": 1e6, **text},
            "image_token_index": IMAGE_ID,
            "video_token_index": VIDEO_ID,
            "image_grid_pinpoints": [[tile * i, tile * j] for i in range(1, 7) for j in range(1, 7)],
            "tie_word_embeddings": text["tie_word_embeddings"],
        }
    )
    assert config is not None
    return config


def nano_config() -> PlainConfig:
    """The smallest model with all features of the real ones: an odd grid of patches, grouped heads, 36 canvases."""
    vision = {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    text = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": VOCABULARY,
        "tie_word_embeddings": False,
    }
    return _config(70, 14, vision, text)


def _so400m(layers: int) -> dict[str, int]:
    """SigLIP-SO400M, google/siglip-so400m-patch14-384 without its last layer."""
    return {
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_hidden_layers": layers,
        "num_attention_heads": 16,
    }


def _qwen2_half_b(layers: int) -> dict[str, Any]:
    """Qwen2-0.5B-Instruct."""
    return {
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": layers,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
    }


def slice_config() -> PlainConfig:
    """The 0.5B at its true widths, two layers of each part: small enough for a CPU, with the true kernels' shapes."""
    return _config(384, 14, _so400m(2), _qwen2_half_b(2))


def half_b_config() -> PlainConfig:
    """LLaVA-OneVision 0.5B."""
    return _config(384, 14, _so400m(TRUE_VISION_LAYERS), _qwen2_half_b(24))


def seven_b_config() -> PlainConfig:
    """LLaVA-OneVision 7B."""
    text = {
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 152064,
        "tie_word_embeddings": False,
    }
    return _config(384, 14, _so400m(TRUE_VISION_LAYERS), text)


SHAPES: dict[str, Callable[[], PlainConfig]] = {
    "nano": nano_config,
    "slice": slice_config,
    "0.5b": half_b_config,
    "7b": seven_b_config,
}


def tensor_shapes(config: PlainConfig) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor of a model, by name; a tied lm_head is omitted."""
    with torch.device("meta"):
        model = OneVision(config, "sdpa")
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if config.tie_word_embeddings:
        shapes.pop("lm_head.weight")
    return shapes


def random_tensors(
    config: PlainConfig, seed: int, device: torch.device, dtype: torch.dtype
) -> Iterator[tuple[str, torch.Tensor]]:
    """Names and random values of all tensors of a model.

    Weights have the standard deviation 1 / sqrt(inputs), so that signals neither fade nor grow. The head's row of the
    end token is zero, so that a greedy answer continues up to `max_new_tokens`.

    Args:
        config: The model's configuration.
        seed: Seed of the weights; the weights also depend on the type of device.
        device: Device of the tensors.
        dtype: Type of the tensors.
    """
    shapes = tensor_shapes(config)
    generator = torch.Generator(device).manual_seed(seed)
    for name, shape in shapes.items():
        values = torch.randn(shape, generator=generator, device=device, dtype=dtype)
        if len(shape) > 1:
            values *= 1 / math.sqrt(math.prod(shape[1:])) if "embed_tokens" not in name else 1.0
        elif "norm" in name and name.endswith("weight"):
            values = torch.ones_like(values)
        else:
            values *= 0.02
        if name.endswith(("lm_head.weight", "embed_tokens.weight")):
            values[END_ID] = 0
        yield name, values


def random_checkpoint(
    shape: str,
    tokenizer: Path,
    *,
    device: torch.device,
    dtype: torch.dtype,
    seed: int = 0,
    attention: str = "sdpa",
    quantize: str = "none",
) -> Checkpoint:
    """A model with random weights in memory, ready for an engine.

    Args:
        shape: A key of SHAPES.
        tokenizer: A tokenizer.json with at most VOCABULARY tokens.
        device: Device of the weights.
        dtype: Type of the weights.
        seed: Seed of the weights.
        attention: Attention implementation of the vision tower: sdpa or eager.
        quantize: none, or how the language model's layers are quantised.
    """
    config = SHAPES[shape]()
    return assembled(
        config,
        dict(random_tensors(config, seed, device, dtype)),
        PromptTokenizer.from_file(tokenizer),
        name=f"random {shape}",
        style=PROMPT_STYLES[DEFAULT_STYLE],
        end_ids=frozenset({END_ID}),
        device=device,
        attention=attention,
        quantize=quantize,
    )


def widened(tokenizer: Path, vocabulary: int) -> PromptTokenizer:
    """A tokenizer extended to a model's vocabulary: pairs of the file's tokens become further tokens.

    Args:
        tokenizer: A tokenizer.json, whose tokens keep their ids.
        vocabulary: Number of tokens of the result.
    """
    content = json.loads(tokenizer.read_text())
    first = Tokenizer.from_file(str(tokenizer)).get_vocab_size()
    known = content["model"]["vocab"]
    pairs = itertools.product(sorted(known, key=known.__getitem__), repeat=2)
    added = [pair for pair in pairs if "".join(pair) not in known][: max(0, vocabulary - first)]
    content["model"]["merges"] += [list(pair) for pair in added]
    # Special tokens outside the vocabulary would get new ids behind the further tokens.
    known.update({token["content"]: token["id"] for token in content["added_tokens"]})
    known.update({"".join(pair): first + place for place, pair in enumerate(added)})
    return PromptTokenizer(Tokenizer.from_str(json.dumps(content)))


def write_random_checkpoint(config: PlainConfig, tokenizer: Path, directory: Path, seed: int) -> None:
    """Write a complete checkpoint with random weights: configuration, tokenizer and weights.

    Args:
        config: The model's configuration.
        tokenizer: A tokenizer.json with the vocabulary of the configuration.
        directory: Directory of the checkpoint; it is created, and files of the same names are overwritten.
        seed: Seed of the weights.
    """
    directory.mkdir(parents=True, exist_ok=True)
    tensors = dict(random_tensors(config, seed, torch.device("cpu"), torch.float32))
    save_file(tensors, directory / "model.safetensors")
    written = {"architectures": [ARCHITECTURE], "model_type": "llava_onevision", **config.fields()}
    (directory / "config.json").write_text(json.dumps(written, indent=1))
    shutil.copy(tokenizer, directory / "tokenizer.json")
