"""Loads a checkpoint strictly: each weight of the model gets exactly one tensor, and all numbers are finite."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from ..bounds import cited, shortened, shown
from ..checkpoints import CheckpointError, DamageError, model_name
from . import original
from .canonical_names import HEAD, canonical_name
from .checkpoint_files import EMBEDDING, CheckpointFiles, whole_file
from .language import LanguageModel, fill_modules, language_model, taking
from .linear import QuantisedWeight
from .modules import OneVision, RotaryEmbedding
from .plain_config import PlainConfig
from .prompt import DEFAULT_STYLE, IM_END, IM_START, PROMPT_STYLES, PromptStyle
from .quantise import quantised_language_model
from .token_rules import TokenRules
from .tokens import PromptTokenizer
from .tower import Tower, fill_tower, packed_tower

PROBE = "Is there a red mug on the table?"
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model with its tokenizer, prompt template and rules.

    Attributes:
        name: The model's name in answers.
        model: OneVision in evaluation mode; LlavaOnevisionForConditionalGeneration if the configuration is not plain.
            Its modules may lack their weights, which `language` and `tower` then have in another layout.
        language: The language model's weights as the engine uses them.
        tower: The vision tower's and the projector's weights, packed; None if their modules have them.
        tokenizer: The model's tokenizer.
        style: Template of its prompts.
        end_ids: Tokens that end an answer.
        rules: The rules about earlier tokens.
    """

    name: str
    model: Any
    language: LanguageModel
    tower: Tower | None
    tokenizer: PromptTokenizer
    style: PromptStyle
    end_ids: frozenset[int]
    rules: TokenRules = field(default_factory=TokenRules)

    def fill_modules(self) -> None:
        """Give the model's modules the weights again that they lack, as copies."""
        fill_modules(self.model, self.language)
        if self.tower is not None:
            fill_tower(self.model, self.tower)


def load_checkpoint(
    files: CheckpointFiles, device: torch.device, dtype: torch.dtype, attention: str, quantize: str = "none"
) -> Checkpoint:
    """Load the tokenizer and the weights of a checkpoint.

    Args:
        files: The checkpoint's files, from `open_checkpoint`.
        device: Device of the weights.
        dtype: Floating-point type of the weights.
        attention: Attention implementation of the vision tower: sdpa or eager.
        quantize: none, or how the language model's layers are quantised (see `quantised_language_model`).

    Raises:
        CheckpointError: A file is missing, a tensor is missing, superfluous, misshapen or not finite, or the tokenizer
            does not fit the model.
        ValueError: The layers cannot be quantised so.
    """
    tokenizer, style, end_id = _read_prompting(files)
    directory = files.directory
    tensors = _read_tensors(files, device, dtype)
    quantised = {} if files.quantised is None else files.quantised.taken(tensors, dtype, directory)
    return assembled(
        files.config,
        tensors,
        tokenizer,
        name=model_name(directory),
        style=style,
        end_ids=files.end_ids | {end_id},
        rules=files.rules,
        device=device,
        attention=attention,
        quantize=quantize,
        quantised=quantised,
        origin=f"model directory {directory}",
    )


def check_loadable(files: CheckpointFiles) -> None:
    """Check everything that `load_checkpoint` checks, except the numbers in the tensors, which are not read.

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
    tensors: dict[str, torch.Tensor],
    tokenizer: PromptTokenizer,
    *,
    name: str,
    style: PromptStyle,
    end_ids: frozenset[int],
    device: torch.device,
    attention: str,
    quantize: str = "none",
    quantised: Mapping[str, QuantisedWeight] | None = None,
    rules: TokenRules | None = None,
    origin: str = "model",
) -> Checkpoint:
    """Build a model from tensors.

    Args:
        config: PlainConfig, or LlavaOnevisionConfig.
        tensors: The weights, by names in transformers' format or the original layout. The dictionary is emptied, so
            that each weight can be freed as soon as it is quantised, joined or packed.
        tokenizer: The model's tokenizer.
        name: The model's name in answers.
        style: Template of its prompts.
        end_ids: Tokens that end an answer.
        device: Device of the tensors.
        attention: Attention implementation of the vision tower: sdpa or eager.
        quantize: none, or how the language model's layers are quantised (see `quantised_language_model`).
        quantised: Weights of the language model's linear layers that are quantised already, by canonical name; None:
            none is.
        rules: The rules about earlier tokens; None: no rules.
        origin: Source of the tensors, with which error messages begin.

    Raises:
        CheckpointError: A tensor is missing, superfluous or misshapen, or `config` describes no model.
        ValueError: The layers cannot be quantised so.
    """
    model = _empty_model(config, attention, origin)
    ready = quantised or {}
    _fill(model, tensors, ready, origin)
    tensors.clear()
    _fill_computed_buffers(model, ready, device, origin)
    model.eval()
    if ready:
        take = taking(model, ready)
        language = language_model(model, take=take, take_head=take if HEAD in ready else None)
    else:
        language = quantised_language_model(model, quantize, device)
    return Checkpoint(name, model, language, packed_tower(model), tokenizer, style, end_ids, rules or TokenRules())


def _read_prompting(files: CheckpointFiles) -> tuple[PromptTokenizer, PromptStyle, int]:
    """The tokenizer, the template of prompts, and the id of the token that ends a turn.

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
    """Check that the tokenizer fits the model, and return the id of the token that ends a turn.

    Raises:
        CheckpointError: A token has no row in the embedding, the tokenizer does not reproduce a sample text, or the
            template's control tokens are missing.
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


def _read_tensors(files: CheckpointFiles, device: torch.device, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """All tensors of the checkpoint, floating-point ones in `dtype`, those of quantised weights as they are stored.

    Raises:
        CheckpointError: A number is not finite, in the file or in `dtype`.
    """
    tensors: dict[str, torch.Tensor] = {}
    as_stored = frozenset() if files.quantised is None else files.quantised.parts
    for file in files.weights:
        # One by one, so that no second copy of a file's tensors is ever held.
        for name, stored in _tensors_of(file, device):
            keeps = name in as_stored or not stored.is_floating_point()
            # Copied, since tensors of a mapped file have unaligned addresses, with which kernels round differently.
            tensor = stored.to(stored.dtype if keeps else dtype, copy=True)
            _check_finite(stored, tensor, name, file)
            tensors[name] = tensor
    return tensors


def _tensors_of(file: Path, device: torch.device) -> Iterator[tuple[str, torch.Tensor]]:
    """Names and tensors of a safetensors file."""
    try:
        with safe_open(file, framework="pt", device=str(device)) as opened:
            for name in opened.keys():  # noqa: SIM118 - no mapping
                yield name, opened.get_tensor(name)
    except CheckpointError:
        raise
    except Exception as error:  # noqa: BLE001 - safetensors raises several unrelated classes
        raise DamageError(f"{file} cannot be read: {shown(str(error))}") from None


def _check_finite(stored: torch.Tensor, tensor: torch.Tensor, name: str, file: Path) -> None:
    # In float64 the sum is finite if and only if all numbers are: one pass, without a mask of the tensor's size.
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
    """The model on the meta device, without memory for its weights.

    Raises:
        CheckpointError: transformers cannot build a model from the configuration.
    """
    if isinstance(config, PlainConfig):
        with torch.device("meta"):
            return OneVision(config, attention)
    from .of_transformers import empty_model

    try:
        return empty_model(config, attention)
    except Exception as error:  # noqa: BLE001 - of every version of transformers another class
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CheckpointError(f"{origin}: config.json describes no model: {shown(reason)}") from None


@lru_cache(maxsize=64)
def _warn_once(text: str) -> None:
    """Log a warning once per process: a node with `idle_unload_s` loads its model many times."""
    LOG.warning(text)


def _fill(
    model: Any, tensors: Mapping[str, torch.Tensor], quantised: Mapping[str, QuantisedWeight], origin: str
) -> None:
    """Assign the tensors to the model's weights; those of quantised layers become meta tensors, without data.

    Raises:
        CheckpointError: A tensor is missing, superfluous or misshapen (the message names up to five), or lm_head
            differs from the embedding although they are tied.
    """
    found = {canonical_name(name): t for name, t in tensors.items() if _is_stored(name)}
    found |= {name: torch.empty(one.outputs, one.inputs, device="meta") for name, one in quantised.items()}
    if HEAD not in found and EMBEDDING in found:
        if not model.config.tie_word_embeddings:
            _warn_once(f"{origin} has no lm_head: its embedding is taken, as if tie_word_embeddings were true")
        found[HEAD] = found[EMBEDDING]
    tied = model.config.tie_word_embeddings or model.config.text_config.tie_word_embeddings
    if tied and EMBEDDING in found:
        if HEAD in quantised:
            raise CheckpointError(
                f"{origin}: lm_head is quantised and the embedding is not, though tie_word_embeddings is true: say "
                "false, or remove lm_head"
            )
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
    """Whether a file's tensor is a weight, not a buffer: older versions stored buffers, which are recomputed here."""
    return not name.endswith((".inv_freq", "position_ids"))


def _check_places(model: Any, found: Mapping[str, tuple[int, ...]], origin: str) -> None:
    """Check that tensors and the model's weights match one to one, by canonical names and shapes.

    Raises:
        CheckpointError: A tensor is missing, superfluous or misshapen; the message names up to five.
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


def _fill_computed_buffers(model: Any, quantised: Collection[str], device: torch.device, origin: str) -> None:
    """Compute the buffers that checkpoints do not store."""
    if isinstance(model, OneVision):
        model.model.language_model.rotary_emb = RotaryEmbedding(model.config.text_config).to(device)
    else:
        from .of_transformers import compute_buffers

        try:
            compute_buffers(model, device)
        except Exception as error:  # noqa: BLE001 - of every version of transformers another class
            raise CheckpointError(f"{origin}: config.json describes no rotary embedding: {shown(str(error))}") from None
    tensors = [*model.named_parameters(), *model.named_buffers()]
    left = [name for name, t in tensors if t.is_meta and canonical_name(name) not in quantised]
    if left:
        raise CheckpointError(f"this version of transformers has buffers that are not known here: {left[:5]}")
