"""Qwen2 as plain functions over the checkpoint's tensors, readable from top to bottom.

The arithmetic is that of transformers' modeling_qwen2.py. The engine has its own functions because it keeps keys and
values in a layout (a prefix shared by all rows, a suffix per row) that no cache of transformers offers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from .canonical_names import canonical_name
from .linear import JoinedLinear, QuantisedWeight, Weight, give_back, is_taken, joined, packed, packs_weights, project

Attend = Callable[[int, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Stores a layer's new keys and values, and attends: (layer, q (B, kv heads, group, T, D), k (B, kv heads, T, D), v
(B, kv heads, T, D)) to (B, kv heads, group, T, D)."""

TakeWeights = Callable[[Sequence[nn.Linear]], JoinedLinear]
"""Takes over the weights of layers that have the same input, such as `linear.joined`."""


@dataclass(frozen=True, eq=False)
class Layer:
    """Weights of one decoder layer.

    Attributes:
        input_norm: (hidden,).
        qkv: Makes queries, keys and values.
        o: Output of the attention.
        post_norm: (hidden,).
        gate_up: Makes the gate and what it gates.
        down: Output of the MLP.
    """

    input_norm: torch.Tensor
    qkv: JoinedLinear
    o: JoinedLinear
    post_norm: torch.Tensor
    gate_up: JoinedLinear
    down: JoinedLinear

    @property
    def products(self) -> tuple[JoinedLinear, ...]:
        """All linear layers."""
        return self.qkv, self.o, self.gate_up, self.down


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """Qwen2's weights and shapes.

    Attributes:
        layers: The decoder's layers.
        embedding: (vocabulary, hidden).
        norm: (hidden,).
        head: (vocabulary, hidden); the embedding itself if the two are tied and it is neither packed nor quantised.
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
    head: Weight
    cos: torch.Tensor
    sin: torch.Tensor
    epsilon: float
    kv_heads: int
    group: int
    width: int

    @property
    def vocabulary(self) -> int:
        """Number of tokens that have a logit."""
        return self.embedding.shape[0]

    @property
    def context(self) -> int:
        """Most positions of a prompt with its answer."""
        return self.cos.shape[0]


@torch.no_grad()
def language_model(model: Any, *, take: TakeWeights = joined, take_head: TakeWeights | None = None) -> LanguageModel:
    """The language model's weights of a OneVision or LlavaOnevisionForConditionalGeneration.

    Weights are joined, and packed where that is faster (see `linear.joined`). Their modules then have views of them or
    meta tensors, so this is done once for a model.

    Args:
        model: The model.
        take: Takes over the weights of layers that have the same input.
        take_head: Takes over the head's weight; None: it is packed where that is faster.
    """
    inner, config = model.model.language_model, model.config.text_config
    embedding = inner.embed_tokens.weight
    positions = torch.arange(config.max_position_embeddings, device=embedding.device)[None]
    cos, sin = inner.rotary_emb(embedding[:1, :1], positions)
    layers = []
    for layer in inner.layers:
        qkv, o, gate_up, down = (take(modules) for modules in _products(layer))
        norms = layer.input_layernorm.weight, layer.post_attention_layernorm.weight
        layers.append(Layer(norms[0], qkv, o, norms[1], gate_up, down))
    return LanguageModel(
        layers=tuple(layers),
        embedding=embedding,
        norm=inner.norm.weight,
        head=_head(model.lm_head, embedding) if take_head is None else take_head([model.lm_head]).weights[0],
        cos=cos[0],
        sin=sin[0],
        epsilon=config.rms_norm_eps,
        kv_heads=config.num_key_value_heads,
        group=config.num_attention_heads // config.num_key_value_heads,
        width=inner.layers[0].self_attn.head_dim,
    )


def _head(module: nn.Linear, embedding: torch.Tensor) -> Weight:
    # A head that is the embedding is packed beside it, because the embedding's rows are read one by one.
    if packs_weights(embedding.device, embedding.dtype) and module.weight.is_set_to(embedding):
        return packed(embedding)
    return joined([module]).weights[0]


def _products(layer: Any) -> tuple[list[Any], ...]:
    """The linear layers of a decoder layer, those of one input together: those of `Layer.qkv`, o, gate_up and down."""
    attention, mlp = layer.self_attn, layer.mlp
    return (
        [attention.q_proj, attention.k_proj, attention.v_proj],
        [attention.o_proj],
        [mlp.gate_proj, mlp.up_proj],
        [mlp.down_proj],
    )


def taking(model: Any, ready: Mapping[str, QuantisedWeight]) -> TakeWeights:
    """Takes over weights that are quantised already, each with a product of its own, and joins the others.

    Args:
        model: OneVision or LlavaOnevisionForConditionalGeneration, whose modules have meta tensors in their place.
        ready: The weights, by canonical name.
    """
    names = {module: canonical_name(f"{name}.weight") for name, module in model.named_modules()}

    def take(modules: Sequence[nn.Linear]) -> JoinedLinear:
        if not any(names[module] in ready for module in modules):
            return joined(modules)
        parts = [
            JoinedLinear((ready[names[module]],), (module.bias,)) if names[module] in ready else joined([module])
            for module in modules
        ]
        return JoinedLinear(
            tuple(weight for part in parts for weight in part.weights),
            tuple(bias for part in parts for bias in part.biases),
        )

    return take


def fill_modules(model: Any, language: LanguageModel) -> None:
    """Give the modules of a model, whose weights the engine may have packed, their weights again.

    Args:
        model: LlavaOnevisionForConditionalGeneration.
        language: What `language_model` made of it.
    """
    for theirs, ours in zip(model.model.language_model.layers, language.layers, strict=True):
        for modules, product in zip(_products(theirs), ours.products, strict=True):
            parts = [modules] if len(product.weights) == 1 else [[module] for module in modules]
            for some, weight in zip(parts, product.weights, strict=True):
                give_back(some, weight)
    give_back([model.lm_head], language.head)


def taken_bytes(language: LanguageModel) -> int:
    """Bytes of the packed and quantised weights, which are no longer weights of the model's modules."""
    products = (product for layer in language.layers for product in layer.products)
    weights = [weight for product in products for weight in product.weights] + [language.head]
    return sum(weight.nbytes for weight in weights if is_taken(weight))


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
    heads = model.kv_heads * model.group
    for index, layer in enumerate(model.layers):
        normed = rms_norm(x, layer.input_norm, model.epsilon)
        qkv = layer.qkv(normed).view(batch, length, -1, model.width).transpose(1, 2)
        # Queries and keys are rotated together.
        q, k = torch.split(rotated(qkv[:, : -model.kv_heads], cos, sin), [heads, model.kv_heads], dim=1)
        q = q.reshape(batch, model.kv_heads, model.group, length, model.width)
        attended = attend(index, q, k, qkv[:, -model.kv_heads :])
        attended = attended.reshape(batch, -1, length, model.width).transpose(1, 2).reshape(batch, length, -1)
        x = x + layer.o(attended)
        gate, up = layer.gate_up(rms_norm(x, layer.post_norm, model.epsilon)).chunk(2, dim=-1)
        x = x + layer.down(functional.silu(gate) * up)
    return x


def logits_of(model: LanguageModel, states: torch.Tensor) -> torch.Tensor:
    """Next-token logits in float32, (B, vocabulary), from hidden states of one position per row (B, hidden)."""
    # `project` may return a transposed product, over whose rows later operations take two to four times as long.
    return project(rms_norm(states, model.norm, model.epsilon), model.head).float().contiguous()
