"""Stands in for torchvision's compiled libraries where they cannot be loaded, so that torchvision can be used.

torchvision from PyPI is compiled for CUDA, and its libraries do not load beside a torch for CPUs. Then its import fails
as it describes operators that nobody has declared, and it decodes no pictures. vLLM and transformers import it for
resizing pictures and videos, which is plain torch; `transformers serve` also decodes pictures with it, which Pillow
does here. `complete.py` puts this module into the environment, whose interpreter imports it at start by way of a `.pth`
file; it does nothing before somebody imports torchvision.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

OPERATORS = ("nms", "qnms")
"""What torchvision/_meta_registrations.py describes; the arguments of a declaration are not compared."""
RGB = 3
"""torchvision.io.ImageReadMode.RGB"""
LIBRARIES: list[Any] = []
"""Operators are declared as long as these objects live."""


class TorchvisionFinder(MetaPathFinder):
    """Finds no module; prepares torch when torchvision is looked for the first time."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Prepare torch if `name` is torchvision, whose spec is left to the finders that follow."""
        if name == "torchvision":
            sys.meta_path.remove(self)
            stand_in()
        return None


def stand_in() -> None:
    """Let torch declare the operators of torchvision's libraries as they fail to load."""
    import torch

    load = torch.ops.load_library

    def load_library(path: str) -> None:
        try:
            load(path)
        except OSError:
            library = Path(path)
            if library.parent.name != "torchvision":
                raise
            if library.stem == "image":
                decode_with_pillow()
                return
            declared = torch.library.Library("torchvision", "DEF")
            for operator in OPERATORS:
                declared.define(f"{operator}(Tensor input) -> Tensor")
            LIBRARIES.append(declared)
            # So that torchvision knows that it has no operators.
            raise

    torch.ops.load_library = load_library


def decode_with_pillow() -> None:
    """Declare the operator that decodes a picture, and compute it with Pillow."""
    import torch

    def decode_image(data: torch.Tensor, mode: int, apply_exif_orientation: bool = False) -> torch.Tensor:
        import numpy as np
        from PIL import Image

        if mode != RGB or apply_exif_orientation:
            raise ValueError(f"decode_image with mode {mode}: Pillow stands in for {RGB} (RGB) without EXIF alone")
        picture = Image.open(io.BytesIO(data.numpy().tobytes())).convert("RGB")
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()

    declared = torch.library.Library("image", "DEF")
    declared.define("decode_image(Tensor data, int mode, bool apply_exif_orientation=False) -> Tensor")
    declared.impl("decode_image", decode_image, "CPU")
    LIBRARIES.append(declared)


sys.meta_path.insert(0, TorchvisionFinder())
