"""Recordings for the tests of rooms."""

from __future__ import annotations

import itertools

import pytest

from llava_ov_ros.rooms.record import RecordingSettings, plan_recording


@pytest.fixture(scope="session")
def plans():
    """Recordings of all sorts, not rendered."""
    lengths = itertools.cycle((3.0, 12.2, 30.0, 75.0))
    moves = [
        plan_recording(RecordingSettings(seed=seed, seconds=s)) for seed, s in zip(range(24), lengths, strict=False)
    ]
    return moves + [plan_recording(RecordingSettings(seed=seed, seconds=None, episode=True)) for seed in range(24)]
