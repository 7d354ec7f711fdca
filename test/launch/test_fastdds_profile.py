"""config/fastdds.xml: Fast DDS reads it, makes the large segment, and pictures arrive through it."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("measure_pictures.py")
PICTURES, TRIES = 20, 5

# Pictures are sent best effort, and one that finds no core to be taken on is lost.
pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def measuring():
    rmw = pytest.importorskip("rclpy").get_rmw_implementation_identifier()
    if "fastrtps" not in rmw:
        pytest.skip(f"the middleware here is {rmw}, not Fast DDS")
    spec = importlib.util.spec_from_file_location("measure_pictures", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pictures_arrive_through_the_large_segment(measuring):
    variables = dict.fromkeys(measuring.VARIABLES, str(measuring.PROFILE))
    for number in range(TRIES):
        received, size = measuring.measure(f"test_fastdds_{os.getpid()}_{number}", variables, PICTURES)
        assert size >= 32 * 2**20
        if received >= 0.9 * PICTURES:
            break
    assert received >= 0.9 * PICTURES


def test_without_the_profile_the_segment_is_smaller_than_a_picture(measuring):
    if any(os.environ.get(name) for name in measuring.VARIABLES):
        pytest.skip("this process has a profile of its own, whose segment the publisher would map too")
    _, size = measuring.measure(f"test_fastdds_{os.getpid()}", {}, PICTURES)
    assert size < measuring.WIDTH * measuring.HEIGHT * 3
