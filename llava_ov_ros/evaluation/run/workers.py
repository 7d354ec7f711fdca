"""Works on the bags of a suite in this process, in several processes, or on a Ray cluster, with the same results."""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection, wait
from typing import Any

from ...asking import AnswersQuestions
from ...replay import BagError
from ..suite.preflight import Job
from .answering_model import WorkError, check_server, is_served, open_model
from .bag_answers import Ready, ShardEvent, run_shard

Done = Mapping[int, AbstractSet[int]]
"""Numbers of the answered trials, by number of the bag."""
NONE: frozenset[int] = frozenset()


@contextmanager
def fixed_threads(job: Job) -> Iterator[None]:
    """Run torch with a suite's threads while the `with` block lasts; where a server computes, torch is left alone."""
    if is_served(job):
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(job.suite.model.threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _events(job: Job, number: int, engine: AnswersQuestions, done: AbstractSet[int]) -> Iterator[ShardEvent]:
    """Work on one bag; questions that a server has left without an answer stay open.

    Raises:
        WorkError: The server has failed.
        BagError: The bag is damaged.
    """
    for event in run_shard(job, job.shards[number], engine, done):
        if is_served(job):
            check_server(engine)
        yield event


def work_here(job: Job, open_shards: list[int], done: Done) -> Iterator[ShardEvent]:
    """Work on bags one after the other.

    Args:
        job: The suite.
        open_shards: Numbers of the bags to work on.
        done: Numbers of the trials that are answered already.

    Raises:
        WorkError: The model cannot be loaded, or a bag is damaged.
    """
    with fixed_threads(job):
        engine = open_model(job)
        yield Ready()
        try:
            for number in open_shards:
                yield from _events(job, number, engine, done.get(number, NONE))
        except BagError as error:
            raise WorkError(str(error)) from None
        finally:
            engine.close()


def work_in_processes(job: Job, open_shards: list[int], done: Done, workers: int) -> Iterator[ShardEvent]:
    """Work on bags in several processes; the first arguments are those of `work_here`.

    Each process has its own model, or its own connection to a server.

    Raises:
        WorkError: A model cannot be loaded, a bag is damaged, or a worker was killed.
    """
    context = multiprocessing.get_context("spawn")
    waiting = list(open_shards)
    processes: list[Any] = []
    ended = False
    try:
        connections: list[Connection] = []
        for number in range(min(workers, len(waiting))):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_worker, args=(theirs, job, done), name=f"evaluation-{number}", daemon=True
            )
            process.start()
            theirs.close()
            processes.append(process)
            connections.append(ours)
        for connection in connections:
            connection.send(waiting.pop(0))
        while connections:
            for ready in wait(connections):
                assert isinstance(ready, Connection)
                said = ready.recv()
                if isinstance(said, _Failed):
                    raise WorkError(said.text)
                if said is not None:
                    yield said
                elif waiting:
                    ready.send(waiting.pop(0))
                else:
                    ready.send(None)
                    ready.close()
                    connections.remove(ready)
        ended = True
    except (EOFError, ConnectionResetError, BrokenPipeError):
        raise WorkError("a worker has ended by itself: was it killed, or is memory short?") from None
    finally:
        for process in processes:
            if not ended:
                process.terminate()
            process.join(timeout=10.0)


class _Failed:
    """The message of a worker that cannot go on."""

    def __init__(self, text: str) -> None:
        self.text = text


def _worker(connection: Connection, job: Job, done: Done) -> None:
    """Receive numbers of bags until None comes; send the events of each bag, and None after each bag."""
    # Ctrl-C reaches the whole process group; only the first process handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with fixed_threads(job), closing(open_model(job)) as engine:
            connection.send(Ready())
            while (number := connection.recv()) is not None:
                for event in _events(job, number, engine, done.get(number, NONE)):
                    connection.send(event)
                connection.send(None)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        # The first process is gone, so there is nobody to report to.
        os._exit(1)
    except (BagError, WorkError) as error:
        connection.send(_Failed(str(error)))
    except Exception:  # noqa: BLE001 - the first process has to report it
        connection.send(_Failed(f"a worker failed:\n{traceback.format_exc()}"))


_KEPT: dict[str, AnswersQuestions] = {}
"""The model that this Ray worker has opened last, by its settings."""


def _kept_engine(job: Job) -> AnswersQuestions:
    key = repr((job.suite.model, job.suite.server, job.suite.clip))
    if key not in _KEPT:
        for engine in _KEPT.values():
            engine.close()
        _KEPT.clear()
        _KEPT[key] = open_model(job)
    return _KEPT[key]


def _ray_shard(job: Job, number: int, done: AbstractSet[int]) -> Iterator[ShardEvent]:
    """Work on one bag in a Ray worker, which keeps its model for the next bag."""
    with fixed_threads(job):
        engine = _kept_engine(job)
        yield Ready()
        yield from _events(job, number, engine, done)


def work_on_ray(job: Job, open_shards: list[int], done: Done, address: str) -> Iterator[ShardEvent]:
    """Work on bags in a Ray cluster, whose machines must have this package, the bags and the model at the same paths.

    Args:
        job: The suite.
        open_shards: Numbers of the bags to work on.
        done: Numbers of the trials that are answered already.
        address: Address of the cluster, such as `auto` or `ray://head:10001`; `local` starts a cluster on this machine.

    Raises:
        WorkError: Ray is not installed, there is no cluster, a model cannot be loaded, or a bag is damaged.
    """
    try:
        import ray
    except ImportError:
        raise WorkError("Ray is not installed: pip install 'ray>=2.9'") from None
    model = job.suite.model
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise WorkError(f"--ray {address}: {error}") from None
    try:
        # A model on a server needs nothing of the machines that ask it.
        threads, device = (1, "cpu") if is_served(job) else (model.threads, model.device)
        on_gpu = device.startswith("cuda")
        task = ray.remote(num_cpus=threads, num_gpus=1 if on_gpu else 0, max_retries=0)(_ray_shard)
        shared = ray.put(job)
        streams = [
            task.options(num_returns="streaming").remote(shared, number, done.get(number, NONE))
            for number in open_shards
        ]
        while streams:
            ready, _ = ray.wait(streams, num_returns=1)
            for stream in ready:
                try:
                    yield ray.get(next(stream))
                except StopIteration:
                    streams.remove(stream)
    except ray.exceptions.RayError as error:
        raise WorkError(_reason(error)) from None
    finally:
        ray.shutdown()


def _reason(error: Any) -> str:
    """The error of a Ray worker as text; without Ray's own text if the error is one of this package."""
    cause = getattr(error, "cause", None)
    return str(cause) if isinstance(cause, (BagError, WorkError)) else str(error)
