"""Splits prompts into the prefix that questions about the same clips share, and the suffix of each question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch.nn import functional

from ..ask_error import AskError
from ..asking import Ask
from ..bounds import quoted
from ..frames import Clip, Frame
from ..modes import Mode
from .checkpoint import Checkpoint
from .devices import uploaded
from .prefix_store import Chunk
from .prompt import Segment, conversation, user_content
from .token_rules import EarlierTokens
from .visual import VisualEncoder


@dataclass(frozen=True, eq=False)
class Own:
    """The part of a prompt that belongs to one question: its suffix and its choices.

    Attributes:
        key: Sort key by content, so that a set of questions has one order however it was asked.
        prompt: Token ids of the whole prompt, None for each visual item.
        suffix: Embeddings of all tokens after the last frame, (tokens, hidden).
        choices: Token ids of each candidate answer; empty if text is generated.
    """

    key: tuple[list[int], list[tuple[int, ...]]]
    prompt: list[int | None]
    suffix: torch.Tensor
    choices: tuple[tuple[int, ...], ...]


class PromptParts:
    """Builds the prompts of one model, as chunks of the prefix and suffixes."""

    def __init__(self, checkpoint: Checkpoint, visual: VisualEncoder, context: int) -> None:
        self._checkpoint = checkpoint
        self._visual = visual
        self._context = context
        self._embedding: torch.Tensor = checkpoint.model.model.language_model.embed_tokens.weight
        self._newline: torch.Tensor = checkpoint.model.model.image_newline[None]

    def ids(self, clips: Sequence[Clip], ask: Ask, mode: Mode) -> list[int | None]:
        """Token ids of a whole prompt, None for each visual item."""
        cameras = [(clip.camera, 1 if mode == "image" else len(clip.frames)) for clip in clips]
        turns = [*ask.history, (ask.question, "")]
        first = user_content(cameras, turns[0][0], mode, ask.before)
        later = [(answer, question) for (_, answer), (question, _) in pairwise(turns)]
        return self._checkpoint.tokenizer.encode(conversation(first, self._checkpoint.style, later))

    def head(
        self, clips: Sequence[Clip], mode: Mode, before: Sequence[str | Frame] = ()
    ) -> tuple[list[Chunk], torch.Tensor]:
        """The prefix: the prompt up to its last frame, in chunks; and the embeddings (0 or 1) that follow that frame.

        In mode video the newline at the clip's end is not part of the prefix, since the next frame takes its place.

        Args:
            clips: The clips of the question.
            mode: How the clips, and pictures before them, become visual tokens.
            before: Texts and pictures before the clips.

        Returns:
            The chunks, and the newline's embedding, (1, hidden) in mode video, else (0, hidden).

        Raises:
            AskError: There are pictures before a clip in mode image.
        """
        pictures = [[part] for part in before if isinstance(part, Frame)]
        if mode == "image" and pictures:
            raise AskError("mode image looks at one picture: with pictures before the clip, use mode multi_image")
        if mode == "image":
            items = [[clips[0].frames[-1]]]
        elif mode == "multi_image":
            items = [[frame] for clip in clips for frame in clip.frames]
        else:
            items = [list(clip.frames) for clip in clips]
        ids = self.ids(clips, Ask("", before=tuple(before)), mode)
        return self._chunked(ids[: _behind_last_item(ids)], [*pictures, *items], mode)

    def interleaved(
        self, prompt: Sequence[Segment], items: Sequence[Sequence[Frame]], mode: Mode
    ) -> tuple[list[Chunk], torch.Tensor, list[int | None]]:
        """Split a prompt with visual items anywhere in its text.

        Returns:
            The prompt up to its last item in chunks, the embeddings of the rest, (tokens, hidden), and all token ids.

        Raises:
            ValueError: The number of items differs from the number of their places.
            AskError: The prompt alone fills the model's context.
        """
        ids = self._checkpoint.tokenizer.encode(prompt)
        if ids.count(None) != len(items):
            raise ValueError(f"the prompt has {ids.count(None)} places for {len(items)} visual items")
        # Without items, all but the last token: its logits begin the answer.
        begin = _behind_last_item(ids) if items else len(ids) - 1
        chunks, between = self._chunked(ids[:begin], items, mode)
        suffix = torch.cat([between, self._embedded([token for token in ids[begin:] if token is not None])])
        length = sum(chunk.tokens for chunk in chunks) + len(suffix)
        if length >= self._context:
            raise AskError(f"the prompt has {length} tokens, the model's context is {self._context}")
        return chunks, suffix, ids

    def _chunked(
        self, ids: Sequence[int | None], items: Sequence[Sequence[Frame]], mode: Mode
    ) -> tuple[list[Chunk], torch.Tensor]:
        """Token ids, with one item for each None, as chunks; and the embeddings (0 or 1) that follow the last item."""
        nothing = self._newline[:0]
        chunks: list[Chunk] = []
        text: list[int] = []
        waiting = iter(items)
        after = nothing
        for token in ids:
            if token is not None:
                text.append(token)
                continue
            if text or len(after):
                rows = partial(self._with_text, after, tuple(text))
                chunks.append(Chunk(("text", len(after), tuple(text)), len(after) + len(text), rows))
                text = []
            for frame in next(waiting):
                rows = partial(self._visual.rows, frame, mode)
                chunks.append(Chunk(self._visual.key(frame, mode), self._visual.count(frame, mode), rows))
            after = self._newline if mode == "video" else nothing
        if text:
            rows = partial(self._with_text, after, tuple(text))
            chunks.append(Chunk(("text", len(after), tuple(text)), len(after) + len(text), rows))
            after = nothing
        return chunks, after

    def own(self, clips: Sequence[Clip], ask: Ask, mode: Mode, prefix_tokens: int, between: torch.Tensor) -> Own:
        """The suffix and the choices of a question.

        Args:
            clips: The clips of the question.
            ask: The question.
            mode: How the clips become visual tokens.
            prefix_tokens: Tokens of the prefix.
            between: Embeddings that follow the last frame, (0 or 1, hidden), from `head`.

        Raises:
            AskError: Prompt and answer are longer than the model's context, or two choices have the same tokens.
        """
        prompt = self.ids(clips, ask, mode)
        # Tokens of the suffix.
        ids = [token for token in prompt[_behind_last_item(prompt) :] if token is not None]
        choices = tuple(tuple(self._checkpoint.tokenizer.encode_text(choice)) for choice in ask.choices or ())
        if len(set(choices)) < len(choices):
            raise AskError(
                f"choices: {' and '.join(_alike(ask.choices or (), choices))} are the same text to the tokenizer"
            )
        longest = max(map(len, choices)) if choices else ask.max_new_tokens
        self._check_length(prefix_tokens, len(between) + len(ids), longest)
        # Only after the check: the embeddings of a text that is far too long take gigabytes.
        suffix = torch.cat([between, self._embedded(ids)])
        return Own((ids, sorted(choices)), prompt, suffix, choices)

    def _check_length(self, shown: int, said: int, answered: int) -> None:
        """Raise AskError if the tokens of frames, text and longest answer together exceed the model's context."""
        if shown + said + answered <= self._context:
            return
        remedies = {
            f"ask about fewer frames, fewer cameras, or in mode video (the frames have {shown} tokens)": shown,
            f"shorten the question and its history (they have {said} tokens)": said,
            f"allow a shorter answer (max_new_tokens, or shorter choices; it has up to {answered} tokens)": answered,
        }
        raise AskError(
            f"the prompt has {shown + said} tokens and the answer up to {answered}, the model's context is "
            f"{self._context}: {max(remedies, key=lambda remedy: remedies[remedy])}"
        )

    def earlier(self, ask: Ask, prompt: Sequence[int | None], mode: Mode) -> EarlierTokens | None:
        """The state of the checkpoint's rules about earlier tokens, begun with the prompt; None if no rule applies.

        The rules do not apply to a question with a hook, such as that of a grammar.

        Args:
            ask: The question.
            prompt: Token ids of the whole prompt, None for each visual item.
            mode: Decides which placeholder token transformers would have in an item's place.
        """
        rules = self._checkpoint.rules
        if rules.is_neutral or ask.hook is not None:
            return None
        config = self._checkpoint.model.config
        placeholder = config.video_token_index if mode == "video" else config.image_token_index
        # A longer run of placeholders has no other n-grams than this one.
        run = [placeholder] * max(1, rules.no_repeat_ngram_size)
        return EarlierTokens(rules, [i for found in prompt for i in (run if found is None else [found])])

    def _embedded(self, ids: Sequence[int]) -> torch.Tensor:
        """Embeddings of text tokens, (tokens, hidden)."""
        with torch.inference_mode():
            return functional.embedding(
                uploaded(torch.tensor(ids, dtype=torch.long), self._embedding.device), self._embedding
            )

    def _with_text(self, before: torch.Tensor, ids: tuple[int, ...]) -> torch.Tensor:
        return torch.cat([before, self._embedded(ids)])


def _alike(choices: Sequence[str], tokens: Sequence[tuple[int, ...]]) -> list[str]:
    """The texts of two choices with the same tokens, in quotes."""
    found = next(ids for number, ids in enumerate(tokens) if ids in tokens[:number])
    return [quoted(choice) for choice, ids in zip(choices, tokens, strict=True) if ids == found][:2]


def _behind_last_item(ids: Sequence[int | None]) -> int:
    """Index of the first token after the last visual item."""
    return max(index for index, token in enumerate(ids) if token is None) + 1
