"""Where ALFRED's plans lie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ALFRED = Path(__file__).resolve().parents[4] / "shared" / "data" / "alfred" / "alfred_valid_plans.jsonl"


@pytest.fixture(scope="session")
def gold_rows() -> list[dict[str, Any]]:
    """ALFRED's 506 rows; skips the test where they are not there."""
    if not ALFRED.exists():
        pytest.skip(f"ALFRED's plans ({ALFRED}) are not on this machine")
    return [json.loads(line) for line in ALFRED.read_text().splitlines()]
