"""A camera message of either kind to an RGB picture, or to the one error."""

from __future__ import annotations

from typing import Any

import cv2

from .compressed import compressed_to_rgb
from .decode_options import DecodeOptions
from .frame import Rgb
from .image_error import ImageError
from .raw_image import image_to_rgb

_ROTATIONS: dict[int, int] = {
    90: cv2.ROTATE_90_CLOCKWISE,
    180: cv2.ROTATE_180,
    270: cv2.ROTATE_90_COUNTERCLOCKWISE,
}


def decode(message: Any, camera_name: str, options: DecodeOptions) -> Rgb:
    """Decodes a sensor_msgs Image or CompressedImage, told apart by the field `format`.

    Args:
        message: The message; its data must not be changed afterwards.
        camera_name: Names the camera in the error.
        options: Rotation, depth range, size limit.

    Returns:
        The picture, uint8 (height, width, 3), C-contiguous and read-only. Of an rgb8 Image without padding and
        rotation it is a view, which keeps the message's memory alive; of everything else it is a copy.

    Raises:
        ImageError: The message holds no picture that can be decoded.
    """
    is_compressed = hasattr(message, "format")
    try:
        rgb = compressed_to_rgb(message, options) if is_compressed else image_to_rgb(message, options)
        if options.rotate_deg:
            rgb = cv2.rotate(rgb, _ROTATIONS[options.rotate_deg])
    except (ValueError, cv2.error) as error:
        encoding = message.format if is_compressed else message.encoding
        raise ImageError(camera_name, encoding, " ".join(str(error).split())) from error
    rgb.flags.writeable = False
    return rgb
