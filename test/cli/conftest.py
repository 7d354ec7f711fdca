"""Recordings for the tests of several commands."""

from __future__ import annotations

import pytest


@pytest.fixture
def bag_with_gap(write_bag, shot, tmp_path):
    """Writes a recording with frames at 0, 1, 2, 3, 12 s, so that all before 9 s is old: `bag_with_gap(topic)`."""
    return lambda topic: write_bag(tmp_path / "gap", [shot(topic, at, level=10 * at) for at in (0, 1, 2, 3, 12)])
