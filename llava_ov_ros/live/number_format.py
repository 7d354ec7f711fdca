"""The number format of a node whose answers are compared with others, or are to be the same on every machine."""

from __future__ import annotations

from ..checkpoints import is_address
from ..settings import DEFAULTS


def comparable_dtype(model: str, device: str = DEFAULTS.device, dtype: str = DEFAULTS.dtype) -> str:
    """The value of the node's parameter `dtype` for which it computes as `replay` and `eval` do.

    The node's own `auto` may take bfloat16 on a CPU that has instructions for it.

    Args:
        model: Name of the model, or address of a server, where the server decides.
        device: Value of the node's parameter `device`.
        dtype: The wanted number format, as everywhere.
    """
    if dtype != "auto" or is_address(model):
        return dtype
    if device == "auto":
        # Imported here, since it takes long.
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
    return "float32" if device == "cpu" else "bfloat16"
