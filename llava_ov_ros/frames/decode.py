"""A camera message of either kind to an RGB picture, or to the one error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2

from .compressed import compressed_to_rgb
from .decode_options import REFUSE, DecodeOptions
from .frame import Rgb
from .image_error import DamagedError, ImageError
from .raw_image import image_to_rgb

_ROTATIONS: dict[int, int] = {
    90: cv2.ROTATE_90_CLOCKWISE,
    180: cv2.ROTATE_180,
    270: cv2.ROTATE_90_COUNTERCLOCKWISE,
}


@dataclass(frozen=True)
class Decoded:
    """A decoded picture.

    Attributes:
        rgb: uint8 (height, width, 3), C-contiguous and read-only.
        damage: What is damaged in it, with the camera's name; empty where nothing was found.
    """

    rgb: Rgb
    damage: str


def decode(message: Any, camera_name: str, options: DecodeOptions) -> Rgb:
    """Decodes a message of one picture; `decode_and_check` without what is damaged."""
    return decode_and_check(message, camera_name, options).rgb


def decode_and_check(message: Any, camera_name: str, options: DecodeOptions) -> Decoded:
    """Decodes an Image or RawImage, or a CompressedImage, which have the field `format`; video takes a MessageDecoder.

    Args:
        message: The message; its data must not be changed afterwards.
        camera_name: Names the camera in the error.
        options: Rotation, depth range, size limit, and whether a damaged picture is used.

    Returns:
        The picture. Of an rgb8 Image without padding and rotation it is a view, which keeps the message's memory
        alive; of everything else it is a copy.

    Raises:
        DamagedError: The picture is damaged, and such ones are refused.
        ImageError: The message holds no picture that can be decoded.
    """
    is_compressed = hasattr(message, "format")
    encoding = message.format if is_compressed else message.encoding
    damage = ""
    try:
        if is_compressed:
            rgb, damage = compressed_to_rgb(message, options)
        else:
            rgb = image_to_rgb(message, options)
        rgb = finish(rgb, options)
    except (ValueError, cv2.error) as error:
        raise ImageError(camera_name, encoding, " ".join(str(error).split())) from error
    if damage and options.on_damaged == REFUSE:
        raise DamagedError(camera_name, encoding, damage)
    return Decoded(rgb, str(ImageError(camera_name, encoding, damage)) if damage else "")


def finish(rgb: Rgb, options: DecodeOptions) -> Rgb:
    """Turn a decoded picture as the options say, and make it read-only."""
    if options.rotate_deg:
        rgb = cv2.rotate(rgb, _ROTATIONS[options.rotate_deg])
    rgb.flags.writeable = False
    return rgb
