"""Files of a checkpoint that are links, as colcon and the model hub's cache lay them, and names that leave it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.torch import save_file

from llava_ov_ros.checkpoints import CheckpointError, find_checkpoint, model_name
from llava_ov_ros.onevision.checkpoint_files import open_checkpoint
from llava_ov_ros.share import shipped


def two_parts(folder: Path) -> Path:
    """The shipped model with its weights in two files and an index."""
    whole = shipped("models/rooms")
    shutil.copytree(whole, folder, ignore=shutil.ignore_patterns("model.safetensors"))
    with safe_open(whole / "model.safetensors", framework="pt") as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
    places = {name: f"model-{number % 2 + 1:05}-of-00002.safetensors" for number, name in enumerate(sorted(tensors))}
    for file in set(places.values()):
        save_file({name: tensors[name] for name, place in places.items() if place == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return folder


def as_colcon(real: Path, folder: Path) -> Path:
    """`colcon build --symlink-install` makes the folder and links each file by its absolute path."""
    folder.mkdir(parents=True)
    for file in real.iterdir():
        (folder / file.name).symlink_to(file)
    return folder


def as_hub(real: Path, folder: Path) -> Path:
    """The hub's cache keeps files as blobs, and a snapshot has relative links to them."""
    blobs, snapshot = folder / "models--org--name/blobs", folder / "models--org--name/snapshots/0123abc"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for number, file in enumerate(sorted(real.iterdir())):
        shutil.copy(file, blobs / f"{number:040x}")
        (snapshot / file.name).symlink_to(Path("../../blobs") / f"{number:040x}")
    return snapshot


@pytest.mark.parametrize("laid", [as_colcon, as_hub])
def test_links_are_followed(tmp_path, laid):
    directory = laid(two_parts(tmp_path / "real"), tmp_path / "laid")
    found = open_checkpoint(find_checkpoint(str(directory)))
    assert len(found.weights) == 2
    assert found.shapes
    assert model_name(directory) == ("org/name" if laid is as_hub else "laid")


@pytest.mark.parametrize(
    "name", ["../a.safetensors", "/etc/passwd", "..", "a/b.safetensors", "", ".a", "a\n", "a\0b", "~", 7, None]
)
def test_a_name_in_the_index_is_a_plain_one(tmp_path, name):
    directory = two_parts(tmp_path / "real")
    (directory.parent / "a.safetensors").write_text("elsewhere")
    index = directory / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"x": name}}))
    with pytest.raises(CheckpointError, match=r"weight_map is .*: it must name a file of the directory"):
        open_checkpoint(directory)
