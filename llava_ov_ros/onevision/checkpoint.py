"""Loads a checkpoint strictly: every tensor has its place, every place its tensor, and all numbers are finite."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import LlavaOnevisionForConditionalGeneration

from ..bounds import cited, shortened, shown
from ..checkpoints import CheckpointError, DamageError, model_name
from . import original
from .canonical_names import canonical_name
from .checkpoint_files import EMBEDDING, CheckpointFiles, whole_file
from .prompt import DEFAULT_STYLE, IM_END, IM_START, PROMPT_STYLES, PromptStyle
from .token_rules import TokenRules
from .tokens import PromptTokenizer

HEAD = "lm_head.weight"
PROBE = "Is there a red mug on the table?"
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model and all that is needed to talk to it.

    Attributes:
        name: Short name for answers.
        model: LlavaOnevisionForConditionalGeneration in evaluation mode.
        tokenizer: Reads and writes its tokens.
        style: How its prompts are written.
        end_ids: Tokens that end an answer.
        rules: What earlier tokens do to the choice of the next one.
    """

    name: str
    model: Any
    tokenizer: PromptTokenizer
    style: PromptStyle
    end_ids: frozenset[int]
    rules: TokenRules = field(default_factory=TokenRules)


def load_checkpoint(files: CheckpointFiles, device: torch.device, dtype: torch.dtype, attention: str) -> Checkpoint:
    """Loads a checkpoint that has been opened.

    Args:
        files: What `open_checkpoint` found.
        device: Where the weights go.
        dtype: Floating-point type of the weights.
        attention: Attention implementation of the vision tower: sdpa or eager.

    Raises:
        CheckpointError: A file or a tensor is missing, superfluous, misshapen or not finite, or the tokenizer does not
            fit the model.
    """
    tokenizer, style, end_id = _read_prompting(files)
    directory = files.directory
    return assembled(
        files.config,
        _read_tensors(files.weights, device, dtype),
        tokenizer,
        name=model_name(directory),
        style=style,
        end_ids=files.end_ids | {end_id},
        rules=files.rules,
        device=device,
        attention=attention,
        origin=f"model directory {directory}",
    )


def check_loadable(files: CheckpointFiles) -> None:
    """Checks what `load_checkpoint` checks, but for the numbers in the tensors, none of which is read.

    Raises:
        CheckpointError: A tensor is missing, superfluous or misshapen, or the tokenizer does not fit the model.
    """
    _read_prompting(files)
    origin = f"model directory {files.directory}"
    shapes = {canonical_name(name): shape for name, shape in files.shapes.items() if _is_stored(name)}
    if HEAD not in shapes and EMBEDDING in shapes:
        shapes[HEAD] = shapes[EMBEDDING]
    _check_places(_empty_model(files.config, "sdpa", origin), shapes, origin)


def assembled(
    config: Any,
    tensors: Mapping[str, torch.Tensor],
    tokenizer: PromptTokenizer,
    *,
    name: str,
    style: PromptStyle,
    end_ids: frozenset[int],
    device: torch.device,
    attention: str,
    rules: TokenRules | None = None,
    origin: str = "model",
) -> Checkpoint:
    """Puts tensors into a model.

    Raises:
        CheckpointError: A tensor is missing, superfluous or misshapen; `origin` begins its text.
    """
    model = _empty_model(config, attention, origin)
    _fill(model, tensors, origin)
    _fill_computed_buffers(model, config, device, origin)
    model.eval()
    return Checkpoint(name, model, tokenizer, style, end_ids, rules or TokenRules())


def _read_prompting(files: CheckpointFiles) -> tuple[PromptTokenizer, PromptStyle, int]:
    """The tokenizer, how prompts are written, and the id of the token that ends a turn.

    Raises:
        CheckpointError: A file is missing, or the tokenizer does not fit the model.
    """
    tokenizer = _read_tokenizer(files.directory)
    return tokenizer, _read_style(files.directory), _checked_end_id(tokenizer, files)


def _read_tokenizer(directory: Path) -> PromptTokenizer:
    if (directory / "tokenizer.json").is_file():
        file = whole_file(directory, "tokenizer.json")
        try:
            return PromptTokenizer.from_file(file)
        except Exception as error:  # noqa: BLE001 - tokenizers raises Exception itself
            raise DamageError(f"{file} is no tokenizer: {shown(str(error))}") from None
    try:
        return PromptTokenizer(original.original_tokenizer(directory))
    except CheckpointError:
        raise
    except Exception as error:  # noqa: BLE001 - tokenizers raises Exception itself
        raise DamageError(f"{directory}: the tokenizer's files cannot be read: {shown(str(error))}") from None


def _checked_end_id(tokenizer: PromptTokenizer, files: CheckpointFiles) -> int:
    """Id of the token that ends a turn, once the tokenizer has been found to fit the model.

    Raises:
        CheckpointError: A token has no row of the embedding, or the template's control tokens are missing.
    """
    shape = next((shape for name, shape in files.shapes.items() if canonical_name(name) == EMBEDDING), (0,))
    if tokenizer.greatest_id >= shape[0]:
        raise CheckpointError(
            f"model directory {files.directory}: the tokenizer has ids up to {tokenizer.greatest_id}, the embedding "
            f"only {shape[0]} rows: the two are of different models"
        )
    if (read := tokenizer.decode(tokenizer.encode_text(PROBE))) != PROBE:
        raise CheckpointError(
            f"model directory {files.directory}: the tokenizer makes {cited(read)} of {PROBE!r}: it is not "
            "that of a Qwen2 model"
        )
    control = {token: tokenizer.control_id(token) for token in (IM_START, IM_END)}
    for token, number in control.items():
        if number is None:
            raise CheckpointError(
                f"model directory {files.directory}: the tokenizer has no token {token}, which every prompt needs: it "
                "is not that of a Qwen2 chat model"
            )
    found = control[IM_END]
    assert found is not None
    return found


def _read_style(directory: Path) -> PromptStyle:
    file = directory / "prompt_style"
    name = file.read_text(errors="replace").strip() if file.is_file() else DEFAULT_STYLE
    if name not in PROMPT_STYLES:
        raise CheckpointError(f"{file} says {cited(name)}: known styles are {', '.join(PROMPT_STYLES)}")
    return PROMPT_STYLES[name]


def _read_tensors(files: Sequence[Path], device: torch.device, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """All tensors of the checkpoint, floating-point ones in `dtype`.

    Raises:
        CheckpointError: A number is not finite, in the file or in `dtype`.
    """
    tensors: dict[str, torch.Tensor] = {}
    for file in files:
        try:
            part = load_file(file, device=str(device))
        except Exception as error:  # noqa: BLE001 - safetensors raises several unrelated classes
            raise DamageError(f"{file} cannot be read: {shown(str(error))}") from None
        for name, stored in part.items():
            # A copy, since a mapped file's tensors lie at odd addresses: kernels would round otherwise, file by file.
            tensor = stored.to(dtype if stored.is_floating_point() else stored.dtype, copy=True)
            _check_finite(stored, tensor, name, file)
            tensors[name] = tensor
    return tensors


def _check_finite(stored: torch.Tensor, tensor: torch.Tensor, name: str, file: Path) -> None:
    # The sum of finite numbers is finite in float64, and that of others is not: one pass, nothing is kept.
    if not tensor.is_floating_point() or tensor.sum(dtype=torch.float64).isfinite():
        return
    if stored.sum(dtype=torch.float64).isfinite():
        raise CheckpointError(
            f"{file}: tensor {shortened(name)} has numbers that {str(tensor.dtype).removeprefix('torch.')} cannot "
            "hold (up to "
            f"{float(stored.abs().max()):.3g}): load it with dtype bfloat16 or float32"
        )
    raise DamageError(f"{file}: tensor {shortened(name)} has numbers that are not finite: the file is damaged")


def _empty_model(config: Any, attention: str, origin: str) -> Any:
    """The model without memory for its weights.

    Raises:
        CheckpointError: transformers cannot make one of the configuration.
    """
    try:
        with torch.device("meta"):
            return LlavaOnevisionForConditionalGeneration._from_config(config, attn_implementation=attention)
    except Exception as error:  # noqa: BLE001 - of every version of transformers another class
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CheckpointError(f"{origin}: config.json describes no model: {shown(reason)}") from None


@lru_cache(maxsize=64)
def _warn_once(text: str) -> None:
    """A node that rests loads its model many times."""
    LOG.warning(text)


def _fill(model: Any, tensors: Mapping[str, torch.Tensor], origin: str) -> None:
    """Puts every tensor into its place.

    Raises:
        CheckpointError: One is missing, superfluous or misshapen; the text names up to five.
    """
    found = {canonical_name(name): t for name, t in tensors.items() if _is_stored(name)}
    if HEAD not in found and EMBEDDING in found:
        if not model.config.tie_word_embeddings:
            _warn_once(f"{origin} has no lm_head: its embedding is taken, as if tie_word_embeddings were true")
        found[HEAD] = found[EMBEDDING]
    tied = model.config.tie_word_embeddings or model.config.text_config.tie_word_embeddings
    if tied and EMBEDDING in found:
        if not torch.equal(found[HEAD], found[EMBEDDING]):
            raise CheckpointError(
                f"{origin}: lm_head differs from the embedding though tie_word_embeddings is true: transformers 4 "
                "takes the one, 5 the other; say false, or remove lm_head"
            )
        found[HEAD] = found[EMBEDDING]
    _check_places(model, {name: tuple(tensor.shape) for name, tensor in found.items()}, origin)
    places = {canonical_name(name): name for name in model.state_dict()}
    model.load_state_dict({places[name]: t for name, t in found.items()}, strict=True, assign=True)
    model.requires_grad_(False)


def _is_stored(name: str) -> bool:
    """Whether a tensor of a file is a weight: older versions also stored buffers, which are computed here."""
    return not name.endswith((".inv_freq", "position_ids"))


def _check_places(model: Any, found: Mapping[str, tuple[int, ...]], origin: str) -> None:
    """Check that every tensor has a place in a model and every place a tensor, by canonical names and shapes.

    Raises:
        CheckpointError: One is missing, superfluous or misshapen; the text names up to five.
    """
    shapes = {canonical_name(name): tuple(t.shape) for name, t in model.state_dict().items()}
    wrong = [
        f"{shortened(name)} is {found[name]}, the configuration wants {shapes[name]}"
        for name in sorted(found.keys() & shapes.keys())
        if found[name] != shapes[name]
    ]
    for what, names in (
        ("misshapen", wrong),
        ("missing", shapes.keys() - found.keys()),
        ("unexpected", set(map(shortened, found.keys() - shapes.keys()))),
    ):
        if names:
            listed = "; ".join(sorted(names)[:5]) + ("; ..." if len(names) > 5 else "")
            raise CheckpointError(f"{origin}: {len(names)} tensors are {what}: {listed}")


def _fill_computed_buffers(model: Any, config: Any, device: torch.device, origin: str) -> None:
    """Recomputes what no checkpoint stores: rotary frequencies and the tower's position numbers."""
    language_model = model.model.language_model
    try:
        rotary = type(language_model.rotary_emb)(config.text_config)
    except Exception as error:  # noqa: BLE001 - of every version of transformers another class
        raise CheckpointError(f"{origin}: config.json describes no rotary embedding: {shown(str(error))}") from None
    language_model.rotary_emb = rotary.to(device)
    tower = model.model.vision_tower
    embeddings = getattr(tower, "vision_model", tower).embeddings
    embeddings.position_ids = torch.arange(embeddings.num_positions, device=device)[None]
    left = [name for name, t in [*model.named_parameters(), *model.named_buffers()] if t.is_meta]
    if left:
        raise CheckpointError(f"this version of transformers has buffers that are not known here: {left[:5]}")
