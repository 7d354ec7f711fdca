"""A command that is told to stop leaves, whatever it is doing."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

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


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_of_which_a_blocking_read_does_not_hear_ends_the_read(number, raised):
    """As of a signal that comes just before the read: the kernel takes it, but nothing interrupts the read."""
    reads, writes = os.pipe()
    reading = threading.Event()
    # The read must end on the old code, too.
    way_out = threading.Timer(20, os.write, (writes, b"x"))

    def take_the_signal():
        assert reading.wait(30)
        time.sleep(0.3)
        signal.pthread_kill(threading.get_ident(), number)

    taker = threading.Thread(target=take_the_signal)
    taker.start()
    way_out.start()
    with pytest.raises(raised), leaving_in_order():
        reading.set()
        os.read(reads, 1)
    assert not way_out.finished.is_set(), "the read ended by itself"
    way_out.cancel()
    way_out.join()
    taker.join()
    os.close(reads)
    os.close(writes)


def test_nothing_of_the_watch_stays():
    before = threading.active_count(), len(list(Path("/proc/self/fd").iterdir())), signal.set_wakeup_fd(-1)
    for _ in range(20):
        with leaving_in_order():
            pass
    assert (threading.active_count(), len(list(Path("/proc/self/fd").iterdir())), signal.set_wakeup_fd(-1)) == before
    signal.set_wakeup_fd(before[2])
