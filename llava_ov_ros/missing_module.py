"""Says how to install a Python module that is missing: by the line for pip of README.md, or by sourcing ROS 2."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from shlex import quote

from .share import shipped

ENVIRONMENT = "~/.venvs/llava_ov"
"""The virtual environment of the documented line; outside of one, Ubuntu 24.04 refuses pip (PEP 668)."""
REQUIREMENTS = "requirements/runtime.txt"
MODEL_MODULES = ("torch", "transformers", "tokenizers", "safetensors")
"""Imported when a model is loaded, or when one of an unusual configuration is; by then a node has long started."""


def install_line() -> str:
    """The shell command that installs the packages which come from pip, as README.md has it."""
    requirements = quote(str(shipped(REQUIREMENTS) or REQUIREMENTS))
    return (
        f"python3 -m venv --system-site-packages {ENVIRONMENT} && {ENVIRONMENT}/bin/pip install -r {requirements} && "
        f"source {ENVIRONMENT}/bin/activate"
    )


def says_missing(module: str | None) -> str:
    """The sentence for a user about a module that could not be imported.

    Args:
        module: Name of the module, as `ModuleNotFoundError` has it.
    """
    name = module or "unknown"
    remedy = "source the setup.bash of ROS 2 and of your workspace" if _is_ros(name) else f"run {install_line()}"
    return f"the Python module {name!r} is missing: {remedy}"


def require(modules: Sequence[str]) -> None:
    """Look for modules without importing them.

    Args:
        modules: Names of top-level modules.

    Raises:
        ModuleNotFoundError: One of them is not installed; it has the module's name.
    """
    for module in modules:
        if find_spec(module) is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)


def _is_ros(module: str) -> bool:
    return module.partition(".")[0].endswith(("rclpy", "_msgs", "_interfaces", "llava_ov_ros"))
