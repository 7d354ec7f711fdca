"""A scripted server, an engine that asks it, and frames to ask about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from fixtures.scripted_server import ScriptedServer

from llava_ov_ros.asking import Ask, Generated
from llava_ov_ros.frames import Clip, Frame
from llava_ov_ros.remote import RemoteEngine, RemoteSettings

Outcomes = list[tuple[int, Generated | Exception]]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A healthy server whose next responses a test may script."""
    scripted = ScriptedServer()
    yield scripted
    scripted.close()
    assert not scripted.faults


@pytest.fixture
def make_engine(server: ScriptedServer) -> Iterator[Callable[..., RemoteEngine]]:
    """Makes engines that ask the scripted server; the arguments are settings."""
    engines: list[RemoteEngine] = []

    def make(address: str = "", **settings: Any) -> RemoteEngine:
        quick = {"image_px": 16, "clip_frames": 2, "silence_s": 20.0, **settings}
        engines.append(RemoteEngine(address or server.address, RemoteSettings(**quick)))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


@pytest.fixture
def engine(make_engine: Callable[..., RemoteEngine]) -> RemoteEngine:
    """An engine that knows already what the scripted server can do."""
    made = make_engine()
    made.connect()
    return made


@pytest.fixture
def clip() -> Clip:
    """A clip of two frames."""
    pixels = np.random.default_rng(1).integers(0, 256, (2, 20, 30, 3), dtype=np.uint8)
    return Clip("front", tuple(Frame("front", number, "", picture) for number, picture in enumerate(pixels)))


@pytest.fixture
def outcome_of(clip: Clip) -> Callable[..., Generated | Exception]:
    """Asks one question and returns its only outcome; the arguments are attributes of the question."""

    def ask(engine: RemoteEngine, question: str = "What is there?", mode: str = "video", **more: Any) -> Any:
        outcomes = list(engine.stream([clip], [Ask(question, **more)], mode=mode))
        assert [number for number, _ in outcomes] == [0]
        return outcomes[0][1]

    return ask
