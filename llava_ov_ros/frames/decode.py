"""Decodes a raw or compressed camera message to an RGB picture or stored values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2

from ..settings.allowed_values import REFUSE
from .compressed import decode_compressed
from .decode_options import DecodeOptions
from .frame import Rgb
from .image_error import DamagedError, ImageError
from .raw_image import decode_image
from .showing import first_shown
from .values import Values

_ROTATIONS: dict[int, int] = {
    90: cv2.ROTATE_90_CLOCKWISE,
    180: cv2.ROTATE_180,
    270: cv2.ROTATE_90_COUNTERCLOCKWISE,
}


@dataclass(frozen=True)
class Decoded:
    """A decoded picture.

    Attributes:
        picture: uint8 (height, width, 3), or stored values for one channel of more than 8 bits; C-contiguous and
            read-only.
        damage: A message about the damage, with the camera's name; empty if none was found.
    """

    picture: Rgb | Values
    damage: str

    def shown(self, value_range: str) -> Rgb:
        """The picture, uint8 (height, width, 3), read-only.

        Args:
            value_range: Range in which stored values are shown: `default`, `auto` (the picture's own) or two numbers.
        """
        return first_shown(self.picture, value_range).rgb


def decode(message: Any, camera_name: str, options: DecodeOptions) -> Rgb:
    """Decodes a message of one picture; stored values are shown in the range of the options.

    Args:
        message: The message; its data must not be changed afterwards.
        camera_name: Names the camera in the error.
        options: Rotation, range of values, size limit, and whether a damaged picture is used.

    Returns:
        The picture, uint8 (height, width, 3), C-contiguous and read-only.

    Raises:
        ImageError: The message holds no picture that can be decoded.
    """
    return decode_and_check(message, camera_name, options).shown(options.value_range)


def decode_and_check(message: Any, camera_name: str, options: DecodeOptions) -> Decoded:
    """Decodes a message of one picture and reports its damage; messages of video need a `MessageDecoder`.

    Args:
        message: The message; its data must not be changed afterwards.
        camera_name: Names the camera in the error.
        options: Rotation, size limit, and whether a damaged picture is used.

    Returns:
        The picture. For rgb8 and for stored values, without padding and rotation, it is a view that keeps the message's
        memory alive; otherwise it is a copy.

    Raises:
        DamagedError: The picture is damaged, and the options refuse damaged pictures.
        ImageError: The message holds no picture that can be decoded.
    """
    is_compressed = hasattr(message, "format")
    encoding = message.format if is_compressed else message.encoding
    damage = ""
    try:
        if is_compressed:
            picture, damage = decode_compressed(message, options)
        else:
            picture = decode_image(message, options)
        picture = finish(picture, options)
    except (ValueError, cv2.error) as error:
        raise ImageError(camera_name, encoding, " ".join(str(error).split())) from error
    if damage and options.on_damaged == REFUSE:
        raise DamagedError(camera_name, encoding, damage)
    return Decoded(picture, str(ImageError(camera_name, encoding, damage)) if damage else "")


def finish(picture: Rgb | Values, options: DecodeOptions) -> Rgb | Values:
    """Rotate a decoded picture as the options say, and make it read-only."""
    pixels = picture.stored if isinstance(picture, Values) else picture
    if options.rotate_deg:
        pixels = cv2.rotate(pixels, _ROTATIONS[options.rotate_deg])
    pixels.flags.writeable = False
    return replace(picture, stored=pixels) if isinstance(picture, Values) else pixels
