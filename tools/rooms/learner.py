"""The model with what teaches it beside the answers, and the loss of a batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from batches import Batch, Packer
from cells import CELLS, IGNORED
from labels import CLASSES, COLOUR, KIND, PLACE
from llava_ov_ros.onevision.features import anyres_tokens, multi_image_tokens, pooled_frames
from llava_ov_ros.onevision.pixels import normalised
from llava_ov_ros.rooms.world import COLOURS, HAND, KINDS, RECEPTACLES
from model import SIDE
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


class Learner:
    """The model with the heads that teach it, and the loss of a batch."""

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
            shown = halves[:, label].flatten()
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
