"""The rules of a checkpoint's generation_config.json that change greedy answers, as in transformers' `generate`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..bounds import cited
from ..checkpoints import CheckpointError
from .devices import uploaded

# Unsupported fields of transformers' GenerationConfig that change a greedy answer, with the values without effect.
_WITHOUT_EFFECT: Mapping[str, tuple[Any, ...]] = {
    "num_beams": (1,),
    "num_beam_groups": (1,),
    "penalty_alpha": (0,),
    "dola_layers": (),
    "guidance_scale": (1,),
    "sequence_bias": ({}, []),
    "encoder_repetition_penalty": (1,),
    "encoder_no_repeat_ngram_size": (0,),
    "bad_words_ids": ([],),
    "force_words_ids": ([],),
    "constraints": ([],),
    "min_length": (0,),
    "min_new_tokens": (0,),
    "forced_bos_token_id": (),
    "forced_eos_token_id": (),
    "forced_decoder_ids": ([],),
    "begin_suppress_tokens": ([],),
    "exponential_decay_length_penalty": (),
    "remove_invalid_values": (False,),
    "token_healing": (False,),
    "watermarking_config": (),
    "stop_strings": ([],),
}


# Far above sensible values; larger ones only cost time, or overflow.
MOST_PENALTY, MOST_NGRAM = 1e6, 1024
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "repetition_penalty": (1,),
    "no_repeat_ngram_size": (0,),
    "suppress_tokens": ([],),
    **_WITHOUT_EFFECT,
}


@dataclass(frozen=True)
class TokenRules:
    """Rules by which earlier tokens change the choice of the next one.

    Attributes:
        repetition_penalty: Positive logits of earlier tokens are divided by it, others multiplied; 1 has no effect.
        no_repeat_ngram_size: No sequence of this many tokens may occur twice; 0 has no effect.
        suppress_tokens: Tokens that are never chosen.
        counts_prompt: Whether the prompt's tokens count as earlier tokens. They do if transformers' `generate` gets
            token ids; the original code passes embeddings, so that `generate` sees only the new tokens.
    """

    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    suppress_tokens: tuple[int, ...] = ()
    counts_prompt: bool = True

    @property
    def is_neutral(self) -> bool:
        """Whether the rules have no effect."""
        return self.repetition_penalty == 1.0 and not self.no_repeat_ngram_size and not self.suppress_tokens


def token_rules(content: Mapping[str, Any], file: Path, *, vocabulary: int, counts_prompt: bool) -> TokenRules:
    """Read the rules of a generation_config.json.

    Fields about sampling (do_sample, temperature, top_k, top_p and the like) are ignored, since answers are greedy.

    Args:
        content: Content of the file.
        file: Path of the file, for the error's message.
        vocabulary: Rows of the embedding.
        counts_prompt: See `TokenRules`.

    Raises:
        CheckpointError: A field is out of its range, or would change answers in a way that is not supported; the
            message names the field and the value.
    """
    for field, neutral in _WITHOUT_EFFECT.items():
        value = content.get(field)
        if value is not None and value not in neutral:
            raise CheckpointError(
                f"{file}: {field} is {cited(value)}, which would change answers and is not supported: remove the "
                "field, or "
                "make a copy of the checkpoint without it"
            )
    penalty = content.get("repetition_penalty")
    if penalty is not None and (not _is_number(penalty) or not 0 < penalty <= MOST_PENALTY):
        raise CheckpointError(
            f"{file}: repetition_penalty is {cited(penalty)}: it must be more than 0 and at most {MOST_PENALTY}"
        )
    size = content.get("no_repeat_ngram_size")
    if size is not None and (type(size) is not int or not 0 <= size <= MOST_NGRAM):
        raise CheckpointError(
            f"{file}: no_repeat_ngram_size is {cited(size)}: it must be a whole number from 0 to {MOST_NGRAM}"
        )
    suppressed = content.get("suppress_tokens") or []
    if not isinstance(suppressed, list) or not all(type(one) is int and 0 <= one < vocabulary for one in suppressed):
        raise CheckpointError(
            f"{file}: suppress_tokens is {cited(suppressed)}: it must be a list of token ids below {vocabulary}"
        )
    return TokenRules(
        1.0 if penalty is None else float(penalty), size or 0, tuple(sorted(set(suppressed))), counts_prompt
    )


def rules_in_config(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a config.json that give the rules if there is no generation_config.json.

    A field of text_config counts if the same field at the top level has no effect, as in transformers'
    `GenerationConfig.from_model_config`.
    """
    text = raw.get("text_config")
    found: dict[str, Any] = {}
    for part in (text if isinstance(text, Mapping) else {}, raw):
        for name, neutral in _NEUTRAL.items():
            if part.get(name) is not None and part[name] not in neutral:
                found[name] = part[name]
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


class EarlierTokens:
    """The tokens of one row so far; applies the rules to the logits of its next token.

    Each token is stored once, so the cost of a step grows with the number of different tokens, not with the length.
    """

    def __init__(self, rules: TokenRules, prompt: Sequence[int]) -> None:
        """Begin with the prompt's tokens, if the rules count them.

        A run of placeholder tokens need not be longer than `no_repeat_ngram_size`: more of them change nothing.
        """
        self._rules = rules
        self._seen: dict[int, None] = {}
        self._followers: defaultdict[tuple[int, ...], set[int]] = defaultdict(set)
        self._last: tuple[int, ...] = ()
        self._count = 0
        if rules.counts_prompt:
            for token in prompt:
                self.add(token)

    def add(self, token: int) -> None:
        """Record the next token."""
        self._seen[token] = None
        behind = self._rules.no_repeat_ngram_size - 1
        if behind < 0:
            return
        if self._count >= behind:
            self._followers[self._last].add(token)
        self._last = (*self._last, token)[-behind:] if behind else ()
        self._count += 1

    def change(self, logits: torch.Tensor) -> None:
        """Apply the rules to the next token's logits, (vocabulary,), in place.

        The rules are those of transformers' RepetitionPenaltyLogitsProcessor, NoRepeatNGramLogitsProcessor and
        SuppressTokensLogitsProcessor (generation/logits_process.py), in `generate`'s order.
        """
        rules = self._rules
        if rules.repetition_penalty != 1 and self._seen:
            seen = uploaded(list(self._seen), logits.device)
            found = logits[seen]
            logits[seen] = torch.where(found < 0, found * rules.repetition_penalty, found / rules.repetition_penalty)
        forbidden = list(rules.suppress_tokens)
        if rules.no_repeat_ngram_size:
            forbidden += self._followers.get(self._last, ())
        if forbidden:
            logits[uploaded(forbidden, logits.device)] = -torch.inf
