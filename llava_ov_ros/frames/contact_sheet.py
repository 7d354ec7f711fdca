"""Draws the evidence picture: the frames of an answer, and below them the question and the answer."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .frame import NS_PER_S, Clip, Rgb

# Fonts with Chinese characters, where installed; Pillow's own font has Latin letters only.
CJK_FONTS = (
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/truetype/arphic/uming.ttc",
)
MARGIN_PX = 8
CAPTION_PX = 18
MOST_LINES = 12
"""Most lines of one paragraph."""
ELLIPSIS = "…"
BACKGROUND = (24, 26, 30)
WHITE = (240, 240, 240)
DIM = (150, 155, 165)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Line:
    """One paragraph under the frames.

    Attributes:
        text: The paragraph's text; wrapped to the sheet's width, and cut off after MOST_LINES lines.
        colour: RGB, 0 to 255.
        size_px: Height of the letters.
    """

    text: str
    colour: tuple[int, int, int] = WHITE
    size_px: int = 16


@cache
def _font(size_px: int, chinese: bool) -> Font:
    if chinese:
        for path in CJK_FONTS:
            if Path(path).exists():
                return ImageFont.truetype(path, size_px)
    return ImageFont.load_default(size_px)


def _wrap(text: str, font: Font, width_px: int, most_lines: int = MOST_LINES) -> list[str]:
    """Break a text into lines: at spaces, or between characters where a line has no space.

    A longer text is cut off after `most_lines` lines with an ellipsis, and the rest is not measured.
    """
    lines = list(islice(_lines(text[: most_lines * width_px + 1], font, width_px), most_lines + 1))
    if len(lines) <= most_lines:
        return lines
    last = lines[most_lines - 1]
    while last and font.getlength(last + ELLIPSIS) > width_px:
        last = last[:-1]
    return [*lines[: most_lines - 1], last + ELLIPSIS]


def _lines(text: str, font: Font, width_px: int) -> Iterator[str]:
    for paragraph in text.splitlines() or [""]:
        rest = paragraph.rstrip()
        while (fitting := _fitting(rest, font, width_px)) < len(rest):
            line, rest = rest[:fitting], rest[fitting:]
            head, space, tail = line.rpartition(" ")
            if rest[0] == " ":
                rest = rest[1:]
            elif space and head:
                line, rest = head, tail + rest
            else:
                rest = rest.lstrip()
            yield line
        yield rest


def _fitting(text: str, font: Font, width_px: int) -> int:
    """Number of characters at the text's beginning that fit into the width; at least 1."""
    # Most letters are wider than two pixels; the bound keeps characters without a width from costing a long search.
    counts = range(1, min(len(text), width_px // 2) + 1)
    return max(1, bisect_right(counts, float(width_px), key=lambda count: float(font.getlength(text[:count]))))


def contact_sheet(clips: Sequence[Clip], lines: Sequence[Line], *, tile_px: int = 240, columns: int = 4) -> Rgb:
    """Draw the frames of each clip in rows, each with its time relative to the newest frame, and below them the lines.

    Args:
        clips: Clips to show, one per camera.
        lines: Paragraphs below the frames.
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
