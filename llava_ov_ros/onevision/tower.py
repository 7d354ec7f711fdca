"""SigLIP's tower and the projector over packed weights, as the engine computes them on an x86-64 CPU.

The arithmetic is that of `modules.py`, except that the sums of float32 have another order and that a product with GELU
is rounded once instead of twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from .linear import JoinedLinear, gelu, give_back, joined, packs_weights
from .modules import OneVision

# With AMX, torch's attention in bfloat16 takes a quarter less time for whole groups of keys than for 729.
KEYS_IN_GROUP = 16


@dataclass(frozen=True, eq=False)
class TowerLayer:
    """One layer of the tower.

    Attributes:
        attention_norm: Norm before the attention.
        qkv: Makes queries, keys and values.
        out: Output of the attention.
        mlp_norm: Norm before the MLP.
        fc1: First layer of the MLP, before GELU.
        fc2: Second layer of the MLP.
    """

    attention_norm: nn.LayerNorm
    qkv: JoinedLinear
    out: JoinedLinear
    mlp_norm: nn.LayerNorm
    fc1: JoinedLinear
    fc2: JoinedLinear

    @property
    def products(self) -> tuple[JoinedLinear, ...]:
        """All linear layers."""
        return self.qkv, self.out, self.fc1, self.fc2


@dataclass(frozen=True, eq=False)
class Tower:
    """The tower up to the layer whose states become visual tokens, and the projector.

    Attributes:
        embeddings: Makes the states of the first layer, (n, patches, hidden), from tiles.
        layers: The layers.
        projector: The projector's two layers, with GELU between them.
        width: Width of a head.
        padding: Rows behind the patches that no patch attends to.
        mask: (1, 1, 1, patches + padding), 0 for patches and -inf for padding; None without padding.
    """

    embeddings: nn.Module
    layers: tuple[TowerLayer, ...]
    projector: tuple[JoinedLinear, JoinedLinear]
    width: int
    padding: int
    mask: torch.Tensor | None


@torch.no_grad()
def packed_tower(model: Any) -> Tower | None:
    """The tower of a model over packed weights; its modules then have meta tensors, until `fill_tower` fills them.

    Args:
        model: OneVision or LlavaOnevisionForConditionalGeneration.

    Returns:
        None where weights are not packed, where the attention is not SDPA, and for a model of transformers: its tower
        runs as its modules have it.
    """
    weight = model.model.image_newline
    if not isinstance(model, OneVision) or model.attention != "sdpa" or not packs_weights(weight.device, weight.dtype):
        return None
    layers = []
    for layer in _chosen_layers(model):
        qkv, out, fc1, fc2 = (joined(modules) for modules in _layer_products(layer))
        layers.append(TowerLayer(layer.layer_norm1, qkv, out, layer.layer_norm2, fc1, fc2))
    first, second = (joined(modules) for modules in _projector_products(model))
    vision, embeddings = model.config.vision_config, model.model.vision_tower.embeddings
    patches = len(embeddings.position_embedding.weight)
    padding = -patches % KEYS_IN_GROUP if weight.dtype == torch.bfloat16 else 0
    return Tower(
        embeddings=embeddings,
        layers=tuple(layers),
        projector=(first, second),
        width=vision.hidden_size // vision.num_attention_heads,
        padding=padding,
        mask=_mask(patches, padding, weight) if padding else None,
    )


def run_tower(tower: Tower, pixels: torch.Tensor) -> torch.Tensor:
    """Features of tiles, through the projector.

    Args:
        tower: The tower.
        pixels: Normalised (n, 3, size, size).

    Returns:
        (n, patches, hidden of the language model).
    """
    states = tower.embeddings(pixels)
    patches = states.shape[1]
    if tower.padding:
        states = functional.pad(states, (0, 0, 0, tower.padding))
    for layer in tower.layers:
        qkv = layer.qkv(layer.attention_norm(states))
        q, k, v = qkv.view(*qkv.shape[:2], 3, -1, tower.width).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(q, k, v, tower.mask, scale=tower.width**-0.5)
        states = states + layer.out(attended.transpose(1, 2).flatten(2))
        states = states + layer.fc2(gelu(layer.mlp_norm(states), layer.fc1, "tanh"))
    first, second = tower.projector
    return second(gelu(states[:, :patches], first, "none"))


def fill_tower(model: OneVision, tower: Tower) -> None:
    """Give the modules of a model, whose weights were packed, their weights again.

    Args:
        model: The model.
        tower: What `packed_tower` made of it.
    """
    for layer, packed in zip(_chosen_layers(model), tower.layers, strict=True):
        for modules, product in zip(_layer_products(layer), packed.products, strict=True):
            give_back(modules, product.weights[0])
    for modules, product in zip(_projector_products(model), tower.projector, strict=True):
        give_back(modules, product.weights[0])


def tower_bytes(tower: Tower) -> int:
    """Bytes of the packed weights, which are no longer weights of the model's modules."""
    products = [product for layer in tower.layers for product in layer.products] + list(tower.projector)
    return sum(product.weights[0].nbytes for product in products)


def _mask(patches: int, padding: int, like: torch.Tensor) -> torch.Tensor:
    mask = like.new_zeros(1, 1, 1, patches + padding)
    mask[..., patches:] = -torch.inf
    return mask


def _chosen_layers(model: OneVision) -> Any:
    """The modules of the layers up to the one whose states become visual tokens."""
    layers = model.model.vision_tower.encoder.layers
    # Index into the hidden states: 0 is the embeddings, then one per layer.
    return layers[: model.config.vision_feature_layer % (len(layers) + 1)]


def _layer_products(layer: Any) -> tuple[list[Any], ...]:
    """The linear layers of a layer, those of one input together: those of `TowerLayer.products`."""
    attention, mlp = layer.self_attn, layer.mlp
    return [attention.q_proj, attention.k_proj, attention.v_proj], [attention.out_proj], [mlp.fc1], [mlp.fc2]


def _projector_products(model: OneVision) -> tuple[list[Any], ...]:
    projector = model.model.multi_modal_projector
    return [projector.linear_1], [projector.linear_2]
