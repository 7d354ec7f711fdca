"""The visual modes: how the frames of a clip become visual tokens."""

from __future__ import annotations

from typing import Literal, get_args

Mode = Literal["video", "multi_image", "image"]
"""At 384 px, `video` makes 196 tokens a frame and one newline at the clip's end, `multi_image` 730 a frame; `image`
encodes one frame as up to nine tiles and a view of the whole frame (anyres_max_9)."""

MODES: tuple[Mode, ...] = get_args(Mode)
