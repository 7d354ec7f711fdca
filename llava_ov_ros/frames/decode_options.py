"""What a camera's owner chooses about decoding: rotation, the depth range shown, the size refused."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class DecodeOptions:
    """How the pictures of one camera are decoded.

    Attributes:
        rotate_deg: Clockwise turn of the decoded picture: 0, 90, 180 or 270.
        depth_near_m: Depth in metres that is shown white; nearer is white too.
        depth_far_m: Depth in metres that is shown darkest; farther is shown the same.
        max_pixels: Most pixels (width * height) that a message may have.

    Raises:
        ValueError: A value is outside its range; the text names it.
    """

    rotate_deg: int = 0
    depth_near_m: float = 0.2
    depth_far_m: float = 10.0
    max_pixels: int = 8192 * 8192

    def __post_init__(self) -> None:
        if self.rotate_deg not in (0, 90, 180, 270):
            raise ValueError(f"rotate_deg must be 0, 90, 180 or 270, not {self.rotate_deg}")
        if not 0 <= self.depth_near_m < self.depth_far_m < math.inf:
            raise ValueError(
                "depth_near_m and depth_far_m must be 0 <= near < far and finite, "
                f"not {self.depth_near_m} and {self.depth_far_m}"
            )
        if self.max_pixels < 1:
            raise ValueError(f"max_pixels must be at least 1, not {self.max_pixels}")


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuses a size in pixels before anything of that size is allocated.

    Raises:
        ValueError: There is no pixel, or there are more than `max_pixels`.
    """
    if width < 1 or height < 1:
        raise ValueError(f"size is {width}x{height}: a picture needs at least one pixel")
    if width * height > max_pixels:
        raise ValueError(f"size is {width}x{height} = {width * height} pixels, more than {max_pixels}")
