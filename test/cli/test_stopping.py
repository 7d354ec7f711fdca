"""A command that is told to stop leaves, whatever it is doing."""

from __future__ import annotations

import importlib
import signal
import sys
import time

import pytest

from llava_ov_ros.cli.stopping import leaving_in_order

# What a compiled module does that asks only whether something worked.
FORGETFUL = """
import signal
try:
    signal.raise_signal({number})
    reached = True
except BaseException:
    reached = False
"""


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_becomes_an_exception_and_handlers_come_back(number, raised):
    before = signal.getsignal(number)
    with pytest.raises(raised) as left, leaving_in_order():
        signal.raise_signal(number)
    assert raised is KeyboardInterrupt or left.value.code == 143
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_in_the_midst_of_an_import_is_not_lost(tmp_path, monkeypatch, number, raised):
    name = f"forgetful_{int(number)}"
    (tmp_path / f"{name}.py").write_text(FORGETFUL.format(number=int(number)))
    monkeypatch.syspath_prepend(tmp_path)
    slept = []
    with pytest.raises(raised), leaving_in_order():
        assert importlib.import_module(name).reached
        time.sleep(30)
        slept.append("the whole time")
    assert slept == []
    del sys.modules[name]


def test_what_is_told_at_the_end_of_an_import_does_not_come_after_the_end(tmp_path, monkeypatch):
    (tmp_path / "forgetful_late.py").write_text(FORGETFUL.format(number=int(signal.SIGTERM)))
    monkeypatch.syspath_prepend(tmp_path)
    told = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: told.append(number))
    try:
        with leaving_in_order():
            importlib.import_module("forgetful_late")
        time.sleep(0.1)
    finally:
        signal.signal(signal.SIGTERM, before)
        del sys.modules["forgetful_late"]
    assert told == []
