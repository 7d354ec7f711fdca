"""Writes random weights of a true shape as a checkpoint that servers load, so that both sides have the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from ..onevision.checkpoint_files import ARCHITECTURE
from ..onevision.of_transformers import config_from
from ..onevision.shapes import SHAPES, random_tensors, widened

COPIED = ("chat_template.jinja", "generation_config.json", "tokenizer_config.json")
"""Files of models/rooms that say nothing of its shape."""


def write_served_checkpoint(shape: str, rooms: Path, directory: Path, dtype: torch.dtype) -> None:
    """Write configuration, processor, tokenizer and random weights.

    The tokenizer is that of rooms, with a text for every further token of the vocabulary, because servers decode
    whatever the model says. No greedy answer ends before its longest.

    Args:
        shape: A key of SHAPES.
        rooms: The folder models/rooms.
        directory: Folder of the checkpoint; it is made.
        dtype: Type of the stored weights.

    Raises:
        FileExistsError: The folder is there already.
    """
    config = SHAPES[shape]()
    written = config_from(config.fields())
    written.architectures, written.dtype = [ARCHITECTURE], dtype
    directory.mkdir(parents=True)
    tensors = dict(random_tensors(config, 0, torch.device("cpu"), dtype))
    save_file(tensors, directory / "model.safetensors", {"format": "pt"})
    (directory / "config.json").write_text(json.dumps(written.to_dict(), indent=1, default=_name))
    vocabulary: int = config.text_config.vocab_size
    (directory / "tokenizer.json").write_text(widened(rooms / "tokenizer.json", vocabulary).json)
    for name in COPIED:
        (directory / name).write_text((rooms / name).read_text())
    processor = json.loads((rooms / "processor_config.json").read_text())
    side = config.vision_config.image_size
    for part in ("image_processor", "video_processor"):
        processor[part]["size"] = {"height": side, "width": side}
    processor["image_processor"]["image_grid_pinpoints"] = config.image_grid_pinpoints
    processor["num_image_tokens"] = (side // config.vision_config.patch_size) ** 2
    (directory / "processor_config.json").write_text(json.dumps(processor, indent=1))


def _name(value: Any) -> str:
    """A dtype as configurations write it."""
    return str(value).removeprefix("torch.")
