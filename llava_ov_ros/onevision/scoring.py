"""Probabilities of given answers: all choices of all questions behind one prefix, each question prefilled once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from .decoding import first_logits
from .devices import uploaded
from .generated import Generated, NotFiniteError, weighed
from .key_values import PrefixKeyValues, SuffixKeyValues
from .language import LanguageModel, logits_of

TokenIds = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Choosing:
    """A question with the only answers that it may have.

    Attributes:
        suffix: Embeddings of its own part of the prompt, (tokens, hidden).
        texts: The answers; no two alike.
        token_ids: Of each answer, without an end; no two alike.
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
    """The most probable choice of each question, with the probabilities of all; times and clips are the caller's.

    Choices are compared as the model finds them: rules of the checkpoint against repetition play no part.

    Args:
        model: The language model.
        prefix: Keys and values of what the questions share.
        questions: What is asked, at most `most_rows`.
        end_ids: Tokens that end an answer.
        most_rows: See `log_probabilities`.

    Returns:
        For each question its answer, or that its probabilities are not finite.
    """
    answers: list[Generated | NotFiniteError] = []
    scores = log_probabilities(model, prefix, questions, end_ids, most_rows)
    for question, logs in zip(questions, scores, strict=True):
        if not all(math.isfinite(log) for of_tokens in logs for log in of_tokens):
            dtype = str(model.embedding.dtype).removeprefix("torch.")
            answers.append(NotFiniteError(f"of {len(logs)} choices that were compared", dtype))
            continue
        choices = weighed(question.texts, [math.fsum(of_tokens) for of_tokens in logs])
        # In a tie, too, the order in which they are given decides nothing.
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
    """How probable the model finds each choice.

    The questions are prefilled together; then the choices follow, each on a copy of its question's keys and values.
    Choices are computed in the order of their tokens, however they are given: equal sets give equal numbers to the bit.

    Args:
        model: The language model.
        prefix: Keys and values of what the questions share.
        questions: What is asked, at most `most_rows`.
        end_ids: Tokens that end an answer.
        most_rows: Most choices that are computed together, and most positions whose logits are held at once.

    Returns:
        For each question and choice, natural logarithms of the probabilities of its tokens, each after those before
        it, and last of an end, whichever of the end tokens it is.
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
    """Logarithms of the probabilities of every token of the choices but the first, and of an end behind the last."""
    counts = [len(choice) for choice in choices]
    longest = max(counts)
    device = model.embedding.device
    ids = uploaded([[*choice, *[0] * (longest - len(choice))] for choice in choices], device)
    states = key_values.run_all(functional.embedding(ids, model.embedding), counts)
    states = torch.cat([states[row, :count] for row, count in enumerate(counts)])
    ends = uploaded(sorted(end_ids), device)
    # A token, or None for an end.
    wanted = [token for choice in choices for token in (*choice[1:], None)]
    found: list[float] = []
    for begin in range(0, len(wanted), most_positions):
        part = wanted[begin : begin + most_positions]
        logs = logits_of(model, states[begin : begin + len(part)]).log_softmax(dim=-1)
        tokens = uploaded([[0 if token is None else token] for token in part], device)
        # Together, so that there is one wait.
        both = torch.stack([logs[:, ends].logsumexp(dim=-1), logs.gather(1, tokens)[:, 0]], dim=-1).tolist()
        found += [end if token is None else own for token, (end, own) in zip(part, both, strict=True)]
    parts = iter(found)
    return [[next(parts) for _ in range(count)] for count in counts]
