"""Opens the engine that a model's name means, with the models beside it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..asking import AnswersQuestions
from ..bounds import quoted
from ..checkpoints import CheckpointError, is_address
from ..remote import ProbeError, RemoteSettings, ServerError
from .agreement import AgreementLog
from .shadowed import ShadowedEngine

if TYPE_CHECKING:
    from ..remote import RemoteEngine

LoadLocal = Callable[[str], AnswersQuestions]
"""Loads the checkpoint of a name on this machine."""

_log = logging.getLogger(__name__)


def open_engine(
    model: str,
    load_local: LoadLocal,
    remote: RemoteSettings,
    *,
    fallback: str = "",
    shadow: str = "",
    shadow_remote: str = "",
    shadow_log: Path | None = None,
) -> AnswersQuestions:
    """Open an engine.

    Args:
        model: Name of a checkpoint, or the address of a server.
        load_local: Loads a checkpoint on this machine.
        remote: How servers are asked.
        fallback: Name of the checkpoint that answers where the server does not; empty: none. With one, the server need
            not answer yet.
        shadow: Name or address of a model whose answers are only compared; empty: none. A server need not answer yet.
        shadow_remote: Name of the shadow's model on its server; empty: the only one there.
        shadow_log: File for the comparisons; None: they are counted only.

    Raises:
        CheckpointError: A checkpoint or a server cannot be used.
        ValueError: An address, a device or a format is wrong.
        MemoryError: A checkpoint does not fit.
    """
    opened: list[AnswersQuestions] = []
    engine: AnswersQuestions
    try:
        if fallback:
            if not is_address(model):
                raise CheckpointError(
                    f"fallback_model answers where a server does not, and model {quoted(model)} is no address of a "
                    "server: leave fallback_model empty"
                )
            from .with_fallback import EngineWithFallback

            # The local model first: where it cannot be loaded, no server is asked.
            opened.append(other := load_local(fallback))
            server = _server(model, remote)
            opened.append(server)
            _connect(server, needed=False)
            opened = [engine := EngineWithFallback(server, other)]
        else:
            opened.append(engine := _one(model, load_local, remote))
        if shadow:
            if (shadow, shadow_remote) == (model, remote.model) and is_address(model):
                raise CheckpointError(
                    f"shadow_model is {quoted(shadow)}, which is the model itself: name another server, or another "
                    "of its models in shadow_remote_model"
                )
            beside = _one(shadow, load_local, replace(remote, model=shadow_remote), needed=False)
            opened.append(beside)
            return ShadowedEngine(engine, beside, AgreementLog(shadow_log))
        return engine
    except BaseException:
        for each in opened:
            each.close()
        raise


def _one(model: str, load_local: LoadLocal, remote: RemoteSettings, *, needed: bool = True) -> AnswersQuestions:
    if not is_address(model):
        return load_local(model)
    server = _server(model, remote)
    try:
        _connect(server, needed=needed)
    except BaseException:
        server.close()
        raise
    return server


def _server(address: str, remote: RemoteSettings) -> RemoteEngine:
    # Imported here: a machine whose models are its own does without httpx.
    from ..remote import RemoteEngine

    return RemoteEngine(address, remote)


def _connect(server: RemoteEngine, *, needed: bool) -> None:
    try:
        found = server.connect()
    except (ServerError, ProbeError) as error:
        if not needed:
            _log.warning(f"{server.address} cannot be asked yet: {error}")
            return
        if isinstance(error, ProbeError):
            raise
        remedy = "" if error.status else ": start the server, or correct the address"
        raise ProbeError(f"model {server.address}: {error}{remedy}") from None
    for name, why in found.lacking.items():
        _log.info(f"{server.name} lacks {name}: {why}")
    _log.info(f"{server.name} offers: {found}")
