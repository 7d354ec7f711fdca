"""Reads a checkpoint's configuration, rules, and names and shapes of tensors, before any weight is read."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from ..bounds import cited, shortened, shown
from ..checkpoints import CheckpointError, DamageError
from . import original
from .canonical_names import canonical_name
from .config_checks import check_config, check_preprocessing
from .config_fields import ORIGINAL, TRANSFORMERS, check_fields, known_fields
from .foreign_weights import check_adapters, check_quantised
from .plain_config import plain_config
from .quantised_files import FIELD, QuantisedFiles, TensorEntry, find_quantised
from .token_rules import TokenRules, rules_in_config, token_rules

ARCHITECTURE = "LlavaOnevisionForConditionalGeneration"
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_PLAIN_NAME = re.compile(r"[\w-][\w.-]*")
EMBEDDING = "language_model.embed_tokens.weight"


@dataclass(frozen=True)
class CheckpointFiles:
    """A checkpoint's files, and their content except for the weights.

    Attributes:
        directory: Directory of the checkpoint.
        config: PlainConfig; LlavaOnevisionConfig if that cannot say what the file says.
        rules: The rules about earlier tokens.
        end_ids: End tokens that config.json and generation_config.json name.
        shapes: Shape of every weight, by its name in the files; of a quantised one, that of the weight itself.
        weights: The safetensors files.
        quantised: The weights that are quantised already; None: none is.
    """

    directory: Path
    config: Any
    rules: TokenRules
    end_ids: frozenset[int]
    shapes: dict[str, tuple[int, ...]]
    weights: tuple[Path, ...]
    quantised: QuantisedFiles | None = None


def open_checkpoint(directory: Path) -> CheckpointFiles:
    """Read the configuration and the tensors' shapes of a checkpoint, and check them.

    The checkpoint may have transformers' format (of any version) or the original lmms-lab layout.

    Args:
        directory: Directory with config.json, tokenizer.json (or vocab.json and merges.txt) and safetensors files.

    Raises:
        CheckpointError: A file is missing, or is none of a LLaVA-OneVision checkpoint that the engine can compute.
    """
    check_adapters(directory)
    raw, file = read_json(directory, "config.json"), directory / "config.json"
    # The original's model_type is "llava", which means another model in transformers, so the architecture decides.
    architectures = raw.get("architectures")
    if architectures not in ([ARCHITECTURE], [original.ARCHITECTURE]):
        raise CheckpointError(
            f"{file} is of {cited(architectures)}: this is not a LLaVA-OneVision checkpoint "
            f"({ARCHITECTURE}, or {original.ARCHITECTURE} in the original layout)"
        )
    is_original = architectures == [original.ARCHITECTURE]
    weights = _weight_files(directory)
    tensors = _tensors_in(weights)
    _check_one_of_each(directory, tensors)
    quantised = find_quantised(directory, raw, tensors, weights)
    shapes = _checked_shapes(directory, raw, tensors, quantised)
    check_fields(raw, file, ORIGINAL if is_original else TRANSFORMERS)
    config = _built(raw, file, directory, shapes if is_original else None)
    check_config(config, file)
    _check_processors(directory, config)
    shape = next((shape for name, shape in shapes.items() if canonical_name(name) == EMBEDDING), ())
    if len(shape) != 2:
        raise CheckpointError(f"model directory {directory}: the embedding has the shape {shape}, not (tokens, width)")
    rows = shape[0]
    if not is_original:
        _check_placeholders(config, file, rows)
    says, generation = _generation(directory, raw)
    rules = token_rules(generation, says, vocabulary=rows, counts_prompt=not is_original)
    ends = _ids(config.text_config.eos_token_id, file, rows) | _ids(generation.get("eos_token_id"), says, rows)
    return CheckpointFiles(directory, config, rules, ends, shapes, weights, quantised)


def _checked_shapes(
    directory: Path, raw: Mapping[str, Any], tensors: Mapping[str, TensorEntry], quantised: QuantisedFiles | None
) -> dict[str, tuple[int, ...]]:
    """Shape of every weight, after a check that all tensors are plain ones or of quantised weights that are read."""
    if quantised is None:
        check_quantised(directory, raw, {name: one.dtype for name, one in tensors.items()})
        return {name: one.shape for name, one in tensors.items()}
    parts = quantised.parts
    plain = {name: one for name, one in tensors.items() if name not in parts}
    rest = {field: value for field, value in raw.items() if field != FIELD}
    check_quantised(directory, rest, {name: one.dtype for name, one in plain.items()})
    shapes = {name: one.shape for name, one in plain.items()}
    weights = {name: one.shape for name, one in quantised.weights.items()}
    _check_one_of_each(directory, [*shapes, *weights])
    return shapes | weights


def whole_file(directory: Path, name: str) -> Path:
    """Path of a file of a checkpoint, after a check that it has content.

    Raises:
        DamageError: The file is missing, empty, or a Git LFS pointer.
    """
    file = directory / name
    if not file.is_file():
        raise DamageError(f"model directory {directory} has no {name}")
    with file.open("rb") as opened:
        begin = opened.read(len(LFS_POINTER))
    if begin == LFS_POINTER:
        raise DamageError(
            f"{file} is a Git LFS pointer, not the file itself: run `git lfs pull` in {directory}, or download it again"
        )
    if not begin:
        raise DamageError(f"{file} is empty: download it again")
    return file


def read_json(directory: Path, name: str, absent: dict[str, Any] | None = None) -> dict[str, Any]:
    """Read the object of a JSON file of a checkpoint.

    Args:
        directory: Directory of the checkpoint.
        name: Name of the file.
        absent: Object to return if the file is missing; None raises an error then.

    Raises:
        DamageError: The file is missing, is no JSON, or has no object at its top level.
    """
    if absent is not None and not (directory / name).is_file():
        return absent
    try:
        content = json.loads(whole_file(directory, name).read_text(), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise DamageError(f"{directory / name} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise DamageError(f"{directory / name} holds no JSON object")
    return content


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _built(raw: Mapping[str, Any], file: Path, directory: Path, original_shapes: Mapping[str, Any] | None) -> Any:
    """Build the configuration of a config.json; `original_shapes` is given for the original layout only."""
    try:
        if original_shapes is not None:
            tile_px = original.tile_px(raw, read_json(directory, "preprocessor_config.json", {}))
            content = original.original_config(raw, original_shapes, tile_px)
        else:
            content = known_fields(raw)
        config = plain_config(content)
        if config is not None:
            return config
        from .of_transformers import config_from

        return config_from(content)
    except CheckpointError:
        raise
    except Exception as error:  # noqa: BLE001 - of every version of transformers another class
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CheckpointError(f"{file}: {shown(reason)}") from None


def _check_processors(directory: Path, config: Any) -> None:
    tile_px = config.vision_config.image_size
    for name in ("preprocessor_config.json", "video_preprocessor_config.json"):
        check_preprocessing(read_json(directory, name, {}), directory / name, tile_px)
    processor = read_json(directory, "processor_config.json", {})
    for part in ("image_processor", "video_processor"):
        if isinstance(processor.get(part), Mapping):
            check_preprocessing(processor[part], directory / "processor_config.json", tile_px)


def _generation(directory: Path, raw: Mapping[str, Any]) -> tuple[Path, dict[str, Any]]:
    """The generation settings and their file: generation_config.json, or config.json if that is missing."""
    if (directory / "generation_config.json").is_file():
        return directory / "generation_config.json", read_json(directory, "generation_config.json")
    return directory / "config.json", rules_in_config(raw)


def _check_placeholders(config: Any, file: Path, rows: int) -> None:
    for field in ("image_token_index", "video_token_index"):
        if not 0 <= getattr(config, field) < rows:
            raise CheckpointError(
                f"{file}: {field} is {getattr(config, field)}, and the embedding has {rows} rows: it must be below"
            )


def _ids(found: Any, file: Path, rows: int) -> frozenset[int]:
    """Check a file's eos_token_id (an id, a list of ids, or None), and return the ids."""
    ids = [] if found is None else found if isinstance(found, list) else [found]
    if not all(type(one) is int and 0 <= one < max(rows, 1) for one in ids):
        raise CheckpointError(f"{file}: eos_token_id is {cited(found)}: it must be token ids below {rows}")
    return frozenset(ids)


def _weight_files(directory: Path) -> tuple[Path, ...]:
    if (directory / "model.safetensors").is_file():
        return (whole_file(directory, "model.safetensors"),)
    name = "model.safetensors.index.json"
    if (directory / name).is_file():
        index = read_json(directory, name).get("weight_map")
        files = list(index.values()) if isinstance(index, dict) else []
        if not files or not all(isinstance(one, str) and _PLAIN_NAME.fullmatch(one) for one in files):
            raise CheckpointError(
                f"{directory / name}: weight_map is {cited(index)}: it must name a file of the directory for each "
                "tensor"
            )
        return tuple(whole_file(directory, one) for one in sorted(set(files)))
    raise DamageError(
        f"model directory {directory} has neither model.safetensors nor {name} "
        "(other weight formats can run code when they are read, and are not supported)"
    )


def _check_one_of_each(directory: Path, names: Iterable[str]) -> None:
    """Refuse two tensors with the same place in the model, such as those of an averaged copy."""
    places: dict[str, str] = {}
    for name in names:
        before = places.setdefault(canonical_name(name), name)
        if before != name:
            raise CheckpointError(
                f"model directory {directory}: tensors {shortened(before)} and {shortened(name)} have the same place "
                "in the model: remove one"
            )


def _tensors_in(files: Sequence[Path]) -> dict[str, TensorEntry]:
    found: dict[str, TensorEntry] = {}
    for file in files:
        try:
            with safe_open(file, framework="pt") as opened:
                for name in opened.keys():  # noqa: SIM118 - no mapping
                    if name in found:
                        raise CheckpointError(
                            f"{file} holds tensor {shortened(name)}, which another of the files holds too"
                        )
                    entry = opened.get_slice(name)
                    found[name] = TensorEntry(tuple(entry.get_shape()), str(entry.get_dtype()))
        except CheckpointError:
            raise
        except Exception as error:  # noqa: BLE001 - safetensors raises several unrelated classes
            raise DamageError(f"{file} cannot be read: {shown(str(error))}") from None
    if not found or not sum(math.prod(one.shape) for one in found.values()):
        raise DamageError(f"{files[0]} holds no weights")
    return found
