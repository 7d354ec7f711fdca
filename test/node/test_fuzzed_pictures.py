"""Ten thousand damaged, absurd and hostile pictures: the node lives, counts each once, and stays small."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).with_name("fuzz.py")
MESSAGES = 10_000
MOST_MB = 800


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_ten_thousand_fuzzed_pictures_on_three_transports() -> None:
    done = subprocess.run(
        [sys.executable, str(FUZZ), "--messages", str(MESSAGES), "--seed", "1"],
        capture_output=True,
        text=True,
        timeout=1100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert sum(camera["sent"] for camera in found["cameras"].values()) >= MESSAGES - 2
    for camera in found["cameras"].values():
        assert camera["received"] == camera["counted"] == camera["sent"]
        # Whole ones came through, and broken ones did not.
        assert camera["admitted"] > 0.05 * camera["sent"]
        assert camera["malformed"] > 0.05 * camera["sent"]
    assert found["cameras"]["jpeg"]["damaged"] > 0
    assert (found["state"], found["answer"], found["exit_code"], found["traceback"]) == ("active", "OK", 0, False)
    assert found["peak_mb"] < MOST_MB
