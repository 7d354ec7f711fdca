"""Attention over a shared prefix and suffixes of each row's own, at scores as large as Qwen2's, against float64."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from llava_ov_ros.onevision.key_values import attention

# Of Qwen2's layers with the largest biases: standard deviations of keys and queries.
KEY_SPREAD, QUERY_SPREAD = 26.0, 3.5
PREFIX = 784
KV_HEADS, GROUP = 2, 7
MOST_OF_SDPA = 1.5


def example(rows: int, tokens: int, suffix: int, width: int, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(rows * 1000 + tokens)

    def drawn(spread: float, *shape: int) -> torch.Tensor:
        return (torch.randn(shape, generator=generator, dtype=torch.float64) * spread).to(dtype)

    visible = suffix - tokens + 1 + torch.arange(tokens)
    return {
        "q": drawn(QUERY_SPREAD, rows, KV_HEADS, GROUP, tokens, width),
        "prefix_keys": drawn(KEY_SPREAD, KV_HEADS, PREFIX, width),
        "prefix_values": drawn(1.0, KV_HEADS, PREFIX, width),
        "keys": drawn(KEY_SPREAD, rows, KV_HEADS, suffix, width),
        "values": drawn(1.0, rows, KV_HEADS, suffix, width),
        "hidden": (torch.arange(suffix) >= visible[:, None]).expand(rows, tokens, suffix),
    }


def joined(given: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Query, keys, values and mask as plain attention takes them: each row with the whole of what it looks at."""
    rows, _, _, tokens, _ = given["q"].shape
    keys, values = (
        torch.cat([given[f"prefix_{name}"].expand(rows, -1, -1, -1), given[name]], dim=2) for name in ("keys", "values")
    )
    shown = torch.cat([torch.ones(rows, tokens, PREFIX, dtype=torch.bool), ~given["hidden"]], dim=2)
    return given["q"].flatten(2, 3), keys, values, shown.repeat(1, GROUP, 1)[:, None]


def exact(given: dict[str, torch.Tensor]) -> torch.Tensor:
    q, keys, values, shown = joined(given)
    scores = q.double() @ keys.double().transpose(2, 3) * q.shape[-1] ** -0.5
    weights = torch.softmax(scores.masked_fill(~shown, float("-inf")), dim=-1)
    return (weights @ values.double()).view(given["q"].shape)


def fused(given: dict[str, torch.Tensor]) -> torch.Tensor:
    q, keys, values, shown = joined(given)
    return functional.scaled_dot_product_attention(q, keys, values, attn_mask=shown).view(given["q"].shape)


def error(found: torch.Tensor, truth: torch.Tensor) -> float:
    return float((found.double() - truth).norm() / truth.norm())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
@pytest.mark.parametrize("width", [64, 128])
@pytest.mark.parametrize(("rows", "tokens", "suffix"), [(1, 1, 40), (16, 1, 40), (4, 24, 24), (6, 3, 27)], ids=str)
def test_the_error_is_that_of_sdpa(dtype: torch.dtype, width: int, rows: int, tokens: int, suffix: int) -> None:
    """One and many rows of a decode step, a prefill of questions, choices behind them."""
    given = example(rows, tokens, suffix, width, dtype)
    truth = exact(given)
    ours, theirs = error(attention(**given), truth), error(fused(given), truth)
    assert theirs > 0
    assert ours <= MOST_OF_SDPA * theirs, f"{ours:.3%} against {theirs:.3%}"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_what_lies_behind_a_prefix_of_fixed_capacity_has_no_part(dtype: torch.dtype) -> None:
    given = example(3, 1, 40, 64, dtype)
    truth = exact(given)
    for name in ("prefix_keys", "prefix_values"):
        given[name] = functional.pad(given[name], (0, 0, 0, 240))
    given["prefix_hidden"] = torch.arange(PREFIX + 240) >= PREFIX
    found = attention(**given)
    given = {name: tensor for name, tensor in given.items() if name != "prefix_hidden"}
    for name in ("prefix_keys", "prefix_values"):
        given[name] = given[name][:, :PREFIX]
    assert error(found, truth) <= MOST_OF_SDPA * error(fused(given), truth)
