"""Makes the layers without ROS (all but node, live, clients, trees and web) installable with pip.

The node and its messages are built by colcon (package.xml, CMakeLists.txt); this file plays no part in that.
"""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).resolve().parent
NAME = "llava_ov_ros"
LAYERS = (
    "settings",
    "frames",
    "asking",
    "onevision",
    "remote",
    "engines",
    "questions",
    "planning",
    "planning.read",
    "planning.validate",
    "planning.pddl",
    "planning.model",
    "replay",
    "rooms",
    "evaluation",
    "evaluation.suite",
    "evaluation.run",
    "evaluation.report",
    "evaluation.metrics",
    "evaluation.benchmarks",
    "evaluation.rooms",
    "bench",
    "cli",
)

# What a user's environment may have of each package that requirements/runtime.txt pins for our own.
# None: only the node imports it.
RANGES: dict[str, str | None] = {
    # Older ones put anyres tiles of several images into one prompt (transformers PR 38084).
    "transformers": ">=4.54,<6",
    # Older ones may not read .bin checkpoints through transformers (CVE-2025-32434).
    "torch": ">=2.6",
    "tokenizers": ">=0.21",
    "safetensors": ">=0.4.3",
    "huggingface-hub": ">=0.34",
    "numpy": ">=1.26",
    "opencv-python-headless": ">=4.8",
    # 10.1 draws its own font in any size; 13 resizes portrait pictures in another order of passes.
    "pillow": ">=10.1,<13",
    "pyyaml": ">=6",
    # 0.11 reads .mcap and .db3 files without their metadata.yaml.
    # It brings lz4 and a zstandard, with which chunks of MCAP files are decompressed, too.
    "rosbags": ">=0.11,<0.12",
    # Its interface is stable from 1.0 on; tried with 1.0.0 and the pinned one.
    "mcap": ">=1.0,<2",
    "tqdm": ">=4.66",
    "psutil": None,
    # 4.10 is what Ubuntu 24.04 has beside ROS 2 Jazzy.
    "jsonschema": ">=4.10,<5",
    # From 1.0 on it keeps its interface; tried with 1.0.0, 1.3.0 and the pinned one.
    "llguidance": ">=1.0,<2",
    # 0.26 is what Ubuntu 24.04 has; 1.0 will have another interface.
    "httpx": ">=0.26,<1",
    # It is small and still says beta of itself.
    "httpx-sse": ">=0.4,<0.5",
}


def requirements() -> list[str]:
    """The packages of requirements/runtime.txt, each with its range."""
    lines = (ROOT / "requirements" / "runtime.txt").read_text().splitlines()
    names = [line.partition("==")[0].strip() for line in lines if line.strip() and not line.startswith("#")]
    unknown = sorted(set(names) ^ RANGES.keys())
    if unknown:
        raise SystemExit(f"setup.py: RANGES and requirements/runtime.txt differ in {', '.join(unknown)}")
    return [name + versions for name in names if (versions := RANGES[name]) is not None]


def shared_files() -> list[tuple[str, list[str]]]:
    """What llava_ov_ros/share.py looks for, at the places where an environment has it."""
    files = [ROOT / "package.xml", ROOT / "requirements" / "runtime.txt", *sorted((ROOT / "msg").glob("*.msg"))]
    for folder in ("models", "config", "examples"):
        files += sorted(file for file in (ROOT / folder).rglob("*") if file.is_file() and not file.name.startswith("."))
    by_folder: dict[str, list[str]] = {}
    for file in files:
        relative = file.relative_to(ROOT)
        by_folder.setdefault(str(Path("share", NAME, relative.parent)), []).append(str(relative))
    return list(by_folder.items())


def version() -> str:
    """The version in package.xml, the one place that states it."""
    found = re.search(r"<version>(.+?)</version>", (ROOT / "package.xml").read_text())
    if found is None:
        raise SystemExit("setup.py: package.xml states no <version>")
    return found.group(1)


setup(
    name=NAME,
    version=version(),
    description="Ask a LLaVA-OneVision model about camera streams and recorded bags",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=[NAME, *(f"{NAME}.{layer}" for layer in LAYERS)],
    package_data={f"{NAME}.evaluation.suite": ["*.json"], f"{NAME}.evaluation.report": ["*.html"]},
    install_requires=requirements(),
    extras_require={
        # BLEU, METEOR, ROUGE-L and CIDEr of `llava-ov score --metric scanqa`; it needs Java too.
        "captioning": ["pycocoevalcap==1.2"],
        # H.264 and H.265 video of cameras and bags; tried with 17.0 and 18.1. Older ones bring threads of their own.
        "video": ["av>=17,<19"],
        # The second judge of plans, vocabularies in PDDL, and the planner (GPL-3.0, run as a process of its own), whose
        # wheels are for Linux on x86-64; tried with 1.0.0.
        "planner": ["unified-planning>=1.3,<1.4", "up-fast-downward>=1.0,<1.1"],
        # `llava-ov replay --rrd`; its interface changes with each release.
        "rerun": ["rerun-sdk>=0.41,<0.42"],
        # Behaviours of trees (llava_ov_ros.trees), beside ROS 2. Tried with 2.2.3 and 2.6.0.
        "trees": ["py_trees>=2.2,<3"],
        # `llava-ov web`, which extends classes of uvicorn's connections; tried with the pinned ones.
        "web": ["starlette>=1.10,<2", "uvicorn>=0.54,<0.55", "websockets>=17,<18"],
        # `llava-ov eval --ray`; tried with 2.60.
        "ray": ["ray>=2.9"],
        # `quantize`; another release packs int4 otherwise. Tried with torch 2.13.
        "quantize": ["torchao>=0.18,<0.19"],
        # The model plug-in is made for the interface of 0.7.
        # lmms-eval 0.7.3 imports filelock._api, which filelock 4 no longer has.
        "lmms-eval": ["lmms-eval>=0.7.3,<0.8", "filelock<4"],
    },
    data_files=shared_files(),
    entry_points={
        "console_scripts": ["llava-ov = llava_ov_ros.cli.start:main"],
        # lmms-eval finds the model `llava_ov_ros` by this.
        "lmms_eval.models": ["llava_ov_ros = llava_ov_ros.evaluation.benchmarks.lmms_eval:manifests"],
    },
    # build/ is colcon's.
    options={"build": {"build_base": "out/pip"}},
)
