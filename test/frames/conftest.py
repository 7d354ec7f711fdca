"""Messages for the tests of the frames layer, built with rosbags' classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore

NS_PER_S = 1_000_000_000
TYPES = get_typestore(Stores.ROS2_JAZZY).types


def _header(stamp_ns: int, frame_id: str) -> Any:
    stamp = TYPES["builtin_interfaces/msg/Time"](sec=stamp_ns // NS_PER_S, nanosec=stamp_ns % NS_PER_S)
    return TYPES["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)


@pytest.fixture(scope="session")
def image() -> Callable[..., Any]:
    """Builds a sensor_msgs/Image; the step is that of packed rows unless it is given."""

    def build(
        data: bytes | np.ndarray,
        encoding: str,
        width: int,
        height: int,
        *,
        step: int | None = None,
        is_bigendian: int = 0,
        stamp_ns: int = NS_PER_S,
        frame_id: str = "optical",
    ) -> Any:
        octets = np.frombuffer(data if isinstance(data, bytes) else data.tobytes(), dtype=np.uint8)
        return TYPES["sensor_msgs/msg/Image"](
            header=_header(stamp_ns, frame_id),
            height=height,
            width=width,
            encoding=encoding,
            is_bigendian=is_bigendian,
            step=octets.size // height if step is None else step,
            data=octets,
        )

    return build


@pytest.fixture(scope="session")
def compressed() -> Callable[..., Any]:
    """Builds a sensor_msgs/CompressedImage."""

    def build(data: bytes, text: str, *, stamp_ns: int = NS_PER_S, frame_id: str = "optical") -> Any:
        return TYPES["sensor_msgs/msg/CompressedImage"](
            header=_header(stamp_ns, frame_id), format=text, data=np.frombuffer(data, dtype=np.uint8)
        )

    return build


@pytest.fixture(scope="session")
def encode() -> Callable[[str, np.ndarray], bytes]:
    """Compresses pixels as OpenCV does: what it takes for BGR is written as such."""

    def build(extension: str, pixels: np.ndarray) -> bytes:
        done, octets = cv2.imencode(extension, pixels)
        assert done
        return octets.tobytes()

    return build


@pytest.fixture(scope="session")
def encode_rvl() -> Callable[[np.ndarray], bytes]:
    """Compresses uint16 (rows, columns) by Wilson's paper, pixel by pixel: size, then the code in words."""

    def build(depth: np.ndarray) -> bytes:
        nibbles: list[int] = []

        def put(value: int) -> None:
            while value > 7:
                nibbles.append(value & 7 | 8)
                value >>= 3
            nibbles.append(value)

        pixels = [int(pixel) for pixel in depth.ravel()]
        place, before = 0, 0
        while place < len(pixels):
            zeros = place
            while zeros < len(pixels) and pixels[zeros] == 0:
                zeros += 1
            end = zeros
            while end < len(pixels) and pixels[end] != 0:
                end += 1
            put(zeros - place)
            put(end - zeros)
            for pixel in pixels[zeros:end]:
                difference = pixel - before
                put(2 * difference if difference >= 0 else -2 * difference - 1)
                before = pixel
            place = end
        nibbles += [0] * (-len(nibbles) % 8)
        words = [int("".join(f"{nibble:x}" for nibble in nibbles[i : i + 8]), 16) for i in range(0, len(nibbles), 8)]
        size = np.array([depth.shape[1], depth.shape[0]], dtype="<u4").tobytes()
        return size + np.array(words, dtype="<u4").tobytes()

    return build


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of real recordings beside the repository; skips where it is absent."""
    folder = Path(__file__).parents[3] / "shared" / "data" / "bags"
    if not folder.is_dir():
        pytest.skip(f"no recordings at {folder}")
    return folder
