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
from typing import Any

import torch
import torch.multiprocessing as multiprocessing
from torch import distributed, nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset
from tqdm import tqdm

from batches import Batch, Packer, draw_batch
from cells import CELLS, IGNORED
from labels import CLASSES, COLOUR, KIND, PLACE
from llava_ov_ros.onevision.features import anyres_tokens, multi_image_tokens, pooled_frames
from llava_ov_ros.onevision.pixels import normalised
from llava_ov_ros.onevision.tokens import PromptTokenizer
from llava_ov_ros.rooms.world import COLOURS, HAND, KINDS, RECEPTACLES
from model import SIDE, new_model, read_checkpoint, write_checkpoint
from recipe import RECIPES, Stage, stage_at
from tokenizer import IM_END, TAKES, build_tokenizer
from unseen import NEVER, never_beside, possible_loss

PATCH_WEIGHT = 0.3
WORD_WEIGHT = 0.15
# Most patches show nothing.
NOTHING_WEIGHT = 0.25
# A head that is thrown away reads from the middle of the language model where each thing is that a question names:
# left and right, and which way something moved, follow from that.
CELL_WEIGHT = 0.2
CELL_LAYER = 3
# Most things rest; of those that do not, two places are to be told.
MOVED_WEIGHT = 3.0
# How strongly answers that are never right are drawn to those that are wrong.
PULL = 0.1
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

    def __iter__(self) -> Iterator[Batch]:
        """Draw this worker's share of the batches, in order."""
        worker = torch.utils.data.get_worker_info()
        number, of = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for step in range(self._first + number, self._options.steps, of):
            seed = f"{self._options.seed}/{step}"
            stage = stage_at(self._options.stages, step)
            # All processes have the same mode and length in a step, so that none waits long for another.
            shape = Random(f"{seed}/shape").choices(stage.mix, [part[3] for part in stage.mix])[0]
            yield draw_batch(stage, shape[:3], f"{seed}/{self._rank}", self._packer)


def rate_at(options: Options, step: int) -> float:
    """Learning rate: up at first, then level in each stage, down at the end over `decay` steps."""
    left = options.steps - step
    down = 1.0 if left >= options.decay else LAST_RATE + (1 - LAST_RATE) * left / options.decay
    return stage_at(options.stages, step).rate * min(1.0, (step + 1) / WARM_UP) * down


class Learner:
    """The model with what teaches its patches, and the loss of a batch."""

    def __init__(self, model: Any, packer: Packer, device: str = "cpu") -> None:
        self.model = model.to(device).train()
        width = model.config.vision_config.hidden_size
        self.patches = nn.Linear(width, sum(CLASSES)).to(device)
        self.cells = nn.Linear(model.config.text_config.hidden_size, CELLS * SIDE).to(device)
        self._device = device
        named = (KINDS, tuple(COLOURS), (*RECEPTACLES, HAND))
        self._unseen = packer.unseen.excluded.to(device), packer.unseen.others.to(device)
        self._never = {
            predicted: [(known, table.to(device)) for known, table in tables]
            for predicted, tables in never_beside().items()
        }
        self._words = {
            label: torch.tensor([packer.answer(f"x {word}")[-2] for word in names], device=device)
            for label, names in zip((KIND, COLOUR, PLACE), named, strict=True)
        }

    def parameters(self) -> list[tuple[str, nn.Parameter]]:
        """All that is learnt, by name."""
        heads = (("patches.", self.patches), ("cells.", self.cells))
        learnt = [(prefix + name, p) for prefix, head in heads for name, p in head.named_parameters()]
        return [*self.model.named_parameters(), *learnt]

    def loss(self, batch: Batch, frozen: bool) -> tuple[torch.Tensor, dict[str, float]]:
        """The loss of a batch, and its parts for the log.

        Args:
            batch: What is learnt from.
            frozen: Whether the vision tower only looks.
        """
        inner = self.model.model
        shown = len(batch.pixels)
        pixels = batch.pixels if frozen else torch.cat([batch.pixels, batch.nameless])
        with torch.set_grad_enabled(not frozen):
            seen = inner.vision_tower(normalised(pixels, torch.float32), output_hidden_states=True, return_dict=True)
            states = seen.hidden_states[self.model.config.vision_feature_layer]
        total = torch.zeros((), device=self._device)
        parts: dict[str, float] = {}
        # By themselves, so that few nameless pictures count as much as the many of the takes.
        groups = [] if batch.labels is None else [(slice(shown), batch.labels)]
        if not frozen:
            groups.append((slice(shown, None), batch.nameless_labels))
            for group, labels in groups:
                total = total + PATCH_WEIGHT * self._patch_loss(states[group], labels, parts)
        if not bool((batch.targets != IGNORED).any()):
            return total, parts
        features = inner.multi_modal_projector(states)
        tokens = self._visual_tokens(batch, features[:shown])
        for group, labels in groups:
            total = total + WORD_WEIGHT * self._word_loss(pooled_frames(features[group]), labels)
        return total + self._text_loss(batch, tokens, parts), parts

    def _patch_loss(self, states: torch.Tensor, labels: torch.Tensor, parts: dict[str, float]) -> torch.Tensor:
        scores = self.patches(states).float().flatten(0, 1)
        total = torch.zeros((), device=self._device)
        for label, part in enumerate(scores.split(CLASSES, dim=1)):
            weight = torch.ones(CLASSES[label], device=self._device)
            weight[0] = NOTHING_WEIGHT
            part = part.masked_fill(self._impossible(label, labels), NEVER)
            total = total + functional.cross_entropy(part, labels[:, label].flatten(), weight=weight)
        parts["patches"] = parts.get("patches", 0.0) + float(total.detach())
        return total

    def _impossible(self, predicted: int, labels: torch.Tensor) -> torch.Tensor:
        """Classes that never go with the other labels, but for a patch's own: bool (patches, classes)."""
        # What is not known excludes nothing.
        labels = labels.clamp(min=0)
        own = labels[:, predicted].flatten()
        never = torch.zeros(len(own), CLASSES[predicted], dtype=torch.bool, device=self._device)
        for known, table in self._never.get(predicted, ()):
            never |= table[labels[:, known].flatten()]
        return never.scatter(1, own[:, None], False)

    def _word_loss(self, pooled: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Pooled features shall lie near the words for what they show, so that words find them."""
        half = SIDE // 2
        flat = pooled.float().flatten(0, 1)
        flat = flat / flat.pow(2).mean(1, keepdim=True).add(1e-6).sqrt()
        table = self.model.get_input_embeddings().weight
        total = torch.zeros((), device=self._device)
        halves = labels.view(*labels.shape[:2], half, 2, half, 2).amax(dim=(3, 5))
        for label, words in self._words.items():
            shown = labels[:, label].view(-1, half, 2, half, 2).amax(dim=(2, 4)).flatten()
            there = shown > 0
            if not bool(there.any()):
                continue
            names = functional.normalize(table[words].float(), dim=1)
            near = (flat[there] @ names.T).masked_fill(self._impossible(label, halves)[there, 1:], NEVER)
            total = total + functional.cross_entropy(near, shown[there] - 1)
        return total

    def _visual_tokens(self, batch: Batch, features: torch.Tensor) -> torch.Tensor:
        newline = self.model.model.image_newline
        takes = batch.ids.shape[0]
        if batch.mode == "video":
            pooled = pooled_frames(features).reshape(takes, -1, features.shape[-1])
            end = newline.to(pooled)[None, None].expand(takes, 1, -1)
            return torch.cat([pooled, end], 1).flatten(0, 1)
        if batch.mode == "multi_image":
            return torch.cat([multi_image_tokens(one, newline) for one in features])
        pairs = features.view(takes, -1, *features.shape[1:])
        return torch.cat([anyres_tokens(one, newline, (1, 1), batch.picture) for one in pairs])

    def hidden(self, batch: Batch, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The language model's last states, and those of the layer that shall know where things are.

        Args:
            batch: Its texts.
            tokens: (visual places of all takes, width).

        Returns:
            Both (takes, length, width).
        """
        language = self.model.model.language_model
        embedded = language.embed_tokens(batch.ids)
        embedded = embedded.masked_scatter(batch.visual[..., None], tokens.to(embedded.dtype))
        seen = language(
            inputs_embeds=embedded,
            attention_mask=block_mask(batch.segment),
            position_ids=batch.positions,
            use_cache=False,
            output_hidden_states=True,
        )
        return seen.last_hidden_state, seen.hidden_states[CELL_LAYER]

    def _text_loss(self, batch: Batch, tokens: torch.Tensor, parts: dict[str, float]) -> torch.Tensor:
        states, middle = self.hidden(batch, tokens)
        targets = batch.targets[:, 1:]
        learnt = targets != IGNORED
        scores = self.model.lm_head(states[:, :-1][learnt]).float()
        wanted, weights = targets[learnt], batch.weights[:, 1:][learnt]
        rules = batch.rules[:, 1:][learnt]
        excluded, others = (table[rules] for table in self._unseen)
        loss = (possible_loss(scores, wanted, excluded, others, PULL) * weights).sum() / weights.sum()
        parts["text"] = float(loss.detach())
        parts["right"] = float((scores.argmax(1) == wanted).float().mean())
        return loss + CELL_WEIGHT * self._cell_loss(batch.cells, middle, parts)

    def _cell_loss(self, cells: torch.Tensor, states: torch.Tensor, parts: dict[str, float]) -> torch.Tensor:
        """Where a question's things are shall be known where it names them."""
        named = (cells != IGNORED).any(2)
        if not bool(named.any()):
            # All processes must have the same gradients to share.
            return self.cells(states[:, 0]).float().sum() * 0.0
        wanted = cells[named]
        guessed = self.cells(states[named]).float().view(-1, SIDE)
        apart = functional.cross_entropy(guessed, wanted.flatten(), ignore_index=IGNORED, reduction="none")
        moved = (wanted[:, : CELLS // 2] != wanted[:, CELLS // 2 :]).any(1)
        weights = torch.where(moved, MOVED_WEIGHT, 1.0)[:, None] * (wanted != IGNORED)
        loss = (apart * weights.flatten()).sum() / weights.sum()
        parts["cells"] = float(loss.detach())
        return loss


def block_mask(segment: torch.Tensor) -> torch.Tensor:
    """Who may see whom: what is common and one's own question, never what follows.

    Args:
        segment: int64 (takes, length), as in Batch.

    Returns:
        bool (takes, 1, length, length).
    """
    length = segment.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=segment.device).tril()
    visible = (segment[:, None, :] == 0) | (segment[:, None, :] == segment[:, :, None])
    return (causal & visible)[:, None]


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
        "--processes",
        type=int,
        default=os.cpu_count() or 1,
        help="share each step among so many, one core each (default: %(default)s); another number, another model",
    )
    parser.add_argument("--workers", type=int, default=0, help="further processes that only draw, as for a GPU")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (with --processes 1)")
    arguments = parser.parse_args()
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
    )
    train(options, arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
