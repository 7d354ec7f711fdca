"""Translates the libraries' errors of loading a model to errors that name the model, the cause and the remedy."""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from safetensors import SafetensorError

from ..checkpoints import DamageError
from .memory import is_out_of_memory

P = ParamSpec("P")
T = TypeVar("T")
# CUDA's and the driver's errors reach Python as plain RuntimeErrors; these words are in their texts
# (c10/cuda/CUDAException.cpp, torch/csrc/cuda/Module.cpp).
_OF_CUDA = ("CUDA", "NVIDIA", "cuBLAS", "cuDNN")


def with_plain_errors(load: Callable[Concatenate[str, P], T]) -> Callable[Concatenate[str, P], T]:
    """Wraps a function that loads the model named by its first argument.

    Errors of the libraries with causes outside this program become MemoryError (memory ran out), DamageError (a file
    cannot be read) or ValueError (the device cannot be used), each with one line that names the model, the cause and
    the remedy. All other errors pass unchanged.
    """

    @wraps(load)
    def loaded(model: str, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return load(model, *args, **kwargs)
        except (OSError, RuntimeError, MemoryError, SafetensorError) as error:
            plain = plain_error(model, error)
            if plain is None:
                raise
            raise plain from error

    return loaded


def plain_error(model: str, error: Exception) -> Exception | None:
    """The error that replaces a library's error of loading a model; None if the error is to be raised as it is."""
    cause = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    if is_out_of_memory(error) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        # A MemoryError with a text is this project's own, with numbers and remedy; Python's own have no text.
        if type(error) is MemoryError and str(error):
            return None
        return MemoryError(
            f"model {model!r}: memory ran out while it was loaded ({cause}): end what else uses the device, or take a "
            "smaller model or dtype bfloat16"
        )
    if isinstance(error, OSError):
        return DamageError(f"model {model!r} cannot be read ({cause}): make all of its files readable")
    if isinstance(error, SafetensorError):
        return DamageError(f"model {model!r} cannot be read ({cause}): copy its weights again")
    if any(word in cause for word in _OF_CUDA):
        return ValueError(f"model {model!r}: the device fails ({cause}): look at nvidia-smi, or give device cpu")
    return None
