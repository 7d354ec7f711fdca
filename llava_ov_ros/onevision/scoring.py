"""Compares candidate answers (choices) by probability, for several questions with one prefix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from ..asking import Generated, NotFiniteError, weighed
from .decoding import first_logits
from .devices import uploaded
from .key_values import PrefixKeyValues, SuffixKeyValues
from .language import LanguageModel, logits_of

TokenIds = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Choosing:
    """A question with its candidate answers.

    Attributes:
        suffix: Embeddings of the question's suffix, (tokens, hidden).
        texts: Texts of the candidate answers; all different.
        token_ids: Token ids of each candidate answer, without an end token; all different.
    """

    suffix: torch.Tensor
    texts: tuple[str, ...]
    token_ids: tuple[TokenIds, ...]


def choose(
    model: LanguageModel,
    prefix: PrefixKeyValues,
    questions: Sequence[Choosing],
    end_ids: frozenset[int],
    most_rows: int,
) -> list[Generated | NotFiniteError]:
    """The most probable choice of each question, with the probabilities of all choices.

    The model's own probabilities are compared; the checkpoint's rules against repetition do not apply.

    Args:
        model: The language model.
        prefix: Keys and values of the prefix that the questions share.
        questions: The questions, at most `most_rows`.
        end_ids: Tokens that end an answer.
        most_rows: See `log_probabilities`.

    Returns:
        For each question its answer (its times are 0 and its clips empty; the caller sets them), or the error that its
        probabilities are not finite.
    """
    answers: list[Generated | NotFiniteError] = []
    scores = log_probabilities(model, prefix, questions, end_ids, most_rows)
    for question, logs in zip(questions, scores, strict=True):
        if not all(math.isfinite(log) for of_tokens in logs for log in of_tokens):
            dtype = str(model.embedding.dtype).removeprefix("torch.")
            answers.append(NotFiniteError(f"of {len(logs)} choices that were compared", dtype))
            continue
        choices = weighed(question.texts, [math.fsum(of_tokens) for of_tokens in logs])
        # Ties are broken by tokens, so that the order of the choices has no influence.
        best = min(range(len(choices)), key=lambda i: (-choices[i].log_probability, question.token_ids[i]))
        *of_text, of_end = map(math.exp, logs[best])
        answers.append(
            Generated(
                text=choices[best].text,
                token_ids=question.token_ids[best],
                probabilities=tuple(of_text),
                finish="stop",
                prompt_tokens=prefix.length + len(question.suffix),
                time_to_first_token_s=0.0,
                total_s=0.0,
                end_probability=of_end,
                choices=choices,
            )
        )
    return answers


@torch.inference_mode()
def log_probabilities(
    model: LanguageModel,
    prefix: PrefixKeyValues,
    questions: Sequence[Choosing],
    end_ids: frozenset[int],
    most_rows: int,
) -> list[list[tuple[float, ...]]]:
    """Log probabilities of the tokens of each choice.

    The questions are prefilled together; then each choice is computed on a copy of its question's keys and values.
    Choices are computed in the order of their tokens, so equal sets of choices give equal numbers to the bit.

    Args:
        model: The language model.
        prefix: Keys and values of the prefix that the questions share.
        questions: The questions, at most `most_rows`.
        end_ids: Tokens that end an answer.
        most_rows: Most choices that are computed together, and most positions whose logits are in memory at once.

    Returns:
        For each question and choice, the natural logarithms of the conditional probabilities of its tokens, followed by
        that of ending after them (the sum over all end tokens).
    """
    longest = max(len(choice) for question in questions for choice in question.token_ids)
    suffixes = [question.suffix for question in questions]
    key_values, logits = first_logits(model, prefix, suffixes, max(map(len, suffixes)) + longest)
    first = logits.log_softmax(dim=-1)
    device = first.device
    found: list[dict[TokenIds, tuple[float, ...]]] = [{} for _ in questions]
    pairs = [(row, choice) for row, question in enumerate(questions) for choice in sorted(question.token_ids)]
    for begin in range(0, len(pairs), most_rows):
        batch = pairs[begin : begin + most_rows]
        rows = [row for row, _ in batch]
        choices = [choice for _, choice in batch]
        begun = first[tuple(uploaded([rows, [choice[0] for choice in choices]], device))].tolist()
        later = _continued(model, key_values.picked(rows), choices, end_ids, most_rows)
        for (row, choice), start, rest in zip(batch, begun, later, strict=True):
            found[row][choice] = (start, *rest)
    return [[found[row][choice] for choice in question.token_ids] for row, question in enumerate(questions)]


def _continued(
    model: LanguageModel,
    key_values: SuffixKeyValues,
    choices: Sequence[TokenIds],
    end_ids: frozenset[int],
    most_positions: int,
) -> list[list[float]]:
    """Log probabilities of each choice's tokens except the first, and of ending after the last."""
    counts = [len(choice) for choice in choices]
    longest = max(counts)
    device = model.embedding.device
    ids = uploaded([[*choice, *[0] * (longest - len(choice))] for choice in choices], device)
    states = key_values.run_all(functional.embedding(ids, model.embedding), counts)
    states = torch.cat([states[row, :count] for row, count in enumerate(counts)])
    ends = uploaded(sorted(end_ids), device)
    # None stands for the end.
    wanted = [token for choice in choices for token in (*choice[1:], None)]
    found: list[float] = []
    for begin in range(0, len(wanted), most_positions):
        part = wanted[begin : begin + most_positions]
        logs = logits_of(model, states[begin : begin + len(part)]).log_softmax(dim=-1)
        tokens = uploaded([[0 if token is None else token] for token in part], device)
        # Copied together, so that the host waits for the device once.
        both = torch.stack([logs[:, ends].logsumexp(dim=-1), logs.gather(1, tokens)[:, 0]], dim=-1).tolist()
        found += [end if token is None else own for token, (end, own) in zip(part, both, strict=True)]
    parts = iter(found)
    return [[next(parts) for _ in range(count)] for count in counts]
