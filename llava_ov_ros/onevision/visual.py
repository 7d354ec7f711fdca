"""Encodes frames to visual tokens: each frame passes the vision tower once, in batches of one size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..frames import Frame
from ..modes import Mode
from .devices import uploaded
from .feature_cache import FeatureCache, FrameIds
from .features import anyres_token_count, anyres_tokens, multi_image_tokens, pooled_frames, tower_features
from .pixels import anyres_grid, anyres_tiles, normalised, padded_square, squashed
from .tower import Tower, run_tower


@dataclass(frozen=True)
class Tiles:
    """The tiles of a frame for the vision tower.

    Attributes:
        pixels: uint8 (tiles, 3, size, size).
        grid: In mode image, rows and columns of the tiles that follow the whole view.
    """

    pixels: torch.Tensor
    grid: tuple[int, int] = (0, 0)


class VisualEncoder:
    """Encodes frames to visual tokens, and caches them.

    The tower always runs on the same number of tiles (the last batch is filled up with zeros), so that a frame's
    features depend neither on other frames of its batch nor on the time of encoding.
    """

    def __init__(self, model: Any, tower: Tower | None, cache: FeatureCache, batch: int) -> None:
        config = model.config
        self._model = model
        self._tower = tower
        self._cache = cache
        self._batch = batch
        self._numbers = FrameIds()
        self._tile_px: int = config.vision_config.image_size
        self._pinpoints: list[list[int]] = config.image_grid_pinpoints
        self._side: int = self._tile_px // config.vision_config.patch_size
        self.tiles_encoded = 0
        self.frames_encoded = 0

    def key(self, frame: Frame, mode: Mode) -> tuple[str, int]:
        """Cache key of a frame's tokens in a mode; equal keys mean equal tokens."""
        return mode, self._numbers.of(frame)

    def count(self, frame: Frame, mode: Mode) -> int:
        """Number of visual tokens of a frame in a mode, without encoding it."""
        if mode == "video":
            return ((self._side + 1) // 2) ** 2
        if mode == "multi_image":
            return self._side**2 + 1
        picture = (frame.picture.shape[0], frame.picture.shape[1])
        return anyres_token_count(anyres_grid(*picture, self._tile_px, self._pinpoints), self._side, picture)

    def is_ready(self, frame: Frame, mode: Mode) -> bool:
        """Whether the frame's tokens are in the cache."""
        return self.key(frame, mode) in self._cache

    def rows(self, frame: Frame, mode: Mode) -> torch.Tensor:
        """A frame's visual tokens, (tokens, hidden): its pooled map in mode video, its map with newlines otherwise."""
        return self._cache.get(self.key(frame, mode), lambda: self._encode([frame], mode)[0])

    def touch(self, frames: Sequence[Frame], mode: Mode) -> None:
        """Keep the frames' tokens in the cache longer than those of frames that nobody asks about any more."""
        self._cache.touch([self.key(frame, mode) for frame in frames])

    def encode(self, frames: Sequence[Frame], mode: Mode) -> None:
        """Encode the frames that are not in the cache, together if the tower's batch is larger than 1.

        Does nothing if the cache is too small for their tokens, which would be encoded again when they are needed.
        """
        missing = list({self.key(frame, mode): frame for frame in frames if not self.is_ready(frame, mode)}.values())
        newline = self._model.model.image_newline
        needed = sum(self.count(frame, mode) for frame in missing) * newline.nbytes
        if len(missing) < 2 or self._batch == 1 or needed > self._cache.max_bytes:
            return
        for frame, rows in zip(missing, self._encode(missing, mode), strict=True):
            self._cache.get(self.key(frame, mode), lambda rows=rows: rows)  # type: ignore[misc]

    def _tiles(self, frame: Frame, mode: Mode) -> Tiles:
        if mode == "video":
            return Tiles(squashed(frame.rgb, self._tile_px))
        if mode == "multi_image":
            return Tiles(padded_square(frame.rgb, self._tile_px))
        return Tiles(*anyres_tiles(frame.rgb, self._tile_px, self._pinpoints))

    @torch.inference_mode()
    def _encode(self, frames: Sequence[Frame], mode: Mode) -> list[torch.Tensor]:
        weight = self._model.model.image_newline
        cut = [self._tiles(frame, mode) for frame in frames]
        pixels = torch.cat([tiles.pixels for tiles in cut])
        features = []
        for part in torch.split(pixels, self._batch):
            filled = torch.zeros((self._batch, *part.shape[1:]), dtype=torch.uint8)
            filled[: len(part)] = part
            batch = normalised(uploaded(filled, weight.device), weight.dtype)
            found = tower_features(self._model, batch) if self._tower is None else run_tower(self._tower, batch)
            features.append(found[: len(part)])
        self.tiles_encoded += len(pixels)
        self.frames_encoded += len(frames)
        of_frames = torch.split(torch.cat(features), [len(tiles.pixels) for tiles in cut])
        return [
            self._arranged(found, tiles, frame, mode)
            for found, tiles, frame in zip(of_frames, cut, frames, strict=True)
        ]

    def _arranged(self, features: torch.Tensor, tiles: Tiles, frame: Frame, mode: Mode) -> torch.Tensor:
        newline = self._model.model.image_newline
        if mode == "video":
            return pooled_frames(features)[0]
        if mode == "multi_image":
            return multi_image_tokens(features[0], newline)
        height, width = frame.picture.shape[:2]
        return anyres_tokens(features, newline, tiles.grid, (height, width))
