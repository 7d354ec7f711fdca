"""Finds a checkpoint and loads it strictly: every tensor has its place, and every place its tensor."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration

from ..share import shipped
from . import original
from .prompt import DEFAULT_STYLE, IM_END, PROMPT_STYLES, PromptStyle
from .tokens import PromptTokenizer

ARCHITECTURE = "LlavaOnevisionForConditionalGeneration"
ASPECT_RATIO = "anyres_max_9"
HUB_FILES = ("*.json", "*.safetensors", "merges.txt", "prompt_style")


class CheckpointError(ValueError):
    """A model that cannot be loaded; the text names the path and what is missing or wrong there."""


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model and all that is needed to talk to it.

    Attributes:
        name: Short name for answers.
        model: LlavaOnevisionForConditionalGeneration in evaluation mode.
        tokenizer: Reads and writes its tokens.
        style: How its prompts are written.
        end_ids: Tokens that end an answer.
    """

    name: str
    model: Any
    tokenizer: PromptTokenizer
    style: PromptStyle
    end_ids: frozenset[int]


def find_checkpoint(model: str) -> Path:
    """The directory of a model: a shipped name such as `rooms`, a directory, or a hub name `organisation/model`.

    Raises:
        CheckpointError: There is nothing of that name; the text says where it was looked for.
    """
    if not model.strip():
        raise CheckpointError("no model is named: give a directory, or `rooms` for the small one shipped here")
    directory = Path(model).expanduser()
    if directory.is_dir():
        return directory.resolve()
    known = shipped(f"models/{model}") if re.fullmatch(r"[\w.-]+", model) else None
    if known is not None:
        return known
    if re.fullmatch(r"[\w.-]+/[\w.-]+", model) and not directory.parent.is_dir():
        return _from_hub(model)
    raise CheckpointError(
        f"model {model!r}: no directory {directory.absolute()}, and no shipped model of that name "
        "(a hub name has the form organisation/model)"
    )


def _from_hub(model: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, allow_patterns=list(HUB_FILES)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"model {model!r}: no such directory, and the model hub does not give it ({reason}); "
            "download it elsewhere and name its directory"
        ) from None


@dataclass(frozen=True)
class CheckpointFiles:
    """What a checkpoint's files say before any weight is read.

    Attributes:
        directory: Where they are.
        config: LlavaOnevisionConfig.
        shapes: Of every tensor, under the name that it has in the files.
        weights: The safetensors files.
    """

    directory: Path
    config: Any
    shapes: dict[str, tuple[int, ...]]
    weights: tuple[Path, ...]


def open_checkpoint(directory: Path) -> CheckpointFiles:
    """Reads the configuration and the tensors' shapes of a checkpoint.

    It is in transformers' format, whatever version wrote it, or in the original lmms-lab layout.

    Args:
        directory: Holds config.json, tokenizer.json (or vocab.json and merges.txt) and the weights as safetensors.

    Raises:
        CheckpointError: A file is missing or says something else than a LLaVA-OneVision's would.
    """
    raw = _read_json(directory, "config.json")
    # The original's model_type is "llava", which transformers takes for another model: the architecture decides.
    architectures = raw.get("architectures")
    if architectures not in ([ARCHITECTURE], [original.ARCHITECTURE]):
        raise CheckpointError(
            f"{directory / 'config.json'} is of {architectures}: this is not a LLaVA-OneVision checkpoint "
            f"({ARCHITECTURE}, or {original.ARCHITECTURE} in the original layout)"
        )
    weights = _weight_files(directory)
    shapes = _read_shapes(weights)
    try:
        is_original = architectures == [original.ARCHITECTURE]
        config = original.original_config(raw, shapes) if is_original else LlavaOnevisionConfig.from_dict(raw)
    except (ValueError, KeyError) as error:
        raise CheckpointError(f"{directory / 'config.json'}: {error}") from None
    _check_config(config, directory)
    # transformers 5 writes the base of the rotary frequencies where 4 does not look, and 4 then takes its default.
    theta = raw.get("text_config", {}).get("rope_parameters", {}).get("rope_theta")
    if theta is not None and hasattr(config.text_config, "rope_theta"):
        config.text_config.rope_theta = theta
    return CheckpointFiles(directory, config, shapes, weights)


def load_checkpoint(files: CheckpointFiles, device: torch.device, dtype: torch.dtype, attention: str) -> Checkpoint:
    """Loads a checkpoint that has been opened.

    Args:
        files: What `open_checkpoint` found.
        device: Where the weights go.
        dtype: Floating-point type of the weights.
        attention: Attention implementation of the vision tower: sdpa or eager.

    Raises:
        CheckpointError: A file or a tensor is missing, superfluous or misshapen.
    """
    tokenizer = _read_tokenizer(files.directory)
    return assembled(
        files.config,
        _read_tensors(files.weights, device, dtype),
        tokenizer,
        name=files.directory.name,
        style=_read_style(files.directory),
        end_ids=_end_ids(files.directory, files.config, tokenizer),
        device=device,
        attention=attention,
        origin=f"model directory {files.directory}",
    )


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
    origin: str = "model",
) -> Checkpoint:
    """Puts tensors into a model.

    Raises:
        CheckpointError: A tensor is missing, superfluous or misshapen; `origin` begins its text.
    """
    model = _empty_model(config, attention)
    _fill(model, tensors, origin)
    _fill_computed_buffers(model, config, device)
    model.eval()
    return Checkpoint(name, model, tokenizer, style, end_ids)


def _file(directory: Path, name: str) -> Path:
    if not (directory / name).is_file():
        raise CheckpointError(f"model directory {directory} has no {name}")
    return directory / name


def _read_json(directory: Path, name: str) -> dict[str, Any]:
    try:
        content = json.loads(_file(directory, name).read_text())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{directory / name} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{directory / name} holds no JSON object")
    return content


def _check_config(config: Any, directory: Path) -> None:
    if config.vision_aspect_ratio != ASPECT_RATIO or config.vision_feature_select_strategy != "full":
        raise CheckpointError(
            f"{directory / 'config.json'}: vision_aspect_ratio {config.vision_aspect_ratio!r} and "
            f"vision_feature_select_strategy {config.vision_feature_select_strategy!r} are not those of "
            f"LLaVA-OneVision ({ASPECT_RATIO!r}, 'full')"
        )


def _read_tokenizer(directory: Path) -> PromptTokenizer:
    if (directory / "tokenizer.json").is_file():
        return PromptTokenizer.from_file(directory / "tokenizer.json")
    try:
        return PromptTokenizer(original.original_tokenizer(directory))
    except ValueError as error:
        raise CheckpointError(str(error)) from None


def _read_style(directory: Path) -> PromptStyle:
    file = directory / "prompt_style"
    name = file.read_text().strip() if file.is_file() else DEFAULT_STYLE
    if name not in PROMPT_STYLES:
        raise CheckpointError(f"{file} says {name!r}: known styles are {', '.join(PROMPT_STYLES)}")
    return PROMPT_STYLES[name]


def _end_ids(directory: Path, config: Any, tokenizer: PromptTokenizer) -> frozenset[int]:
    """End tokens: the template's own, and those that generation_config.json names."""
    ids = {tokenizer.control_id(IM_END), config.text_config.eos_token_id}
    if (directory / "generation_config.json").is_file():
        named = _read_json(directory, "generation_config.json").get("eos_token_id")
        ids.update(named if isinstance(named, list) else [named])
    ids.discard(None)
    if not ids:
        raise CheckpointError(f"model directory {directory}: neither {IM_END} nor another end token is known")
    return frozenset(int(i) for i in ids if i is not None)


def _weight_files(directory: Path) -> tuple[Path, ...]:
    if (directory / "model.safetensors").is_file():
        return (directory / "model.safetensors",)
    if (directory / "model.safetensors.index.json").is_file():
        index = _read_json(directory, "model.safetensors.index.json").get("weight_map", {})
        return tuple(_file(directory, name) for name in sorted(set(index.values())))
    raise CheckpointError(
        f"model directory {directory} has neither model.safetensors nor model.safetensors.index.json "
        "(other weight formats can run code when they are read, and are not supported)"
    )


def _read_shapes(files: Sequence[Path]) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for file in files:
        try:
            with safe_open(file, framework="pt") as opened:
                shapes |= {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
        except Exception as error:  # noqa: BLE001 - safetensors raises several unrelated classes
            raise CheckpointError(f"{file} cannot be read: {error}") from None
    return shapes


def _read_tensors(files: Sequence[Path], device: torch.device, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """All tensors of the checkpoint, floating-point ones in `dtype`."""
    tensors: dict[str, torch.Tensor] = {}
    for file in files:
        part = load_file(file, device=str(device))
        # A copy, since a mapped file's tensors lie at odd addresses: kernels would round otherwise, file by file.
        tensors |= {name: t.to(dtype if t.is_floating_point() else t.dtype, copy=True) for name, t in part.items()}
    return tensors


# The parts of the model, under whatever prefix a version of transformers or the original code puts them.
_PARTS = (
    (re.compile(r"vision_tower\.(?:vision_tower\.)?(?:vision_model\.)?(.*)"), "vision_tower."),
    (re.compile(r"multi_modal_projector\.(.*)"), "multi_modal_projector."),
    (re.compile(r"(image_newline)"), ""),
    (re.compile(r"(lm_head.*)"), ""),
    (re.compile(r"((?:embed_tokens|layers|norm)\..*)"), "language_model."),
)


def canonical_name(name: str) -> str:
    """A tensor's name without the prefixes that differ between versions of transformers and the original code."""
    name = name.replace("mm_projector.0", "multi_modal_projector.linear_1")
    name = name.replace("mm_projector.2", "multi_modal_projector.linear_2")
    for pattern, prefix in _PARTS:
        match = pattern.search(name)
        if match:
            return prefix + match.group(1)
    return name


def _empty_model(config: Any, attention: str) -> Any:
    """The model without memory for its weights."""
    with torch.device("meta"):
        return LlavaOnevisionForConditionalGeneration._from_config(config, attn_implementation=attention)


def _fill(model: Any, tensors: Mapping[str, torch.Tensor], origin: str) -> None:
    """Puts every tensor into its place.

    Raises:
        CheckpointError: One is missing, superfluous or misshapen; the text names up to five.
    """
    found = {canonical_name(name): t for name, t in tensors.items() if not name.endswith(".inv_freq")}
    if model.config.tie_word_embeddings and "language_model.embed_tokens.weight" in found:
        found.setdefault("lm_head.weight", found["language_model.embed_tokens.weight"])
    places = {canonical_name(name): name for name in model.state_dict()}
    shapes = {canonical_name(name): tuple(t.shape) for name, t in model.state_dict().items()}
    wrong = [
        f"{name} is {tuple(found[name].shape)}, the configuration wants {shapes[name]}"
        for name in sorted(found.keys() & shapes.keys())
        if tuple(found[name].shape) != shapes[name]
    ]
    for what, names in (
        ("misshapen", wrong),
        ("missing", places.keys() - found.keys()),
        ("unexpected", found.keys() - places.keys()),
    ):
        if names:
            listed = "; ".join(sorted(names)[:5]) + ("; ..." if len(names) > 5 else "")
            raise CheckpointError(f"{origin}: {len(names)} tensors are {what}: {listed}")
    model.load_state_dict({places[name]: t for name, t in found.items()}, strict=True, assign=True)
    model.requires_grad_(False)


def _fill_computed_buffers(model: Any, config: Any, device: torch.device) -> None:
    """Recomputes what no checkpoint stores: rotary frequencies and the tower's position numbers."""
    language_model = model.model.language_model
    language_model.rotary_emb = type(language_model.rotary_emb)(config.text_config).to(device)
    tower = model.model.vision_tower
    embeddings = getattr(tower, "vision_model", tower).embeddings
    embeddings.position_ids = torch.arange(embeddings.num_positions, device=device)[None]
    left = [name for name, t in [*model.named_parameters(), *model.named_buffers()] if t.is_meta]
    if left:
        raise CheckpointError(f"this version of transformers has buffers that are not known here: {left[:5]}")
