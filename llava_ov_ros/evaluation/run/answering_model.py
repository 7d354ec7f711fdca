"""What answers the questions of a run: a checkpoint on this machine, or a model on a server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...asking import AnswersQuestions
from ...checkpoints import CheckpointError, find_checkpoint, is_address, model_name
from ...remote import AddressError, ProbeError, ServerError
from ..suite.preflight import Job, named_model

if TYPE_CHECKING:
    from .server_of_run import ServerOfRun


class WorkError(RuntimeError):
    """The work cannot go on; the text says why."""


@dataclass(frozen=True)
class AnsweringModel:
    """What answers the questions of a run.

    Attributes:
        name: Name of the checkpoint, or of the model on the server.
        directory: Directory of the checkpoint; None: the model is on a server.
        address: Address of the server; empty: there is none.
        version: Kind and version of the server, such as `vllm 0.32.0`; empty: there is none, or it does not tell.
    """

    name: str
    directory: Path | None = None
    address: str = ""
    version: str = ""


def answering_model(job: Job) -> AnsweringModel:
    """Find the model of a suite, and check a checkpoint's configuration and index, or ask a server what it can do.

    Raises:
        WorkError: The checkpoint does not exist or is not one of LLaVA-OneVision, or the server cannot be used.
    """
    if not is_served(job):
        return _checkpoint(job)
    server = _open_server(job)
    try:
        found = server.connect()
        return AnsweringModel(found.model, None, server.address, found.server)
    finally:
        server.close()


def is_served(job: Job) -> bool:
    """Whether the model of a suite is on a server."""
    return is_address(job.suite.model.model)


def open_model(job: Job) -> AnswersQuestions:
    """Open the model of a suite; on this machine the same questions are computed in the same way everywhere.

    Raises:
        WorkError: The model cannot be loaded, or the server cannot be used.
    """
    if is_served(job):
        return _open_server(job)
    from ...onevision import EngineSettings, load_engine

    model = job.suite.model
    cameras = max(len(shard.cameras) for shard in job.shards)
    # Encode tiles one by one: the size of larger batches would depend on earlier questions.
    settings = EngineSettings(tower_batch=1, clip_frames=job.suite.clip.frames, cameras=cameras)
    try:
        return load_engine(named_model(job.suite), device=model.device, dtype=model.dtype, settings=settings)
    except (ValueError, MemoryError) as error:
        raise WorkError(str(error)) from None


def check_server(engine: AnswersQuestions) -> None:
    """Check that the server has answered everything that a run has asked.

    Args:
        engine: The engine of a model on a server, from `open_model`.

    Raises:
        WorkError: The server has failed.
    """
    from .server_of_run import ServerOfRun

    assert isinstance(engine, ServerOfRun)
    if engine.failure is not None:
        raise WorkError(f"{engine.name} does not answer: {engine.failure}")


def _checkpoint(job: Job) -> AnsweringModel:
    try:
        # Find the model before torch and transformers are imported, which takes long.
        directory = find_checkpoint(named_model(job.suite))
        from ...onevision.checkpoint_files import open_checkpoint

        open_checkpoint(directory)
    except (CheckpointError, OSError) as error:
        raise WorkError(str(error)) from None
    return AnsweringModel(model_name(directory), directory)


def _open_server(job: Job) -> ServerOfRun:
    """Connect to the server of a suite."""
    # Imported here: a machine whose models are its own does without httpx.
    from .server_of_run import ServerOfRun

    try:
        engine = ServerOfRun(job.suite.model.model, job.suite.server)
    except AddressError as error:
        raise WorkError(str(error)) from None
    try:
        engine.connect()
    except (ProbeError, ServerError) as error:
        engine.close()
        remedy = ": start the server, or correct the address" if isinstance(error, ServerError) else ""
        raise WorkError(f"model {engine.address}: {error}{remedy}") from None
    except BaseException:
        engine.close()
        raise
    return engine
