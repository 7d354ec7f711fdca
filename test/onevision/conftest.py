"""A nano checkpoint with random weights, and frames to look at."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from llava_ov_ros.frames import Clip, Frame
from llava_ov_ros.onevision import Engine, load_engine
from llava_ov_ros.onevision.shapes import nano_config, write_random_checkpoint


@pytest.fixture(scope="session")
def nano_directory(tmp_path_factory: pytest.TempPathFactory, rooms: Path) -> Path:
    directory = tmp_path_factory.mktemp("models") / "nano"
    write_random_checkpoint(nano_config(), rooms / "tokenizer.json", directory, seed=1)
    return directory


@pytest.fixture(scope="session")
def nano(nano_directory: Path) -> Engine:
    return load_engine(str(nano_directory), device="cpu")


@pytest.fixture(scope="session")
def transformers_overlay() -> Callable[[str], Path]:
    """Folder of another transformers, to be put before all else on PYTHONPATH: 4.54, 4.57 or newest."""

    def find(version: str) -> Path:
        folder = Path(sys.prefix) / "overlays" / f"transformers-{version}"
        assert folder.is_dir(), f"{folder} is missing: run `python tools/set_up.py --overlays`"
        return folder

    return find


@pytest.fixture
def make_clip():
    def make(camera: str = "camera", frames: int = 3, height: int = 120, width: int = 160, seed: int = 0) -> Clip:
        rng = np.random.default_rng(seed)
        blocks = (height // 8 + 1, width // 8 + 1, 3)
        pictures = [
            # Soft edges, as a lens makes them.
            cv2.GaussianBlur(np.kron(rng.integers(0, 256, blocks), np.ones((8, 8, 1)))[:height, :width], (0, 0), 1.5)
            for _ in range(frames)
        ]
        return Clip(
            camera,
            tuple(Frame(camera, i * 10**9, "optical", picture.astype(np.uint8)) for i, picture in enumerate(pictures)),
        )

    return make
