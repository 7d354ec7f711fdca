"""Says how to install a Python module that is missing: by the line for pip of README.md, or by sourcing ROS 2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from shlex import quote

from .share import shipped

ENVIRONMENT = "~/.venvs/llava_ov"
"""The virtual environment of the documented line; outside of one, Ubuntu 24.04 refuses pip (PEP 668)."""
REQUIREMENTS = "requirements/runtime.txt"
MODEL_MODULES = ("torch", "transformers", "tokenizers", "safetensors")
"""Imported when a model is loaded, or when one of an unusual configuration is; by then a node has long started."""

PDDL_PACKAGES = {"unified_planning": "unified-planning>=1.3,<1.4"}
"""Of the extra `planner`, what the second judge of plans needs: packages by their modules."""
PLANNER_PACKAGES = PDDL_PACKAGES | {
    "up_fast_downward": "up-fast-downward>=1.0,<1.1",
    "fast_downward.translate": "up-fast-downward>=1.0,<1.1",
}
"""All of the extra; the planner is run as a process of its own."""


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


def planner_missing(reason: str, packages: Mapping[str, str] = PLANNER_PACKAGES) -> str:
    """Why something that needs the extra `planner` cannot be done, with the line that installs it; empty if it can.

    Args:
        reason: What needs it, such as `plan_decoding certified`.
        packages: What it needs: PLANNER_PACKAGES or PDDL_PACKAGES.
    """
    try:
        require(tuple(packages))
    except ModuleNotFoundError as error:
        line = " ".join(map(quote, dict.fromkeys(packages.values())))
        return f"{reason} needs the extra planner, and the Python module {error.name!r} is missing: pip install {line}"
    return ""


def require(modules: Sequence[str]) -> None:
    """Look for modules without importing them.

    Args:
        modules: Names of modules; of one below another, the one above is imported.

    Raises:
        ModuleNotFoundError: One of them is not installed; it has the module's name.
    """
    for module in modules:
        above = module.rpartition(".")[0]
        if (above and find_spec(above) is None) or find_spec(module) is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)


def _is_ros(module: str) -> bool:
    return module.partition(".")[0].endswith(("rclpy", "_msgs", "_interfaces", "llava_ov_ros"))
