"""The options that name a model, and the functions that find and open the model they name."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checkpoints import ADDRESS_FORM, MODEL_FORMS, CheckpointError, find_checkpoint, is_address
from ..settings import DEFAULTS, parameter
from .collecting import importing_torch
from .errors import USAGE, CommandError
from .options import device, whole_between

if TYPE_CHECKING:
    # Only for annotations: these bring numpy and torch, which --help does without.
    from ..asking import AnswersQuestions
    from ..onevision import Engine

SERVER_PARAMETERS = ("remote_model", "remote_image_px", "remote_image_format", "remote_key_file", "remote_ca_file")
"""Parameters of which `add_server` makes options."""


def add_model_name(parser: argparse._ActionsContainer, *, served: bool = True) -> None:
    """Add --model.

    Args:
        parser: Gets the option.
        served: Whether the model may be on a server.
    """
    forms = f"{MODEL_FORMS}; or {ADDRESS_FORM}" if served else MODEL_FORMS
    parser.add_argument("--model", default=DEFAULTS.model, help=f"{forms} (default: %(default)s)")


def add_server(parser: argparse.ArgumentParser, *, of_suite: bool = False) -> None:
    """Add the group of options about a model on a server; their defaults and ranges are those of the parameters.

    Args:
        parser: Gets the group.
        of_suite: Whether an option that is not given is None, because the suite's file has the value.
    """
    about = "where --model is an address" + ("; each comes before what the suite says in `server`" if of_suite else "")
    group = parser.add_argument_group("model on a server", f"{about} (docs/servers.md)")
    for name in SERVER_PARAMETERS:
        rule, default = parameter(name), getattr(DEFAULTS, name)
        kind = str if isinstance(default, str) else whole_between(int(rule.low or 0), int(rule.high or 0))
        shown = "" if of_suite or default == "" else " (default: %(default)s)"
        group.add_argument(
            _flag(name),
            type=kind,
            choices=rule.choices or None,
            default=None if of_suite else default,
            metavar=None if rule.choices else _METAVARS[name],
            help=rule.text[0].lower() + rule.text[1:] + shown,
        )


_METAVARS = {"remote_model": "NAME", "remote_image_px": "N", "remote_key_file": "FILE", "remote_ca_file": "FILE"}


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def add_device(parser: argparse._ActionsContainer) -> None:
    """Add --device."""
    parser.add_argument(
        "--device", type=device, default=DEFAULTS.device, help="auto, cpu, cuda, cuda:0, ... (default: %(default)s)"
    )


def add_number_format(parser: argparse._ActionsContainer) -> None:
    """Add --dtype and --quantize."""
    parser.add_argument(
        "--dtype",
        default=DEFAULTS.dtype,
        choices=parameter("dtype").choices,
        help="number format of the weights; auto: bfloat16 on CUDA, float32 on a CPU (default: %(default)s)",
    )
    parser.add_argument(
        "--quantize",
        default=DEFAULTS.quantize,
        choices=parameter("quantize").choices,
        help="smaller weights of the language model: int8, or on CUDA int4 (default: %(default)s)",
    )


def server_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options of `add_server` that have a value, as fields of `RemoteSettings`."""
    found = {name: getattr(args, name) for name in SERVER_PARAMETERS}
    # Processes and machines that ask beside this one may have other working directories.
    found |= {name: str(Path(found[name]).absolute()) for name in ("remote_key_file", "remote_ca_file") if found[name]}
    return {name.removeprefix("remote_"): value for name, value in found.items() if value is not None}


def check_server_options(args: argparse.Namespace, model: str) -> None:
    """Check that the options of `add_server` are given only where the model is on a server.

    Raises:
        CommandError: One is given, and `model` is no address.
    """
    for name in SERVER_PARAMETERS:
        if getattr(args, name) not in (None, getattr(DEFAULTS, name)) and not is_address(model):
            raise CommandError(
                f"{_flag(name)} is about a model on a server, and the model is {model}: name it by {ADDRESS_FORM}",
                USAGE,
            )


def node_parameters(args: argparse.Namespace) -> dict[str, Any]:
    """Return the parameters that name a node's model, as --model and the options of `add_server` name it."""
    return {"model": args.model, **{name: getattr(args, name) for name in SERVER_PARAMETERS}}


def find_model(args: argparse.Namespace) -> None:
    """Check that the model is there which --model names; a server is not asked.

    Neither torch nor transformers is imported, which is slow.

    Raises:
        CommandError: There is no such model, the address is wrong, or options about a server are given without one.
    """
    check_server_options(args, args.model)
    try:
        if is_address(args.model):
            from ..remote.address import checked_address

            checked_address(args.model)
        else:
            find_checkpoint(args.model)
    except ValueError as error:
        raise CommandError(str(error)) from None


def load_model(args: argparse.Namespace, *, clip_frames: int | None = None, cameras: int = 1) -> AnswersQuestions:
    """Open the model that --model names, on this machine or on a server, and tell on standard error how long that took.

    Args:
        args: The parsed arguments.
        clip_frames: Most frames of a clip; None: the engine's default.
        cameras: Number of cameras that have such a clip.

    Raises:
        CommandError: There is no such model, it cannot be used, it does not fit into memory, or the server does not
            answer.
    """
    find_model(args)
    if not is_address(args.model):
        return load_checkpoint(args, clip_frames=clip_frames, cameras=cameras)
    print(f"asking the server {args.model} ...", file=sys.stderr, flush=True)
    started_s = time.monotonic()
    from ..engines import open_engine
    from ..remote import RemoteSettings

    frames = {} if clip_frames is None else {"clip_frames": clip_frames}
    settings = RemoteSettings(**server_options(args) | frames)
    try:
        engine = open_engine(args.model, lambda model: load_checkpoint(args), settings)
    except ValueError as error:
        raise CommandError(str(error)) from None
    print(f"{engine.name}, asked in {time.monotonic() - started_s:.1f} s", file=sys.stderr, flush=True)
    return engine


def load_checkpoint(args: argparse.Namespace, *, clip_frames: int | None = None, cameras: int = 1) -> Engine:
    """Load the checkpoint that the options of a model name, and print on standard error how long that took.

    Args:
        args: The parsed arguments.
        clip_frames: Most frames of a clip for which memory is planned; None: the engine's default.
        cameras: Number of cameras that have such a clip.

    Raises:
        CommandError: There is no such checkpoint on this machine, it cannot be used, or it does not fit into memory.
    """
    try:
        directory = find_checkpoint(args.model)
    except CheckpointError as error:
        raise CommandError(str(error)) from None
    print(f"loading {args.model} ...", file=sys.stderr, flush=True)
    started_s = time.monotonic()
    with importing_torch():
        from ..onevision import EngineSettings, load_engine

    settings = EngineSettings(cameras=cameras)
    if clip_frames is not None:
        settings = EngineSettings(clip_frames=clip_frames, cameras=cameras)
    try:
        engine = load_engine(
            str(directory), device=args.device, dtype=args.dtype, quantize=args.quantize, settings=settings
        )
    except (ValueError, MemoryError) as error:
        raise CommandError(str(error)) from None
    print(f"loaded in {time.monotonic() - started_s:.1f} s", file=sys.stderr, flush=True)
    return engine
