"""Qwen2 as plain functions over the checkpoint's tensors, readable from top to bottom.

The arithmetic is that of transformers' modeling_qwen2.py. The engine has its own functions because it keeps keys and
values in a layout (a prefix shared by all rows, a suffix per row) that no cache of transformers offers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

FEW_ROWS = 16

Attend = Callable[[int, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Stores a layer's new keys and values, and attends: (layer, q (B, kv heads, group, T, D), k (B, kv heads, T, D), v
(B, kv heads, T, D)) to (B, kv heads, group, T, D)."""


@dataclass(frozen=True, eq=False)
class Layer:
    """Weights of one decoder layer; q, k and v are each a weight and a bias."""

    input_norm: torch.Tensor
    q: tuple[torch.Tensor, torch.Tensor]
    k: tuple[torch.Tensor, torch.Tensor]
    v: tuple[torch.Tensor, torch.Tensor]
    o: torch.Tensor
    post_norm: torch.Tensor
    gate: torch.Tensor
    up: torch.Tensor
    down: torch.Tensor


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """Qwen2's weights and shapes; all tensors are those of the loaded model, none is copied.

    Attributes:
        layers: The decoder's layers.
        embedding: (vocabulary, hidden).
        norm: (hidden,).
        head: (vocabulary, hidden); the embedding itself if the two are tied.
        cos: Rotary table, (context, head width).
        sin: Rotary table, (context, head width).
        epsilon: Epsilon of the norms.
        kv_heads: Number of key-value heads.
        group: Query heads per key-value head.
        width: Width of a head (D).
    """

    layers: tuple[Layer, ...]
    embedding: torch.Tensor
    norm: torch.Tensor
    head: torch.Tensor
    cos: torch.Tensor
    sin: torch.Tensor
    epsilon: float
    kv_heads: int
    group: int
    width: int

    @property
    def context(self) -> int:
        """Most positions of a prompt with its answer."""
        return self.cos.shape[0]


@torch.inference_mode()
def language_model(model: Any) -> LanguageModel:
    """The language model's weights of a OneVision or LlavaOnevisionForConditionalGeneration, without copies."""
    inner, config = model.model.language_model, model.config.text_config
    positions = torch.arange(config.max_position_embeddings, device=model.lm_head.weight.device)[None]
    cos, sin = inner.rotary_emb(inner.embed_tokens.weight[:1, :1], positions)
    layers = []
    for layer in inner.layers:
        attention, mlp = layer.self_attn, layer.mlp
        layers.append(
            Layer(
                input_norm=layer.input_layernorm.weight,
                q=(attention.q_proj.weight, attention.q_proj.bias),
                k=(attention.k_proj.weight, attention.k_proj.bias),
                v=(attention.v_proj.weight, attention.v_proj.bias),
                o=attention.o_proj.weight,
                post_norm=layer.post_attention_layernorm.weight,
                gate=mlp.gate_proj.weight,
                up=mlp.up_proj.weight,
                down=mlp.down_proj.weight,
            )
        )
    return LanguageModel(
        layers=tuple(layers),
        embedding=inner.embed_tokens.weight,
        norm=inner.norm.weight,
        head=model.lm_head.weight,
        cos=cos[0],
        sin=sin[0],
        epsilon=config.rms_norm_eps,
        kv_heads=config.num_key_value_heads,
        group=config.num_attention_heads // config.num_key_value_heads,
        width=inner.layers[0].self_attn.head_dim,
    )


def project(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """A linear layer, (..., inputs) to (..., outputs).

    On a CPU, BLAS multiplies a large matrix with a few columns two to three times faster than a few rows with its
    transpose. Its product with a single vector uses one core only, so a single row is computed twice.
    """
    rows = x.numel() // x.shape[-1]
    if x.device.type != "cpu" or rows > FEW_ROWS:
        return functional.linear(x, weight, bias)
    columns = x.reshape(rows, -1)
    columns = weight @ (columns if rows > 1 else columns.repeat(2, 1)).T
    result = columns[:, :rows].T
    return (result if bias is None else result + bias).reshape(*x.shape[:-1], -1)


def rms_norm(x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
    """Root-mean-square norm of x, (..., hidden), with a weight (hidden,).

    The norm is computed in float32 and, as in transformers, rounded to the type of x before the weight is applied.
    """
    wide = x.float()
    wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + epsilon)
    return weight * wide.to(x.dtype)


def rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary position embedding, half-split form.

    Args:
        x: (B, heads, T, D).
        cos: (B or 1, 1, T, D).
        sin: (B or 1, 1, T, D).
    """
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


def run_layers(model: LanguageModel, x: torch.Tensor, positions: torch.Tensor, attend: Attend) -> torch.Tensor:
    """Run new tokens through all layers.

    Args:
        model: The weights.
        x: Embeddings of the new tokens, (B, T, hidden).
        positions: Positions of the new tokens, (B or 1, T).
        attend: Stores the tokens' keys and values, and attends to all that are stored.

    Returns:
        Hidden states before the final norm, (B, T, hidden).
    """
    batch, length, _ = x.shape
    cos, sin = model.cos[positions][:, None], model.sin[positions][:, None]
    for index, layer in enumerate(model.layers):
        normed = rms_norm(x, layer.input_norm, model.epsilon)
        q, k, v = (
            project(normed, *weights).view(batch, length, -1, model.width).transpose(1, 2)
            for weights in (layer.q, layer.k, layer.v)
        )
        q = rotated(q, cos, sin).view(batch, model.kv_heads, model.group, length, model.width)
        attended = attend(index, q, rotated(k, cos, sin), v)
        attended = attended.reshape(batch, -1, length, model.width).transpose(1, 2).reshape(batch, length, -1)
        x = x + project(attended, layer.o)
        normed = rms_norm(x, layer.post_norm, model.epsilon)
        gated = functional.silu(project(normed, layer.gate)) * project(normed, layer.up)
        x = x + project(gated, layer.down)
    return x


def logits_of(model: LanguageModel, states: torch.Tensor) -> torch.Tensor:
    """Next-token logits in float32, (B, vocabulary), from hidden states of one position per row (B, hidden)."""
    # `project` may return a transposed product, over whose rows later operations take two to four times as long.
    return project(rms_norm(states, model.norm, model.epsilon), model.head).float().contiguous()
