"""Preprocessing against Pillow 12, which the original code resizes with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rosbags.highlevel import AnyReader
from transformers import SiglipImageProcessor

from llava_ov_ros.frames import DecodeOptions, decode
from llava_ov_ros.onevision import pixels
from llava_ov_ros.onevision.pixels import anyres_tiles, normalised, padded_square, squashed

SIZES = [(480, 640), (720, 1280), (640, 480), (333, 717), (717, 333), (100, 90), (384, 384)]
# torch's integer kernel and Pillow's round differently. On camera pictures at their own size that is one level; on
# hard edges and enlarged pictures about one value in 100,000 is two levels apart.
MOST_TWO_LEVELS_APART = 5e-5


def pillow(rgb: np.ndarray, height: int, width: int) -> np.ndarray:
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BICUBIC))


def difference(ours: torch.Tensor, theirs: np.ndarray) -> np.ndarray:
    return np.abs(ours.permute(1, 2, 0).numpy().astype(int) - theirs.astype(int))


@pytest.fixture(scope="module")
def recorded_frames() -> list[np.ndarray]:
    """Every tenth frame of the two real videos, 640x360 and 640x480."""
    bags = Path(__file__).parents[3] / "shared" / "data" / "bags"
    if not bags.is_dir():
        pytest.skip(f"{bags} is absent: the real recordings are not part of the project")
    frames = []
    for name in ("bottles_5hz_mcap", "box_5hz_mcap"):
        with AnyReader([bags / name]) as reader:
            for index, (connection, _, raw) in enumerate(reader.messages()):
                if index % 10 == 0:
                    message = reader.deserialize(raw, connection.msgtype)
                    frames.append(decode(message, "camera", DecodeOptions()))
    return frames


def test_recorded_frames_are_within_one_grey_level_of_pillow(recorded_frames: list[np.ndarray]) -> None:
    assert len(recorded_frames) == 28
    for rgb in recorded_frames:
        assert difference(squashed(rgb, 384)[0], pillow(rgb, 384, 384)).max() <= 1
        side = max(rgb.shape)
        square = np.full((side, side, 3), 127, np.uint8)
        top = (side - rgb.shape[0]) // 2
        square[top : top + rgb.shape[0]] = rgb
        assert difference(padded_square(rgb, 384)[0], pillow(square, 384, 384)).max() <= 1


@pytest.mark.parametrize("shape", [(37, 501), (501, 37), (383, 385), (700, 2000)])
def test_a_padded_square_is_the_same_though_it_is_never_whole(shape, monkeypatch) -> None:
    monkeypatch.setattr(pixels, "PIXELS_AT_A_TIME", 2**16)
    rgb = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    side = max(shape)
    top, left = (side - shape[0]) // 2, (side - shape[1]) // 2
    square = torch.full((1, 3, side, side), pixels.PAD_GRAY, dtype=torch.uint8)
    square[:, :, top : top + shape[0], left : left + shape[1]] = pixels.as_tensor(rgb)
    assert torch.equal(padded_square(rgb, 378), pixels.resized(square, 378, 378))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("soft", [True, False])
def test_any_picture_is_within_two_and_nearly_all_values_within_one(make_clip: Any, size: Any, soft: bool) -> None:
    if soft:
        rgb = make_clip(frames=1, height=size[0], width=size[1]).frames[0].rgb
    else:
        blocks = np.random.default_rng(0).integers(0, 256, (size[0] // 8 + 1, size[1] // 8 + 1, 3), dtype=np.uint8)
        rgb = np.ascontiguousarray(np.kron(blocks, np.ones((8, 8, 1), np.uint8))[: size[0], : size[1]])
    apart = difference(squashed(rgb, 384)[0], pillow(rgb, 384, 384))
    assert apart.max() <= 2
    assert (apart > 1).mean() <= MOST_TWO_LEVELS_APART


def test_tiles_are_cut_row_by_row_from_a_centred_picture() -> None:
    rgb = np.zeros((384, 2 * 384, 3), np.uint8)
    rgb[:, :384] = (255, 0, 0)
    rgb[:, 384:] = (0, 255, 0)
    tiles, grid = anyres_tiles(rgb, 384, [[384, 384], [384, 768], [768, 768]])
    assert grid == (1, 2)
    assert tiles.shape == (3, 3, 384, 384)
    assert (tiles[1].permute(1, 2, 0).numpy() == (255, 0, 0)).all()
    assert (tiles[2].permute(1, 2, 0).numpy() == (0, 255, 0)).all()


def test_padding_of_the_canvas_is_black() -> None:
    rgb = np.full((100, 384, 3), 255, np.uint8)
    tiles, grid = anyres_tiles(rgb, 384, [[384, 384]])
    assert grid == (1, 1)
    tile = tiles[1].permute(1, 2, 0).numpy()
    assert (tile[:142] == 0).all()
    assert (tile[142:242] == 255).all()
    assert (tile[242:] == 0).all()


def test_normalised_is_minus_one_to_one() -> None:
    values = normalised(torch.tensor([[[[0, 255]]]], dtype=torch.uint8), torch.float32)
    assert values.flatten().tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_normalised_values_are_those_of_the_processor_of_siglip(dtype: torch.dtype) -> None:
    every = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    processor = SiglipImageProcessor(do_resize=False)
    theirs = torch.from_numpy(processor(every, return_tensors="np", input_data_format="channels_last").pixel_values)
    for given in (pixels.as_tensor(every), pixels.as_tensor(every).contiguous()):
        ours = normalised(given, dtype)
        assert (ours.dtype, ours.shape) == (dtype, theirs.shape)
        # Theirs divides by 255 in float64, so that a value may be rounded to the other side.
        torch.testing.assert_close(ours, theirs.to(dtype), rtol=torch.finfo(dtype).eps, atol=1e-7)


def test_a_read_only_frame_is_taken() -> None:
    rgb = np.zeros((10, 10, 3), np.uint8)
    rgb.setflags(write=False)
    assert squashed(rgb, 4).shape == (1, 3, 4, 4)
