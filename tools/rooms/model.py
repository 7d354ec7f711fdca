"""The rooms model: a small LLaVA-OneVision, how it begins, and how it is written as a checkpoint."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save_file
from tokenizers import Tokenizer
from torch import nn
from transformers import (
    AttentionInterface,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    Qwen2Config,
    SiglipVisionConfig,
)

from llava_ov_ros.onevision.canonical_names import published_name
from tokenizer import END_OF_TEXT, IM_END, IMAGE, VIDEO, tokenizer_config

PLAIN_ATTENTION = "plain"
PICTURE_PX, PATCH_PX = 96, 8
SIDE = PICTURE_PX // PATCH_PX
LONGEST_ANSWER = 96
VISION_WIDTH, VISION_LAYERS = 128, 5
TEXT_WIDTH, TEXT_MLP, TEXT_LAYERS = 192, 512, 6
# Few wide heads: on a CPU attention costs by the number of scores.
HEAD_WIDTH = 64
# At width 128 to 256 the usual 0.02 leaves attention uniform for very long; 1/sqrt(fan in) does not.
EMBEDDING_STD = 0.06


def configuration(tokenizer: Tokenizer) -> LlavaOnevisionConfig:
    """Widths and depths; the only place where they stand."""
    end, pad = tokenizer.token_to_id(IM_END), tokenizer.token_to_id(END_OF_TEXT)
    return LlavaOnevisionConfig(
        vision_config=SiglipVisionConfig(
            hidden_size=VISION_WIDTH,
            intermediate_size=3 * VISION_WIDTH,
            num_hidden_layers=VISION_LAYERS,
            num_attention_heads=VISION_WIDTH // HEAD_WIDTH,
            image_size=PICTURE_PX,
            patch_size=PATCH_PX,
            vision_use_head=False,
        ),
        text_config=Qwen2Config(
            vocab_size=math.ceil(tokenizer.get_vocab_size() / 8) * 8,
            hidden_size=TEXT_WIDTH,
            intermediate_size=TEXT_MLP,
            num_hidden_layers=TEXT_LAYERS,
            num_attention_heads=TEXT_WIDTH // HEAD_WIDTH,
            num_key_value_heads=1,
            max_position_embeddings=4096,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=end,
            pad_token_id=pad,
        ),
        image_token_index=tokenizer.token_to_id(IMAGE),
        video_token_index=tokenizer.token_to_id(VIDEO),
        image_grid_pinpoints=[[PICTURE_PX, PICTURE_PX]],
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=True,
    )


def new_model(tokenizer: Tokenizer, seed: int) -> Any:
    """An untrained model in float32; the same for the same seed."""
    torch.manual_seed(seed)
    model = LlavaOnevisionForConditionalGeneration(configuration(tokenizer)).float()
    model.set_attn_implementation(PLAIN_ATTENTION)
    inner = model.model
    for part in (inner.vision_tower, inner.multi_modal_projector, inner.language_model):
        for module in part.modules():
            _begin(module)
    for layer in inner.language_model.layers:
        # Residual branches begin small, so that six layers start as one.
        for last in (layer.self_attn.o_proj, layer.mlp.down_proj):
            last.weight.data.mul_(0.5)
    inner.image_newline.data.normal_(0, EMBEDDING_STD)
    return model


def _begin(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0, 1 / math.sqrt(module.in_features))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, 0, EMBEDDING_STD)


def plain_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **rest: Any,
) -> tuple[torch.Tensor, None]:
    """Attention by two matrix products; with bfloat16 on a CPU twice as fast there and back as torch's own.

    Args:
        module: The attention layer.
        query: (n, heads, length, width).
        key: (n, key heads, length, width).
        value: Like the keys.
        attention_mask: bool, True where to look, broadcast over heads; None: everywhere.
        scaling: Of the scores.
        dropout: Not used: the model has none.
        rest: What other implementations need.

    Returns:
        (n, length, heads, width), and no weights.
    """
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = torch.matmul(query, key.transpose(2, 3)) * scaling
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    # Under autocast softmax would run in float32.
    with torch.autocast(scores.device.type, enabled=False):
        weights = torch.softmax(scores, -1)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), None


AttentionInterface.register(PLAIN_ATTENTION, plain_attention)


def read_checkpoint(model: Any, tokenizer: Tokenizer, folder: Path) -> None:
    """Give a model the weights of a checkpoint.

    Args:
        model: Of `new_model`.
        tokenizer: What the model is going to be trained with.
        folder: As `write_checkpoint` writes it.

    Raises:
        ValueError: The checkpoint knows other words.
        RuntimeError: It has other widths; the text names each tensor.
    """
    if Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab() != tokenizer.get_vocab():
        raise ValueError(f"{folder / 'tokenizer.json'}: has other words than these rooms")
    model.load_state_dict(LlavaOnevisionForConditionalGeneration.from_pretrained(folder).float().state_dict())


def write_checkpoint(model: Any, tokenizer: Tokenizer, folder: Path) -> None:
    """Write a checkpoint in transformers' format, weights in bfloat16.

    Args:
        model: What was trained.
        tokenizer: Its tokenizer.
        folder: Is replaced where it exists, but for its README.md.
    """
    folder.mkdir(parents=True, exist_ok=True)
    half = LlavaOnevisionForConditionalGeneration(model.config).to(torch.bfloat16)
    half.load_state_dict({name: tensor.to(torch.bfloat16) for name, tensor in model.state_dict().items()})
    settings = half.generation_config
    settings.eos_token_id, settings.pad_token_id = tokenizer.token_to_id(IM_END), tokenizer.token_to_id(END_OF_TEXT)
    settings.max_new_tokens, settings.do_sample = LONGEST_ANSWER, False
    half.save_pretrained(folder)
    _for_other_readers(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config(), indent=1) + "\n")
    (folder / "processor_config.json").write_text(json.dumps(_processor(), indent=1) + "\n")
    here = Path(__file__).resolve().parent
    shutil.copy(here / "chat_template.jinja", folder / "chat_template.jinja")


def _for_other_readers(folder: Path) -> None:
    """Write what transformers 5 has saved as published checkpoints have it, so that transformers 4 and vLLM read it."""
    file = folder / "model.safetensors"
    # Read whole: a mapped file cannot be written over.
    tensors = load(file.read_bytes())
    save_file({published_name(name): tensor for name, tensor in tensors.items()}, file, {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    text = config["text_config"]
    # transformers 4 does not look into rope_parameters.
    text["rope_theta"] = text["rope_parameters"]["rope_theta"]
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def _processor() -> dict[str, Any]:
    pixels = {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"height": PICTURE_PX, "width": PICTURE_PX},
    }
    return {
        "processor_class": "LlavaOnevisionProcessor",
        "image_processor": {
            **pixels,
            "do_pad": True,
            "image_grid_pinpoints": [[PICTURE_PX, PICTURE_PX]],
            "image_processor_type": "LlavaOnevisionImageProcessor",
        },
        "video_processor": {
            **pixels,
            "do_sample_frames": False,
            "return_metadata": False,
            "video_processor_type": "LlavaOnevisionVideoProcessor",
        },
        "image_token": IMAGE,
        "video_token": VIDEO,
        "num_image_tokens": SIDE**2,
        "vision_aspect_ratio": "anyres_max_9",
        "vision_feature_select_strategy": "full",
    }
