"""Finds the directory of a model before anything heavy is imported, and says how the model is called."""

from __future__ import annotations

import re
from pathlib import Path

from .share import MODELS

MODEL_FORMS = (
    "a shipped name (rooms), else a directory (./rooms is never the shipped one), else a hub name (organisation/model)"
)
"""How a model is named, for help texts."""

HUB_FILES = ("*.json", "*.safetensors", "merges.txt", "prompt_style")
# The hub has no names that begin with a point, and `./NAME` is a path.
_HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")


class CheckpointError(ValueError):
    """A model that cannot be loaded; the text names the path and what is missing or wrong there."""


class DamageError(CheckpointError):
    """A checkpoint of which a file is missing or damaged, so that another copy of it would load."""


def find_checkpoint(model: str) -> Path:
    """The directory of a model, downloaded from the model hub where the model is a hub name.

    Args:
        model: A shipped name such as `rooms`, a directory, or a hub name `organisation/model`; the first of these
            that fits, in this order.

    Raises:
        CheckpointError: There is nothing of that name; the text says where it was looked for. Or the directory has no
            tokenizer.
    """
    directory = local_checkpoint(model) or _from_hub(model)
    if _is_llava(directory):
        check_tokenizer_files(directory)
    return directory


def local_checkpoint(model: str) -> Path | None:
    """As `find_checkpoint`, but None for a hub name, about which the hub is not asked.

    Raises:
        CheckpointError: There is nothing of that name, and it is no hub name.
    """
    if not model.strip():
        raise CheckpointError(f"no model is named: give {MODEL_FORMS}")
    directory = MODELS.path(model)
    if directory.is_dir():
        # An adapter has none, and is refused with more to say.
        if not any((directory / name).is_file() for name in ("config.json", "adapter_config.json")):
            raise CheckpointError(
                f"model directory {directory.resolve()} has no config.json: give the directory that holds the "
                "checkpoint's files"
            )
        return directory.resolve()
    if _HUB_NAME.fullmatch(model):
        return None
    raise CheckpointError(
        f"model {model!r}: no directory {directory.absolute()}, and no shipped model of that name "
        f"({', '.join(MODELS.shipped())}); a hub name has the form organisation/model"
    )


def _is_llava(directory: Path) -> bool:
    """Whether a checkpoint's architecture is one that may be loaded; all others are refused with more to say."""
    try:
        return "Llava" in (directory / "config.json").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def check_tokenizer_files(directory: Path) -> None:
    """Check that a checkpoint has the files of its tokenizer: tokenizer.json, or vocab.json and merges.txt.

    Raises:
        DamageError: One is missing.
    """
    if (directory / "tokenizer.json").is_file():
        return
    for name in ("vocab.json", "merges.txt"):
        if not (directory / name).is_file():
            raise DamageError(
                f"model directory {directory} has neither tokenizer.json nor {name}: copy tokenizer.json from the "
                "model that this one was made from, or save it here with transformers: "
                f"AutoTokenizer.from_pretrained(MODEL).save_pretrained({str(directory)!r})"
            )


def model_name(directory: Path) -> str:
    """How the model in a directory is called in answers and records.

    The snapshots of a model hub's cache are called by commits; their model is `organisation/model`. The cache names its
    folders so in huggingface_hub's `repo_folder_name`: models--organisation--model/snapshots/COMMIT.
    """
    kind, _, name = directory.parent.parent.name.partition("--")
    if directory.parent.name == "snapshots" and kind == "models" and name:
        return name.replace("--", "/")
    return directory.name


def _from_hub(model: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, allow_patterns=list(HUB_FILES)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        # What the hub itself has answered comes with its response; all else is on the way to it.
        is_answer = isinstance(error, HFValidationError) or getattr(error, "response", None) is not None
        remedies = ["correct the name", "download the model where there is a network and name its directory"]
        said = "the model hub does not give it" if is_answer else "the model hub cannot be reached"
        raise CheckpointError(
            f"model {model!r}: no directory {Path(model).absolute()}, and {said} ({reason}); "
            + ", or ".join(remedies if is_answer else reversed(remedies))
        ) from None
