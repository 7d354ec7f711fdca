"""Declares torchvision's operators where its compiled library cannot be loaded, so that torchvision can be imported.

torchvision from PyPI is compiled for CUDA, and its library does not load beside a torch for CPUs. Then its import
fails as it describes operators that nobody has declared. vLLM and transformers import it for resizing pictures and
videos, which is plain torch. `complete.py` puts this module into the environment, whose interpreter imports it at start
by way of a `.pth` file; it does nothing before somebody imports torchvision.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType

OPERATORS = (
    "nms",
    "qnms",
    "roi_align",
    "qroi_align",
    "roi_pool",
    "ps_roi_align",
    "ps_roi_pool",
    "deform_conv2d",
    "box_iou_rotated",
    "_roi_align_backward",
    "_roi_pool_backward",
    "_ps_roi_align_backward",
    "_ps_roi_pool_backward",
    "_deform_conv2d_backward",
)
"""What torchvision/_meta_registrations.py describes; the arguments of a declaration are not compared."""


class TorchvisionOperators(MetaPathFinder):
    """Finds no module; declares the operators when torchvision is looked for the first time."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Declare the operators if `name` is torchvision; its spec is left to the finders that follow."""
        if name == "torchvision":
            sys.meta_path.remove(self)
            declare()
        return None


def declare() -> None:
    """Declare the operators of an installed torchvision whose compiled library is absent or does not load."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return
    import torch

    for library in Path(spec.origin).parent.glob("_C*.so"):
        try:
            torch.ops.load_library(str(library))
        except OSError:
            continue
        return
    declared = torch.library.Library("torchvision", "DEF")
    for operator in OPERATORS:
        declared.define(f"{operator}(Tensor input) -> Tensor")
    # The declarations last as long as this object.
    sys.modules[__name__].__dict__["declared"] = declared


sys.meta_path.insert(0, TorchvisionOperators())
