"""Finds the weights of a checkpoint that are quantised already, and refuses what cannot be computed with them."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import safe_open

from ..bounds import cited, shortened
from ..checkpoints import CheckpointError
from .canonical_names import canonical_name, is_product
from .foreign_weights import REMEDY
from .four_bit_codes import ABSMAX, KINDS, NESTED_ABSMAX, NESTED_TABLE, STATE, TABLE, StoredCodes
from .linear import QuantisedWeight
from .packed_integers import BITS, GROUP_INDEX, PACKED, SCALE, SHAPE, ZERO_POINT, StoredIntegers

FIELD = "quantization_config"
COMPRESSED, BITSANDBYTES = "compressed-tensors", "bitsandbytes"
_FLOATS = ("F32", "F16", "BF16")
# Fields of compressed-tensors' configuration that ask for more than quantised weights.
_FURTHER = ("kv_cache_scheme", "transform_config", "sparsity_config", "moe_sparsity_config")
_MOST_STATE_BYTES = 4096


@dataclass(frozen=True)
class TensorEntry:
    """A tensor of a safetensors file: its shape, and the file's name of its type (F32, BF16, I8, ...)."""

    shape: tuple[int, ...]
    dtype: str


Entries = Mapping[str, TensorEntry]


class StoredWeight(Protocol):
    """A quantised weight in a checkpoint's files."""

    @property
    def shape(self) -> tuple[int, int]:
        """(outputs, inputs)."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the tensors that it is stored as."""

    @property
    def words(self) -> str:
        """Its kind, for messages."""

    def nbytes(self, dtype: torch.dtype) -> int:
        """Bytes of the weight as it is held by a model of a number format."""

    def taken(self, tensors: dict[str, torch.Tensor], dtype: torch.dtype) -> QuantisedWeight:
        """Build the weight for a model of a number format from its tensors, which leave the dictionary."""


@dataclass(frozen=True)
class QuantisedFiles:
    """The weights of a checkpoint that are quantised already.

    Attributes:
        method: compressed-tensors or bitsandbytes.
        weights: Each weight by the name that it would have in the files if it were not quantised.
    """

    method: str
    weights: Mapping[str, StoredWeight]

    def __str__(self) -> str:
        return f"{self.method}, {' and '.join(sorted({one.words for one in self.weights.values()}))}"

    @property
    def parts(self) -> frozenset[str]:
        """Names of all tensors that quantised weights are stored as."""
        return frozenset(part for one in self.weights.values() for part in one.parts)

    def nbytes(self, dtype: torch.dtype) -> dict[str, int]:
        """Bytes of the weights that stay quantised, by canonical name, in a model of a number format."""
        named = {canonical_name(name): one for name, one in self.weights.items()}
        return {name: one.nbytes(dtype) for name, one in named.items() if is_product(name)}

    def taken(
        self, tensors: dict[str, torch.Tensor], dtype: torch.dtype, directory: Path
    ) -> dict[str, QuantisedWeight]:
        """Build the weights from their tensors, which leave the dictionary, one weight after the other.

        Weights of other modules than the language model's linear layers enter the dictionary, dequantised: tower,
        projector and embedding are modules of torch, and a small part of a large model.

        Args:
            tensors: Tensors as they are stored, by name.
            dtype: Number format of the model.
            directory: Directory of the checkpoint, for the error's message.

        Returns:
            The weights that stay quantised, by canonical name.

        Raises:
            CheckpointError: The numbers of a weight contradict one another.
        """
        found = {}
        for name, stored in self.weights.items():
            try:
                weight = stored.taken(tensors, dtype)
            except ValueError as error:
                raise CheckpointError(f"model directory {directory}: {shortened(name)}: {error}") from None
            if is_product(canonical_name(name)):
                found[canonical_name(name)] = weight
            else:
                tensors[name] = weight.to_dense()
        return found


def find_quantised(
    directory: Path, raw: Mapping[str, Any], entries: Entries, files: Sequence[Path]
) -> QuantisedFiles | None:
    """Find the quantised weights that the engine can compute with.

    Args:
        directory: Directory of the checkpoint.
        raw: Content of config.json.
        entries: All tensors of the files, by name.
        files: The safetensors files.

    Returns:
        The weights; None if config.json does not say that they are quantised by compressed-tensors or bitsandbytes.

    Raises:
        CheckpointError: They are, and cannot be read or computed; the message names field or tensor.
    """
    found = raw.get(FIELD)
    method = found.get("quant_method") if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping) or method not in (COMPRESSED, BITSANDBYTES):
        return None
    origin = f"{directory / 'config.json'}: {FIELD}"
    weights: Mapping[str, StoredWeight]
    if method == COMPRESSED:
        schemes = _schemes(found, origin)
        ends = "." + PACKED
        names = [name for name in entries if name.endswith(ends)]
        numbers = _read([name.removesuffix(PACKED) + SHAPE for name in names], entries, files)
        stored = [_integers(name.removesuffix(PACKED), entries, numbers, directory) for name in names]
        for one in stored:
            if not any(_fits(scheme, one) for scheme in schemes):
                raise CheckpointError(
                    f"model directory {directory}: tensor {shortened(one.parts[0])} is {one.words} with scales of "
                    f"shape {one.scales}, which no entry of config_groups describes: config.json is of another model"
                )
        weights = {one.base + "weight": one for one in stored}
    else:
        _check_bitsandbytes(found, origin)
        names = [name for name in entries if f".weight.{STATE}" in name]
        numbers = _read(names, entries, files)
        weights = {one.name: one for one in (_codes(name, entries, numbers, directory) for name in names)}
    if not weights:
        raise CheckpointError(
            f"{origin} says that the weights are quantised beforehand ({method}), and none of the files' is: "
            f"remove {FIELD}, or copy the weights again"
        )
    return QuantisedFiles(str(method), weights)


def _schemes(found: Mapping[str, Any], origin: str) -> list[Mapping[str, Any]]:
    """The ways in which weights are quantised by compressed-tensors' configuration.

    Raises:
        CheckpointError: One is not computed here, or more than weights is quantised.
    """
    if found.get("format") != "pack-quantized":
        raise CheckpointError(
            f"{origin}.format is {cited(found.get('format'))}: of compressed-tensors, pack-quantized is read: {REMEDY}"
        )
    for field in _FURTHER:
        given = found.get(field)
        if given and not (isinstance(given, Mapping) and given.get("format") == "dense"):
            raise CheckpointError(f"{origin}.{field} is {cited(given)}, which is not computed here: {REMEDY}")
    groups = found.get("config_groups")
    if not isinstance(groups, Mapping) or not all(isinstance(one, Mapping) for one in groups.values()):
        raise CheckpointError(f"{origin}.config_groups is {cited(groups)}: it must be an object of objects")
    schemes = []
    for name, group in groups.items():
        where = f"{origin}.config_groups.{shortened(name)}"
        for field in ("input_activations", "output_activations"):
            if group.get(field):
                raise CheckpointError(
                    f"{where}.{field} is {cited(group[field])}: quantised activations are not computed here: {REMEDY}"
                )
        if group.get("format") not in (None, "pack-quantized"):
            raise CheckpointError(f"{where}.format is {cited(group['format'])}: pack-quantized is read: {REMEDY}")
        weights = group.get("weights")
        if not isinstance(weights, Mapping):
            raise CheckpointError(f"{where}.weights is {cited(weights)}: it must be an object")
        for field, known in (
            ("type", ("int",)),
            ("num_bits", BITS),
            ("strategy", ("tensor", "channel", "group")),
            ("symmetric", (True, False)),
            ("dynamic", (False, None)),
        ):
            if weights.get(field) not in known:
                allowed = ", ".join(str(one) for one in known if one is not None)
                raise CheckpointError(
                    f"{where}.weights.{field} is {cited(weights.get(field))}: computed here is {allowed}: {REMEDY}"
                )
        schemes.append(weights)
    return schemes


def _fits(scheme: Mapping[str, Any], one: StoredIntegers) -> bool:
    """Whether a stored weight is one that a scheme describes."""
    outputs, inputs = one.shape
    size = scheme.get("group_size")
    of_scheme = {
        "tensor": math.prod(one.scales) == 1,
        "channel": one.scales == (outputs, 1),
        "group": type(size) is int and one.scales == (outputs, inputs // max(size, 1)),
    }
    return (
        one.bits == scheme["num_bits"]
        and of_scheme[str(scheme["strategy"])]
        and (bool(scheme["symmetric"]) or one.has_zeros)
    )


def _integers(base: str, entries: Entries, numbers: Mapping[str, torch.Tensor], directory: Path) -> StoredIntegers:
    """A weight of a pack-quantized checkpoint.

    Raises:
        CheckpointError: A tensor of it is missing, or has another shape or type.
    """

    def fail(part: str, entry: TensorEntry | None) -> CheckpointError:
        said = "is missing" if entry is None else f"is of type {entry.dtype} and shape {entry.shape}"
        return CheckpointError(
            f"model directory {directory}: tensor {shortened(base + part)} {said}, which does not fit a packed weight "
            f"{_said(entries.get(base + PACKED))} with scales {_said(entries.get(base + SCALE))}: the file is damaged"
        )

    packed, scale = entries[base + PACKED], entries.get(base + SCALE)
    zeros, index = entries.get(base + ZERO_POINT), entries.get(base + GROUP_INDEX)
    shape = numbers.get(base + SHAPE)
    if shape is None or shape.shape != (2,) or shape.dtype not in (torch.int64, torch.int32):
        raise fail(SHAPE, entries.get(base + SHAPE))
    outputs, inputs = (int(number) for number in shape)
    bits = next((bits for bits in BITS if packed.shape == (outputs, -(-inputs * bits // 32))), None)
    if bits is None or packed.dtype != "I32" or inputs <= 0 or inputs % 2:
        raise fail(PACKED, packed)
    if scale is None or scale.dtype not in _FLOATS:
        raise fail(SCALE, scale)
    groups = scale.shape[1] if len(scale.shape) == 2 else 1
    is_whole = math.prod(scale.shape) == 1
    if not is_whole and (scale.shape != (outputs, groups) or not groups or inputs % groups):
        raise fail(SCALE, scale)
    if zeros is not None and (zeros.dtype, zeros.shape) not in (
        ("I32", (-(-outputs * bits // 32), groups)),
        ("I8", scale.shape),
    ):
        raise fail(ZERO_POINT, zeros)
    if index is not None and (index.dtype not in ("I32", "I64") or index.shape != (inputs,)):
        raise fail(GROUP_INDEX, index)
    return StoredIntegers(base, (outputs, inputs), bits, scale.shape, zeros is not None, index is not None)


def _check_bitsandbytes(found: Mapping[str, Any], origin: str) -> None:
    if found.get("load_in_8bit") or not found.get("load_in_4bit"):
        raise CheckpointError(f"{origin} is of bitsandbytes' 8 bits: of bitsandbytes, 4 bits are read: {REMEDY}")


def _codes(name: str, entries: Entries, numbers: Mapping[str, torch.Tensor], directory: Path) -> StoredCodes:
    """A weight of a bitsandbytes checkpoint, by the name of its state.

    Raises:
        CheckpointError: A tensor of it is missing, or has another shape or type.
    """
    weight, _, kind = name.partition(f".{STATE}")

    def fail(what: str) -> CheckpointError:
        return CheckpointError(f"model directory {directory}: tensor {shortened(name)} {what}: the file is damaged")

    try:
        state = json.loads(bytes(numbers[name].tolist()))
    except (KeyError, ValueError, TypeError, RecursionError):
        raise fail("is no JSON") from None
    if not isinstance(state, dict) or kind not in KINDS or state.get("quant_type") != kind:
        raise fail(f"is of a kind that is none of {', '.join(KINDS)}")
    shape, block = state.get("shape"), state.get("blocksize")
    nested: int | None = state.get("nested_blocksize")
    offset = state.get("nested_offset", 0.0)
    if (
        not isinstance(shape, list)
        or len(shape) != 2
        or not all(_is_count(one) for one in (*shape, block))
        or block is None
        or not (nested is None or _is_count(nested))
        or not (type(offset) in (int, float) and math.isfinite(offset))
    ):
        raise fail(f"says {cited(state)}")
    outputs, inputs = shape
    count = outputs * inputs
    if inputs % 2 or count % block:
        raise fail(f"says shape {tuple(shape)}, which is no whole number of blocks of {block}")
    scales = count // block
    expected = {
        weight: ((count // 2, 1), "U8"),
        f"{weight}.{ABSMAX}": ((scales,), "F32" if nested is None else "U8"),
        f"{weight}.{TABLE}": ((16,), "F32"),
    }
    if nested is not None:
        expected[f"{weight}.{NESTED_ABSMAX}"] = ((-(-scales // nested),), "F32")
        expected[f"{weight}.{NESTED_TABLE}"] = ((256,), "F32")
    for part, (shape_of_part, dtype) in expected.items():
        entry = entries.get(part)
        if entry is None or (entry.shape, entry.dtype) != (shape_of_part, dtype):
            raise CheckpointError(
                f"model directory {directory}: tensor {shortened(part)} is {_said(entry)}, where a weight "
                f"{(outputs, inputs)} of {kind} has {dtype} {shape_of_part}: store it as bitsandbytes does by default "
                "(bnb_4bit_quant_storage uint8), or copy the weights again"
            )
    return StoredCodes(weight, (outputs, inputs), kind, block, nested, float(offset))


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


def _said(entry: TensorEntry | None) -> str:
    return "missing" if entry is None else f"{entry.dtype} {entry.shape}"


def _read(names: Collection[str], entries: Entries, files: Sequence[Path]) -> dict[str, torch.Tensor]:
    """Read small tensors; those that are missing or large are left out."""
    wanted = {name for name in names if name in entries and math.prod(entries[name].shape) <= _MOST_STATE_BYTES}
    found = {}
    for file in files:
        with safe_open(file, framework="pt") as opened:
            found.update({name: opened.get_tensor(name) for name in wanted & set(opened.keys())})
    return found
