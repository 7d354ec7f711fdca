"""The model of a configured node: it rests, unloaded, after a time without requests, and is loaded for the next one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict

from ..asking import AnswersQuestions
from ..checkpoints import find_checkpoint
from ..frames import Camera, Clip, NoFramesError
from ..planning import MOST_PICTURES
from ..questions import find_prompts, load_prompts
from ..settings import Settings
from .abandonable import in_own_thread
from .allocator import give_back


def load_from(settings: Settings) -> AnswersQuestions:
    """Load the engine that the parameters name.

    Raises:
        CheckpointError: The checkpoint is missing (found out before torch is imported) or incomplete.
        ValueError: The device, dtype or quantisation is not available.
        MemoryError: The device has too little memory for the model.
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
    """Holds the engine, or loads it again. While a worker runs, only its thread may call `engine` and `rest`.

    Any thread may use the other methods and properties.
    """

    def __init__(self, load: Callable[[], AnswersQuestions], ending: threading.Event | None = None) -> None:
        """Load the engine.

        Args:
            load: Loads and returns the engine. Its exceptions are raised here.
            ending: Event that abandons the load; None: the load is never abandoned.

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
        """Whether the engine is unloaded until the next request."""
        return self._engine is None

    def engine(self) -> AnswersQuestions:
        """Return the engine; load it first if the model rests, which raises the errors of `load`."""
        if self._engine is None:
            engine = self._load()
            with self._lock:
                self._engine = engine
        return self._engine

    def rest(self) -> None:
        """Unload the engine and free its memory."""
        with self._lock:
            engine, self._engine = self._engine, None
            if engine is not None:
                engine.close()
        del engine
        give_back()

    def memory_bytes(self) -> int:
        """Return the bytes in use on the model's device; 0 while the model rests."""
        with self._lock:
            return self._engine.memory_bytes() if self._engine is not None else 0

    def counters(self) -> dict[str, int | str]:
        """Return the engine's counters since it was loaded, by name; empty while the model rests."""
        with self._lock:
            return asdict(self._engine.counters()) if self._engine is not None else {}


def prepare_ahead(engine: AnswersQuestions, cameras: Sequence[Camera], mode: str) -> bool:
    """Encode or prefill one piece that the next question will need.

    The pieces of the growing clips come first, then those of the clips with which the growing clips will begin anew.

    Args:
        engine: The model.
        cameras: The cameras, in the order in which questions name them by default.
        mode: Visual mode of the next question.

    Returns:
        Whether there was a piece to compute.
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
