"""Finds the directory of a checkpoint and the model's name, without importing torch or transformers."""

from __future__ import annotations

import re
from pathlib import Path

from .share import MODELS

MODEL_FORMS = (
    "a shipped name (rooms), else a directory (./rooms is never the shipped one), else a hub name (organisation/model)"
)
"""The ways to name a model, for help texts and messages."""
ADDRESS_FORM = "the address of a server, such as http://host:8000/v1"
"""How to name a model on a server, for help texts and messages."""

HUB_FILES = ("*.json", "*.safetensors", "merges.txt", "prompt_style")
# No hub name begins with a dot, and `./NAME` is a path.
_HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def is_address(model: str) -> bool:
    """Whether the name of a model is the address of a server: it begins with http:// or https://."""
    return model.strip().lower().startswith(("http://", "https://"))


class CheckpointError(ValueError):
    """A checkpoint cannot be loaded; the message names the path and what is missing or wrong there."""


class DamageError(CheckpointError):
    """A file of the checkpoint is missing or damaged; an intact copy of the same checkpoint would load."""


def find_checkpoint(model: str) -> Path:
    """The directory of a checkpoint; a hub name is downloaded from the model hub first.

    Args:
        model: A shipped name such as `rooms`, a directory, or a hub name `organisation/model`, tried in this order.

    Raises:
        CheckpointError: No model has that name (the message says where it was looked for), or the directory has no
            tokenizer.
    """
    directory = local_checkpoint(model) or _from_hub(model)
    if _is_llava(directory):
        check_tokenizer_files(directory)
    return directory


def local_checkpoint(model: str) -> Path | None:
    """The directory of a shipped or local checkpoint, or None for a hub name; never uses the network.

    Raises:
        CheckpointError: The name is empty, the address of a server, or neither a shipped name, a checkpoint's
            directory nor a hub name.
    """
    if not model.strip():
        raise CheckpointError(f"no model is named: give {MODEL_FORMS}")
    if is_address(model):
        raise CheckpointError(
            # The address is not cited: it may contain a password.
            f"the model is named by the address of a server, and this needs one on this machine: give {MODEL_FORMS}"
        )
    directory = MODELS.path(model)
    if directory.is_dir():
        # An adapter has no config.json; `load_engine` refuses it with a message of its own.
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
    """Whether config.json names a LLaVA architecture; `load_engine` refuses all others with a message of its own."""
    try:
        return "Llava" in (directory / "config.json").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def check_tokenizer_files(directory: Path) -> None:
    """Check that a checkpoint has its tokenizer's files: tokenizer.json, or vocab.json and merges.txt.

    Raises:
        DamageError: There is no tokenizer.json, and vocab.json or merges.txt is missing.
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
    """The model's name in answers and records: the name of its directory, or `organisation/model` in the hub's cache.

    The cache of the model hub names a snapshot's directory by its commit (huggingface_hub, `repo_folder_name`):
    models--organisation--model/snapshots/COMMIT.
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
        # An error with a response is an answer of the hub; any other error means that the hub was not reached.
        is_answer = isinstance(error, HFValidationError) or getattr(error, "response", None) is not None
        remedies = ["correct the name", "download the model where there is a network and name its directory"]
        said = "the model hub does not give it" if is_answer else "the model hub cannot be reached"
        raise CheckpointError(
            f"model {model!r}: no directory {Path(model).absolute()}, and {said} ({reason}); "
            + ", or ".join(remedies if is_answer else reversed(remedies))
        ) from None
