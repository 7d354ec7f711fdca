"""The same pixels as cv_bridge, on machines that have it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from llava_ov_ros.frames import DecodeOptions, decode

cv_bridge = pytest.importorskip("cv_bridge", reason="cv_bridge comes with ROS 2 from packages, not with the wheels")

# Encodings that cv_bridge converts to rgb8: type of a sample, samples of a pixel.
KNOWN = {
    **{f"{order}{bits}": (f"u{bits // 8}", len(order)) for order in ("rgb", "bgr", "rgba", "bgra") for bits in (8, 16)},
    "mono8": ("u1", 1),
    "mono16": ("u2", 1),
    **{f"bayer_{order}{bits}": (f"u{bits // 8}", 1) for order in ("rggb", "bggr", "gbrg", "grbg") for bits in (8, 16)},
    "yuv422": ("u1", 2),
    "yuv422_yuy2": ("u1", 2),
}


def ros_image(encoding: str, padding: int):
    from sensor_msgs.msg import Image

    sample, channels = KNOWN[encoding]
    random = np.random.default_rng(sum(map(ord, encoding)))
    pixels = random.integers(0, np.iinfo(sample).max, (24, 32 * channels), endpoint=True).astype("<" + sample)
    rows = np.pad(pixels.view(np.uint8), ((0, 0), (0, padding)))
    return Image(height=24, width=32, encoding=encoding, step=rows.shape[1], data=rows.tobytes())


@pytest.mark.parametrize("padding", [0, 12])
@pytest.mark.parametrize("encoding", KNOWN)
def test_images(encoding, padding) -> None:
    message = ros_image(encoding, padding)
    expected = cv_bridge.CvBridge().imgmsg_to_cv2(message, "rgb8")
    # OpenCV versions demosaic and convert YUV with other roundings.
    tolerance = 1 if encoding.startswith(("bayer", "yuv")) else 0
    np.testing.assert_allclose(decode(message, "front", DecodeOptions()), expected, atol=tolerance)


@pytest.mark.parametrize("extension", ["jpg", "png"])
def test_compressed_images(extension) -> None:
    smooth = cv2.resize(np.random.default_rng(1).integers(0, 256, (3, 4, 3), dtype=np.uint8), (32, 24))
    message = cv_bridge.CvBridge().cv2_to_compressed_imgmsg(smooth, extension)
    expected = cv_bridge.CvBridge().compressed_imgmsg_to_cv2(message, "rgb8")
    np.testing.assert_allclose(decode(message, "front", DecodeOptions()), expected, atol=2 if extension == "jpg" else 0)
