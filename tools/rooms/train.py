"""Trains the rooms model; stops at any time and resumes from its own state."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import torch
import torch.multiprocessing as multiprocessing
from torch import distributed, nn
from torch.utils.data import DataLoader, IterableDataset
from tqdm import tqdm

from batches import Batch, Packer, draw_batch
from learner import Learner
from llava_ov_ros.onevision.tokens import PromptTokenizer
from model import new_model, read_checkpoint, write_checkpoint
from recipe import RECIPES, Stage, stage_at
from strangers import stranger_files
from tokenizer import IM_END, TAKES, build_tokenizer

WARM_UP = 200
LAST_RATE = 0.03
SAVE_EVERY_S = 120.0
LOG_EVERY = 50
FORMAT = 1


@dataclass(frozen=True)
class Options:
    """What a run depends on."""

    recipe: str
    steps: int
    seed: int
    decay: int
    bfloat16: bool
    processes: int
    workers: int
    device: str
    start: str | None = None
    strangers: str | None = None

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The recipe's stages."""
        return RECIPES[self.recipe]


class Batches(IterableDataset):  # type: ignore[type-arg]
    """The batches of one process from some step on: the same whether or not the run was stopped in between."""

    def __init__(self, options: Options, packer: Packer, first: int, rank: int) -> None:
        self._options = options
        self._packer = packer
        self._first = first
        self._rank = rank
        self._strangers = () if options.strangers is None else stranger_files(Path(options.strangers))

    def __iter__(self) -> Iterator[Batch]:
        """Draw this worker's share of the batches, in order."""
        worker = torch.utils.data.get_worker_info()
        number, of = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for step in range(self._first + number, self._options.steps, of):
            seed = f"{self._options.seed}/{step}"
            stage = stage_at(self._options.stages, step)
            # All processes have the same mode and length in a step, so that none waits long for another.
            shape = Random(f"{seed}/shape").choices(stage.mix, [part[3] for part in stage.mix])[0]
            rank_seed = f"{seed}/{self._rank}"
            yield draw_batch(stage, shape[:3], rank_seed, self._packer, strangers=self._strangers)


def rate_at(options: Options, step: int) -> float:
    """Learning rate: up at first, then level in each stage, down at the end over `decay` steps."""
    left = options.steps - step
    down = 1.0 if left >= options.decay else LAST_RATE + (1 - LAST_RATE) * left / options.decay
    return stage_at(options.stages, step).rate * min(1.0, (step + 1) / WARM_UP) * down


def optimiser(learner: Learner) -> torch.optim.AdamW:
    """AdamW; embeddings, norms and biases do not decay."""
    decayed, others = [], []
    for name, parameter in learner.parameters():
        (decayed if parameter.ndim >= 2 and "embed" not in name else others).append(parameter)
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98))


def save_state(file: Path, learner: Learner, optimiser: torch.optim.AdamW, step: int, options: Options) -> None:
    """Write all that a run needs to go on; a run that dies meanwhile leaves the old state."""
    new = file.with_suffix(".new")
    torch.save(
        {
            "format": FORMAT,
            "step": step,
            "options": asdict(options),
            "model": learner.model.state_dict(),
            "patches": learner.patches.state_dict(),
            "cells": learner.cells.state_dict(),
            "optimiser": optimiser.state_dict(),
        },
        new,
    )
    new.replace(file)


def load_state(file: Path, learner: Learner, optimiser: torch.optim.AdamW) -> int:
    """Take up a run where it was left; returns the next step."""
    state = torch.load(file, weights_only=True)
    learner.model.load_state_dict(state["model"])
    learner.patches.load_state_dict(state["patches"])
    learner.cells.load_state_dict(state["cells"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


def train(options: Options, folder: Path, quiet: bool = False) -> None:
    """Run to the last step, from the state in `folder` where there is one; the checkpoint is `folder`/checkpoint.

    The processes share the work of each step; a process uses one core, so that a busy core delays nobody long.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if options.processes == 1:
        _train(0, options, folder, quiet)
    else:
        multiprocessing.spawn(_train, (options, folder, quiet, os.getpid()), nprocs=options.processes)


def _train(rank: int, options: Options, folder: Path, quiet: bool, parent: int | None = None) -> None:
    if options.device == "cpu":
        torch.set_num_threads(1)
    if options.processes > 1:
        meeting = distributed.FileStore(str(folder / f"meeting-{os.getppid()}"), options.processes)
        distributed.init_process_group("gloo", store=meeting, rank=rank, world_size=options.processes)
    tokenizer = build_tokenizer(TAKES if options.recipe != "smoke" else 300)
    model = new_model(tokenizer, options.seed)
    rows = model.config.text_config.vocab_size
    packer = Packer(PromptTokenizer(tokenizer), tokenizer.token_to_id(IM_END), rows)
    if options.start is not None:
        read_checkpoint(model, tokenizer, Path(options.start))
    learner = Learner(model, packer, options.device)
    steps = optimiser(learner)
    state, stable = folder / "state.pt", folder / "stable.pt"
    first = load_state(state, learner, steps) if state.exists() else 0
    batches = DataLoader(Batches(options, packer, first, rank), batch_size=None, num_workers=options.workers)
    leads = rank == 0
    bar = tqdm(batches, initial=first, total=options.steps, disable=quiet or not leads, unit="step", mininterval=5.0)
    saved_s = time.monotonic()
    smooth: dict[str, float] = {}
    for step, batch in enumerate(bar, first):
        if parent is not None and os.getppid() != parent:
            # Whoever stops a run stops the first process only.
            return
        if leads and step == options.steps - options.decay:
            # From here a longer run can start again.
            save_state(stable, learner, steps, step, options)
        frozen = Random(f"{options.seed}/frozen/{step}").random() < stage_at(options.stages, step).frozen
        parts = _step(learner, steps, batch, frozen, rate_at(options, step), options)
        for name, value in parts.items():
            smooth[name] = 0.98 * smooth.get(name, value) + 0.02 * value
        if leads and step % LOG_EVERY == 0:
            bar.set_postfix({name: f"{value:.3f}" for name, value in smooth.items()}, refresh=False)
            with (folder / "log.jsonl").open("a") as log:
                log.write(json.dumps({"step": step, **{k: round(v, 4) for k, v in smooth.items()}}) + "\n")
        if leads and time.monotonic() - saved_s > SAVE_EVERY_S:
            save_state(state, learner, steps, step + 1, options)
            saved_s = time.monotonic()
    if leads:
        save_state(state, learner, steps, options.steps, options)
        write_checkpoint(learner.model, tokenizer, folder / "checkpoint")
    if options.processes > 1:
        distributed.destroy_process_group()


def _step(
    learner: Learner, steps: torch.optim.AdamW, batch: Batch, frozen: bool, rate: float, options: Options
) -> dict[str, float]:
    for group in steps.param_groups:
        group["lr"] = rate
    with torch.autocast(options.device, torch.bfloat16, enabled=options.bfloat16):
        loss, parts = learner.loss(batch.to(options.device), frozen)
    steps.zero_grad(set_to_none=True)
    loss.backward()
    learnt = [p for _, p in learner.parameters() if p.grad is not None]
    if options.processes > 1:
        _average([p.grad for p in learnt if p.grad is not None], options.processes)
    nn.utils.clip_grad_norm_(learnt, 1.0)
    steps.step()
    return parts


def _average(gradients: list[torch.Tensor], processes: int) -> None:
    """Replace gradients by the mean over all processes."""
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= processes
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def has_bfloat16(device: str) -> bool:
    """Whether a device multiplies bfloat16 by instructions of its own."""
    if device != "cpu":
        return True
    able = torch.cpu.get_capabilities()
    return any(able.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/rooms"), help="folder of state, log and checkpoint")
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="rooms")
    parser.add_argument("--steps", type=int, help="how many in all (default: the recipe's)")
    parser.add_argument("--decay", type=int, help="steps at the end in which the rate goes down (default: a fifth)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--precision",
        choices=("auto", "bfloat16", "float32"),
        default="auto",
        help="of products; auto: bfloat16 on a GPU and where the processor has instructions for it",
    )
    parser.add_argument(
        "--start", metavar="CHECKPOINT", help="begin with the weights of this folder, not with random ones"
    )
    parser.add_argument(
        "--strangers",
        metavar="FOLDER",
        help="also show clips of the JPEG and PNG pictures in this folder, where every answer is `cannot tell`",
    )
    parser.add_argument(
        "--processes",
        type=int,
        default=os.cpu_count() or 1,
        help="share each step among so many, one core each (default: %(default)s); another number, another model",
    )
    parser.add_argument("--workers", type=int, default=0, help="further processes that only draw, as for a GPU")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (with --processes 1)")
    arguments = parser.parse_args()
    if arguments.strangers is not None:
        try:
            stranger_files(Path(arguments.strangers))
        except ValueError as error:
            parser.error(str(error))
    steps = arguments.steps or sum(stage.steps for stage in RECIPES[arguments.recipe])
    options = Options(
        recipe=arguments.recipe,
        steps=steps,
        seed=arguments.seed,
        decay=arguments.decay if arguments.decay is not None else steps // 5,
        bfloat16=has_bfloat16(arguments.device) if arguments.precision == "auto" else arguments.precision == "bfloat16",
        processes=arguments.processes,
        workers=arguments.workers,
        device=arguments.device,
        start=arguments.start,
        strangers=arguments.strangers,
    )
    train(options, arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
