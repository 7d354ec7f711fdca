"""The model of a configured node: loaded, resting after a time without requests, loaded again with the next."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict

from ..checkpoints import find_checkpoint
from ..frames import Camera, Clip, NoFramesError
from ..planning import MOST_PICTURES
from ..questions import AnswersQuestions, find_prompts, load_prompts
from ..settings import Settings
from .abandonable import in_own_thread
from .allocator import give_back


def load_from(settings: Settings) -> AnswersQuestions:
    """The engine that the parameters ask for.

    Raises:
        CheckpointError: The model is not there (which is said before torch is imported), or it is not whole.
        ValueError: The device, dtype or quantisation is not to be had.
        MemoryError: The device has no room for it.
    """
    directory = find_checkpoint(settings.model)
    from ..onevision import EngineSettings, load_engine

    shows_steps = load_prompts(find_prompts(settings.prompts)).planning.shows_steps
    bounds = EngineSettings(
        feature_bytes=settings.feature_cache_mb * 2**20,
        prefix_bytes=settings.prefix_cache_mb * 2**20,
        batch=settings.batch_size,
        clip_frames=settings.clip_frames,
        cameras=len(settings.cameras),
        pictures=MOST_PICTURES + len(settings.cameras) if shows_steps else 0,
    )
    return load_engine(
        str(directory),
        device=settings.device,
        dtype=settings.dtype,
        attention=settings.attention,
        quantize=settings.quantize,
        settings=bounds,
    )


class Model:
    """Holds the engine. `engine` and `rest` are for the worker's thread, the rest for any."""

    def __init__(self, load: Callable[[], AnswersQuestions], ending: threading.Event | None = None) -> None:
        """Load the engine.

        Args:
            load: Makes it; its exceptions are raised here.
            ending: Once it is set, nobody waits for the load any more.

        Raises:
            AbandonedError: `ending` was set before the engine was loaded.
        """
        self._load = load
        self._lock = threading.Lock()
        engine = in_own_thread(load, ending or threading.Event(), "llava_ov_load")
        self._engine: AnswersQuestions | None = engine
        self.name = engine.name
        self.planned_bytes = engine.planned_bytes()

    @property
    def is_resting(self) -> bool:
        """Whether the memory has been given back until the next request."""
        return self._engine is None

    def engine(self) -> AnswersQuestions:
        """The engine, loaded again where it rests; raises what `load` raises."""
        if self._engine is None:
            engine = self._load()
            with self._lock:
                self._engine = engine
        return self._engine

    def rest(self) -> None:
        """Give the memory back."""
        with self._lock:
            engine, self._engine = self._engine, None
            if engine is not None:
                engine.close()
        del engine
        give_back()

    def memory_bytes(self) -> int:
        """Bytes in use on the device."""
        with self._lock:
            return self._engine.memory_bytes() if self._engine is not None else 0

    def counters(self) -> dict[str, int | str]:
        """What the engine has computed since it was loaded, by name."""
        with self._lock:
            return asdict(self._engine.counters()) if self._engine is not None else {}


def prepare_ahead(engine: AnswersQuestions, cameras: Sequence[Camera], mode: str) -> bool:
    """Do one piece of what the next question about the growing clips will need, or those that they re-anchor to.

    Args:
        engine: The model.
        cameras: In the order that questions name them by default.
        mode: The visual mode of such questions.

    Returns:
        Whether there was anything to do.
    """
    try:
        current = [camera.growing_clip() for camera in cameras]
    except NoFramesError:
        return False
    if engine.prepare(current, mode=mode):
        return True
    coming = [camera.coming_clip() for camera in cameras]
    if all(clip is None for clip in coming):
        return False
    clips: list[Clip] = [new or now for new, now in zip(coming, current, strict=True)]
    return engine.prepare(clips, mode=mode)
