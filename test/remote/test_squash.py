"""Squashed pictures have the very pixels of torch's antialiased bicubic resizing, which the local engine uses."""

from __future__ import annotations

import numpy as np
import pytest

from llava_ov_ros.frames import Rgb
from llava_ov_ros.onevision import pixels
from llava_ov_ros.remote.squash import squashed

SIZES = (16, 96, 384)
LARGE = [(720, 1280), (1080, 1920), (2160, 3840), (2400, 4100)]
SHAPES = [
    *[(480, 640), (3000, 200)],
    *[(1, 1), (1, 2), (2, 1), (3, 5), (1, 2000), (2000, 1), (16, 16), (96, 96), (384, 384), (384, 96), (383, 385)],
    *[(15, 17), (4097, 16), (16, 4097), (767, 769), (1536, 1152), (100, 3000)],
]


def as_torch(rgb: Rgb, size: int) -> Rgb:
    """What the local engine computes."""
    found: Rgb = pixels.squashed(rgb, size)[0].permute(1, 2, 0).numpy()
    return found


def picture(height: int, width: int, kind: str, seed: int = 0) -> Rgb:
    """Noise, the hardest edges, or a gradient."""
    numbers = np.random.default_rng(seed)
    if kind == "edges":
        return numbers.integers(0, 2, (height, width, 3), dtype=np.uint8) * np.uint8(255)
    if kind == "gradient":
        rows, columns = np.mgrid[0:height, 0:width]
        return np.stack([rows % 256, columns % 256, (rows + columns) % 256], axis=-1).astype(np.uint8)
    return numbers.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", ["noise", "edges", "gradient"])
def test_pixels_are_those_of_torch(shape: tuple[int, int], size: int, kind: str):
    rgb = picture(*shape, kind)
    rgb.setflags(write=False)
    found = squashed(rgb, size)
    assert (found.dtype, found.shape) == (np.uint8, (size, size, 3))
    np.testing.assert_array_equal(found, as_torch(rgb, size))


@pytest.mark.parametrize("shape", LARGE, ids=str)
def test_pixels_of_large_pictures_are_those_of_torch(shape: tuple[int, int]):
    rgb = picture(*shape, "noise")
    np.testing.assert_array_equal(squashed(rgb, 384), as_torch(rgb, 384))


def test_pixels_are_those_of_torch_at_any_size():
    numbers = np.random.default_rng(7)
    for seed in range(150):
        height, width = (int(side) for side in np.exp(numbers.uniform(0, np.log(1500), 2)))
        size = int(numbers.integers(16, 500))
        rgb = picture(height, width, ("noise", "edges")[seed % 2], seed)
        np.testing.assert_array_equal(squashed(rgb, size), as_torch(rgb, size), err_msg=f"{height} x {width} to {size}")


def test_a_view_of_another_picture_is_resized_alike():
    rgb = picture(300, 400, "noise")
    for view in (rgb[::2, 10:-7], rgb[:, ::-1], rgb[..., ::-1], rgb.transpose(1, 0, 2)):
        np.testing.assert_array_equal(squashed(view, 96), as_torch(np.ascontiguousarray(view), 96))
