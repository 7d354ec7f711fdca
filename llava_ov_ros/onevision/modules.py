"""LLaVA-OneVision as modules of torch: the tower and projector that run, and the language model's weights.

The arithmetic is that of transformers' modeling_siglip.py and modeling_llava_onevision.py, operation by operation, so
that features are the same to the bit. Names of modules are those of transformers 5. The language model's layers are
without `forward`: `language.py` computes with their weights. So does `tower.py` with the tower's where they are packed.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from .plain_config import PlainConfig, TextConfig, VisionConfig


class OneVision(nn.Module):
    """The whole model of a configuration.

    Attributes:
        config: The configuration.
        attention: Attention implementation of the vision tower: sdpa or eager.
    """

    def __init__(self, config: PlainConfig, attention: str) -> None:
        super().__init__()
        self.config = config
        self.attention = attention
        self.model = _Parts(config, attention)
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)


class _Parts(nn.Module):
    def __init__(self, config: PlainConfig, attention: str) -> None:
        super().__init__()
        self.image_newline = nn.Parameter(torch.empty(config.text_config.hidden_size))
        self.vision_tower = _Tower(config.vision_config, attention)
        self.multi_modal_projector = _Projector(config)
        self.language_model = _LanguageModel(config.text_config)


class _Tower(nn.Module):
    """SigLIP: normalised tiles (n, 3, size, size) to the last layer's states (n, patches, hidden)."""

    def __init__(self, config: VisionConfig, attention: str) -> None:
        super().__init__()
        self.embeddings = _Embeddings(config)
        self.encoder = _Encoder(config, attention)
        # Checkpoints have it; LLaVA-OneVision looks at the states before it.
        self.post_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self.embeddings(pixels)
        for layer in self.encoder.layers:
            states = layer(states)
        return states


class _Embeddings(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        patch, positions = config.patch_size, (config.image_size // config.patch_size) ** 2
        self.patch_embedding = nn.Conv2d(3, config.hidden_size, kernel_size=patch, stride=patch)
        self.position_embedding = _table(positions, config.hidden_size)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        patches: torch.Tensor = self.patch_embedding(pixels)
        return patches.flatten(2).transpose(1, 2) + self.position_embedding.weight[None]


class _Encoder(nn.Module):
    def __init__(self, config: VisionConfig, attention: str) -> None:
        super().__init__()
        self.layers = nn.ModuleList([_TowerLayer(config, attention) for _ in range(config.num_hidden_layers)])


class _TowerLayer(nn.Module):
    def __init__(self, config: VisionConfig, attention: str) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.self_attn = _TowerAttention(config, attention)
        self.layer_norm2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = _TowerMlp(config)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        states = states + self.self_attn(self.layer_norm1(states))
        result: torch.Tensor = states + self.mlp(self.layer_norm2(states))
        return result


class _TowerAttention(nn.Module):
    def __init__(self, config: VisionConfig, attention: str) -> None:
        super().__init__()
        width = config.hidden_size
        self.head_dim = width // config.num_attention_heads
        self.is_eager = attention == "eager"
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            project(states).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        scale = self.head_dim**-0.5
        if self.is_eager:
            weights = functional.softmax(q @ k.transpose(-1, -2) * scale, dim=-1, dtype=torch.float32)
            attended = weights.to(q.dtype) @ v
        else:
            attended = functional.scaled_dot_product_attention(
                q.contiguous(), k.contiguous(), v.contiguous(), scale=scale
            )
        result: torch.Tensor = self.out_proj(attended.transpose(1, 2).flatten(2))
        return result


class _TowerMlp(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.fc2(functional.gelu(self.fc1(states), approximate="tanh"))
        return result


class _Projector(nn.Module):
    """Features of the tower (..., tower's hidden) to visual tokens (..., language model's hidden)."""

    def __init__(self, config: PlainConfig) -> None:
        super().__init__()
        width, bias = config.text_config.hidden_size, config.multimodal_projector_bias
        self.linear_1 = nn.Linear(config.vision_config.hidden_size, width, bias=bias)
        self.linear_2 = nn.Linear(width, width, bias=bias)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.linear_2(functional.gelu(self.linear_1(features)))
        return result


def _table(rows: int, width: int) -> nn.Embedding:
    # Without random numbers first: on the meta device, torch would import its compiler for them, which takes a second.
    return nn.Embedding(rows, width, _weight=torch.empty(rows, width))


class _LanguageModel(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.embed_tokens = _table(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList([_LanguageLayer(config) for _ in range(config.num_hidden_layers)])
        self.norm = _Scale(config.hidden_size)
        # Its table is computed on a real device, once the weights are there.
        self.rotary_emb: RotaryEmbedding | None = None


class _LanguageLayer(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.self_attn = _LanguageAttention(config)
        self.mlp = _LanguageMlp(config)
        self.input_layernorm = _Scale(config.hidden_size)
        self.post_attention_layernorm = _Scale(config.hidden_size)


class _LanguageAttention(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.head_dim = config.hidden_size // config.num_attention_heads
        heads, groups = config.num_attention_heads * self.head_dim, config.num_key_value_heads * self.head_dim
        self.q_proj = nn.Linear(config.hidden_size, heads)
        self.k_proj = nn.Linear(config.hidden_size, groups)
        self.v_proj = nn.Linear(config.hidden_size, groups)
        self.o_proj = nn.Linear(heads, config.hidden_size, bias=False)


class _LanguageMlp(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)


class _Scale(nn.Module):
    """The weight of a root-mean-square norm, (hidden,)."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(hidden))


class RotaryEmbedding(nn.Module):
    """Rotary embeddings of plain Qwen2 (modeling_qwen2.py): positions to cosines and sines."""

    inv_freq: torch.Tensor

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        width = config.hidden_size // config.num_attention_heads
        frequencies = 1.0 / (config.rope_theta ** (torch.arange(0, width, 2, dtype=torch.float) / width))
        self.register_buffer("inv_freq", frequencies, persistent=False)

    def forward(self, x: torch.Tensor, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Tables of positions.

        Args:
            x: Any tensor; the result has its type.
            positions: (B, T).

        Returns:
            Cosines and sines, (B, T, head width).
        """
        half = positions[..., None].float() * self.inv_freq
        angles = torch.cat((half, half), dim=-1)
        return angles.cos().to(x.dtype), angles.sin().to(x.dtype)
