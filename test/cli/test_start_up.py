"""What a command imports before it answers: imports are most of the time that a short replay takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOM = ROOT / "examples" / "demo_room"
# A replay needs none of these; each would cost a tenth of a second to two seconds.
NOT_NEEDED = {
    "transformers",
    "huggingface_hub",
    "torch._dynamo",
    "torch._inductor",
    "torch.distributed.tensor",
    "torch.distributed.fsdp",
    "torch.onnx",
    "torchvision",
    "sympy",
    "scipy",
    "sklearn",
    "pandas",
    "matplotlib",
    "jinja2",
    "httpx",
    "aiohttp",
    "ray",
    "rclpy",
    "pkg_resources",
    "llava_ov_ros.node",
    "llava_ov_ros.live",
    "llava_ov_ros.remote.remote_engine",
    "llava_ov_ros.evaluation.run",
}
# Half of them are torch's own. With transformers there were 2900.
MOST_MODULES = 1750
COMMANDS = {
    "replay": ["replay", str(ROOM), "--questions", str(ROOM / "truth.json")],
    "plan": ["plan", str(ROOM), "--goal", "put the mug on the desk"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_short_command_imports_only_what_it_needs(command: str) -> None:
    told = "import json, sys\nfrom llava_ov_ros.cli.main import main\n"
    told += f"code = main({COMMANDS[command]})\nprint(json.dumps([code, sorted(sys.modules)]))"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    code, modules = json.loads(done.stdout.splitlines()[-1])
    assert code == 0, done.stdout
    assert "torch" in modules, "no model was loaded"
    assert set(modules) & NOT_NEEDED == set()
    assert len(modules) < MOST_MODULES


def test_the_collector_passes_over_the_libraries_and_works_on() -> None:
    told = (
        "import gc\nfrom llava_ov_ros.cli.collecting import importing_torch\n"
        "with importing_torch():\n    import torch\n"
        "assert gc.isenabled() and gc.get_freeze_count() > 100_000\n"
        "class Ring: pass\n"
        "import weakref\nring = Ring(); ring.itself = ring; seen = weakref.ref(ring)\n"
        "with importing_torch():\n    del ring\n"
        "gc.collect()\nassert seen() is None"
    )
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
