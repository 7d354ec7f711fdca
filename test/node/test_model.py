"""The model of a node: unloaded only while nobody uses it, however many threads ask."""

from __future__ import annotations

import threading

import pytest
from fixtures.rig import Scripted

from llava_ov_ros.node.model import Model


class Held(Scripted):
    """An engine that holds memory, and knows whether it is closed."""

    def __init__(self) -> None:
        super().__init__(lambda *about: "x")
        self.closed = False

    def memory_bytes(self) -> int:
        """Some."""
        return 1

    def close(self) -> None:
        """Note the end."""
        self.closed = True


def test_a_model_that_somebody_uses_is_not_unloaded():
    made: list[Held] = []
    model = Model(lambda: made.append(Held()) or made[-1])
    inside, leave = threading.Event(), threading.Event()

    def use():
        with model.using() as engine:
            inside.set()
            assert leave.wait(60)
            assert not engine.closed

    other = threading.Thread(target=use)
    other.start()
    assert inside.wait(60)
    assert not model.rest_if_unused()
    leave.set()
    other.join(60)
    assert model.rest_if_unused()
    assert (made[0].closed, model.is_resting, model.rest_if_unused()) == (True, True, False)
    with model.using() as engine:
        assert engine is made[1]


def test_a_load_that_fails_leaves_no_user():
    made: list[Held] = []

    def load():
        if made:
            raise RuntimeError("gone")
        made.append(Held())
        return made[0]

    model = Model(load)
    assert model.rest_if_unused()
    with pytest.raises(RuntimeError, match="gone"), model.using():
        pass
    made.clear()
    with model.using():
        pass
    assert model.rest_if_unused()
