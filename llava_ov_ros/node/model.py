"""The model of a configured node: it rests, unloaded, after a time without requests, and is loaded for the next one."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..asking import AnswersQuestions
from ..checkpoints import find_checkpoint
from ..engines import open_engine
from ..frames import Camera, Clip, NoFramesError
from ..modes import MODES
from ..planning import MOST_PICTURES
from ..questions import find_prompts, load_prompts
from ..remote import RemoteSettings
from ..settings import Settings
from .abandonable import in_own_thread
from .allocator import give_back
from .memory_limit import model_bytes

_STARTED = time.strftime("%Y%m%d_%H%M%S")
"""Part of the name of the process's file of comparisons."""


def load_from(settings: Settings) -> AnswersQuestions:
    """Load the engine that the parameters name.

    Raises:
        CheckpointError: A checkpoint is missing (found out before torch is imported) or incomplete, or a server cannot
            be used.
        ValueError: The device, dtype or quantisation is not available, or an address is wrong.
        MemoryError: The device, or `memory_mb`, has too little memory for the model.
    """
    left = model_bytes(settings)

    def load_local(model: str) -> AnswersQuestions:
        nonlocal left
        engine = _load_local(model, settings, left)
        if left is not None:
            left -= sum(engine.may_hold().values())
        return engine

    shadow_log = log_folder() / f"llava_ov_shadow_{_STARTED}_{os.getpid()}.jsonl"
    return open_engine(
        settings.model,
        load_local,
        remote_settings(settings),
        fallback=settings.fallback_model,
        shadow=settings.shadow_model,
        shadow_remote=settings.shadow_remote_model,
        shadow_log=shadow_log,
    )


def remote_settings(settings: Settings) -> RemoteSettings:
    """How a server is asked, by the parameters."""
    return RemoteSettings(
        model=settings.remote_model,
        image_px=settings.remote_image_px,
        image_format=settings.remote_image_format,
        jpeg_quality=settings.remote_jpeg_quality,
        requests=settings.remote_requests,
        connect_s=settings.remote_connect_s,
        silence_s=settings.remote_silence_s,
        retries=settings.remote_retries,
        key_file=settings.remote_key_file,
        ca_file=settings.remote_ca_file,
        clip_frames=settings.clip_frames,
    )


def log_folder() -> Path:
    """Return the folder of ROS 2's log files, by the rules of rcl_logging."""
    if named := os.environ.get("ROS_LOG_DIR"):
        return Path(named).expanduser()
    return Path(os.environ.get("ROS_HOME") or "~/.ros").expanduser() / "log"


def _load_local(model: str, settings: Settings, most_bytes: int | None) -> AnswersQuestions:
    directory = find_checkpoint(model)
    from ..onevision import EngineSettings, load_engine

    shows_steps = load_prompts(find_prompts(settings.prompts)).planning.shows_steps
    bounds = EngineSettings(
        feature_bytes=_chosen_bytes(settings.feature_cache_mb),
        prefix_bytes=_chosen_bytes(settings.prefix_cache_mb),
        batch=settings.batch_size,
        clip_frames=settings.clip_frames,
        cameras=len(settings.cameras),
        pictures=MOST_PICTURES + len(settings.cameras) if shows_steps else 0,
        mode=next(mode for mode in MODES if mode == settings.visual_mode),
        most_bytes=most_bytes,
    )
    try:
        return load_engine(
            str(directory),
            device=settings.device,
            dtype=settings.dtype,
            attention=settings.attention,
            quantize=settings.quantize,
            bfloat16_on_cpu=True,
            settings=bounds,
        )
    except MemoryError as error:
        if most_bytes is None:
            raise
        raise MemoryError(f"{error} (memory_mb is {settings.memory_mb}, frames and other models included)") from None


def _chosen_bytes(megabytes: int) -> int | None:
    """The size of a cache that a parameter names; None: what the clips need."""
    return None if megabytes < 0 else megabytes * 2**20


class Model:
    """Holds the engine, or loads it again. While a worker runs, only its threads may call `engine` and `rest`.

    Any thread may use the other methods and properties.

    Attributes:
        name: Name of the model, for the answers.
        at_once: How many threads may ask the engine at the same time.
        may_hold: Most bytes of weights, caches, ... that the model may come to take, by name; empty: no plan was made.
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
        self._loading = threading.Lock()
        self._users = 0
        engine = in_own_thread(load, ending or threading.Event(), "llava_ov_load")
        self._engine: AnswersQuestions | None = engine
        # What imports and the load have freed.
        give_back()
        self.name = engine.name
        self.at_once = engine.at_once
        self.may_hold = engine.may_hold()

    @property
    def is_resting(self) -> bool:
        """Whether the engine is unloaded until the next request."""
        return self._engine is None

    def engine(self) -> AnswersQuestions:
        """Return the engine; load it first if the model rests, which raises the errors of `load`."""
        # Not the lock of the memory and the counts, which diagnostics read during a load.
        with self._loading:
            if self._engine is None:
                engine = self._load()
                with self._lock:
                    self._engine = engine
            return self._engine

    @contextmanager
    def using(self) -> Iterator[AnswersQuestions]:
        """Keep the engine loaded while the `with` block lasts; load it first if the model rests, as `engine` does."""
        with self._lock:
            self._users += 1
        try:
            yield self.engine()
        finally:
            with self._lock:
                self._users -= 1

    def rest_if_unused(self) -> bool:
        """Unload the engine, unless it holds no memory or somebody uses it; return whether it was unloaded."""
        with self._lock:
            if self._users or self._engine is None or not self._engine.memory_bytes():
                return False
            engine, self._engine = self._engine, None
            engine.close()
        del engine
        give_back()
        return True

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

    def counted(self) -> dict[str, int | str]:
        """Return what the engine has counted since it was loaded, by name; empty while the model rests."""
        with self._lock:
            return self._engine.counted() if self._engine is not None else {}


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
