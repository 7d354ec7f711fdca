"""The evidence picture: the frames used, and under them questions and answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .frame import NS_PER_S, Clip, Rgb

# A font with Chinese characters where the machine has one; Pillow's own has Latin letters only.
CJK_FONTS = (
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/truetype/arphic/uming.ttc",
)
MARGIN_PX = 8
CAPTION_PX = 18
BACKGROUND = (24, 26, 30)
WHITE = (240, 240, 240)
DIM = (150, 155, 165)


@dataclass(frozen=True)
class Line:
    """One paragraph under the frames.

    Attributes:
        text: What it says; wrapped to the sheet's width.
        colour: RGB, 0 to 255.
        size_px: Height of the letters.
    """

    text: str
    colour: tuple[int, int, int] = WHITE
    size_px: int = 16


@cache
def _font(size_px: int, chinese: bool) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    if chinese:
        for path in CJK_FONTS:
            if Path(path).exists():
                return ImageFont.truetype(path, size_px)
    return ImageFont.load_default(size_px)


def _wrap(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width_px: int) -> list[str]:
    """Break a text into lines, at spaces where there are any and between characters where there are none."""
    lines: list[str] = []
    for paragraph in text.splitlines() or [""]:
        line = ""
        for character in paragraph.rstrip():
            if font.getlength(line + character) <= width_px or not line:
                line += character
                continue
            if character == " ":
                lines.append(line)
                line = ""
                continue
            head, space, tail = line.rpartition(" ")
            if space and head:
                lines.append(head)
                line = tail + character
            else:
                lines.append(line)
                line = character.lstrip()
        lines.append(line)
    return lines


def contact_sheet(clips: Sequence[Clip], lines: Sequence[Line], *, tile_px: int = 240, columns: int = 4) -> Rgb:
    """Draw clips, one row block per camera, each frame with its time before the newest, then the lines.

    Args:
        clips: Frames to show, oldest first within a camera.
        lines: Paragraphs below.
        tile_px: Width of one frame in the sheet.
        columns: Frames per row.

    Returns:
        The picture, uint8 (height, width, 3).
    """
    columns = max(1, min(columns, max((len(clip.frames) for clip in clips), default=1)))
    # One narrow frame would leave no room for text.
    width = max(columns * (tile_px + MARGIN_PX) + MARGIN_PX, 2 * tile_px)
    wrapped = [
        (line, part)
        for line in lines
        for part in _wrap(line.text, _font(line.size_px, not line.text.isascii()), width - 2 * MARGIN_PX)
    ]
    rows = [
        (clip, clip.frames[first : first + columns]) for clip in clips for first in range(0, len(clip.frames), columns)
    ]
    tiles = [[_tile(frame.rgb, tile_px) for frame in frames] for _, frames in rows]
    heights = [max(tile.height for tile in row) + CAPTION_PX + MARGIN_PX for row in tiles]
    text_height = sum(line.size_px + 6 for line, _ in wrapped)
    sheet = Image.new("RGB", (width, MARGIN_PX + sum(heights) + text_height + MARGIN_PX), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    newest_ns = max((clip.newest_ns for clip in clips), default=0)
    y = MARGIN_PX
    for (clip, frames), row, height in zip(rows, tiles, heights, strict=True):
        for column, (frame, tile) in enumerate(zip(frames, row, strict=True)):
            x = MARGIN_PX + column * (tile_px + MARGIN_PX)
            sheet.paste(tile, (x, y))
            caption = f"{clip.camera}  {(frame.stamp_ns - newest_ns) / NS_PER_S:+.2f} s"
            draw.text((x, y + tile.height + 2), caption, DIM, _font(13, not caption.isascii()))
        y += height
    for line, part in wrapped:
        draw.text((MARGIN_PX, y), part, line.colour, _font(line.size_px, not line.text.isascii()))
        y += line.size_px + 6
    return np.asarray(sheet)


def _tile(rgb: Rgb, width_px: int) -> Image.Image:
    height = max(1, round(rgb.shape[0] * width_px / rgb.shape[1]))
    return Image.fromarray(rgb).resize((width_px, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
