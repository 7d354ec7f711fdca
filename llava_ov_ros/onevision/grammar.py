"""Constrains an answer to a grammar: at each step, tokens that the grammar does not allow are forbidden.

The grammar is text in llguidance's variant of Lark's syntax
(https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..missing_module import install_line
from .devices import uploaded
from .tokens import PromptTokenizer

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

# Most compiled grammars in the cache; a robot has few vocabularies.
MOST_COMPILED = 8


class GrammarError(ValueError):
    """A grammar cannot be used; the message says what is wrong and where."""


class GrammarHook:
    """A `LogitHook` that allows only tokens with which the answer can still become a text of the grammar.

    End tokens are allowed exactly if the answer is a text of the grammar. The hook compares the tokens of each call
    with those of the last, so the same hook also serves an answer that starts again.
    """

    def __init__(self, compiled: LLMatcher, vocabulary: int, end_ids: Sequence[int]) -> None:
        self._compiled = compiled
        self._matcher = compiled.deep_copy()
        self._vocabulary = vocabulary
        self._end_ids = list(end_ids)
        self._said: list[int] = []

    def __call__(self, tokens: Sequence[int], logits: torch.Tensor) -> torch.Tensor:
        """Set the logits of forbidden tokens to -inf.

        Args:
            tokens: Tokens of the answer so far.
            logits: float32 (vocabulary,).

        Returns:
            The changed logits, float32 (vocabulary,).

        Raises:
            GrammarError: The answer so far is no beginning of a text of the grammar, or the grammar is too ambiguous.
        """
        self._follow(tokens)
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        if self._matcher.is_error():
            raise GrammarError(f"the grammar cannot go on after {len(tokens)} tokens: {_reason(self._matcher)}")
        forbidden = np.unpackbits(bits, count=self._vocabulary, bitorder="little") == 0
        # The matcher knows only the first end token.
        forbidden[self._end_ids] = forbidden[self._end_ids[0]]
        return logits.masked_fill(uploaded(torch.from_numpy(forbidden), logits.device), -math.inf)

    def _follow(self, tokens: Sequence[int]) -> None:
        known = len(self._said)
        if list(tokens[:known]) != self._said:
            self._begin_anew()
            known = 0
        new = list(tokens[known:])
        if new and not self._matcher.consume_tokens(new):
            reason = _reason(self._matcher)
            self._begin_anew()
            raise GrammarError(f"the answer so far begins no text of the grammar: {reason}")
        self._said += new

    def _begin_anew(self) -> None:
        self._matcher = self._compiled.deep_copy()
        self._said = []


class Grammars:
    """Compiles grammars for the tokens of one model, and caches them."""

    def __init__(self, tokenizer: PromptTokenizer, vocabulary: int, end_ids: frozenset[int]) -> None:
        """Create an empty cache; llguidance is imported with the first grammar.

        Args:
            tokenizer: The model's tokenizer.
            vocabulary: Length of the logits; ids beyond the tokenizer's tokens are always forbidden.
            end_ids: Tokens that end an answer.
        """
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._end_ids = sorted(end_ids)
        self._tokens: LLTokenizer | None = None
        self._compiled: OrderedDict[str, LLMatcher] = OrderedDict()

    def hook(self, grammar: str) -> GrammarHook:
        """A hook that constrains one answer to a grammar.

        Raises:
            GrammarError: The grammar is invalid, or llguidance is not installed.
        """
        if grammar not in self._compiled:
            self._compiled[grammar] = self._compile(grammar)
            if len(self._compiled) > MOST_COMPILED:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(grammar)
        return GrammarHook(self._compiled[grammar], self._vocabulary, self._end_ids)

    def _compile(self, grammar: str) -> LLMatcher:
        try:
            # Not imported above: a node that holds no answer to a grammar runs without llguidance.
            from llguidance import LLMatcher, LLTokenizer
        except ImportError as error:
            raise GrammarError(f"grammars need llguidance: run {install_line()} ({error})") from None
        if self._tokens is None:
            self._tokens = LLTokenizer(self._tokenizer.json, n_vocab=self._vocabulary, eos_token=self._end_ids[0])
        refused, messages = LLMatcher.validate_grammar_with_warnings(grammar, self._tokens)
        if refused:
            raise GrammarError(f"not a grammar: {messages[0].strip()}")
        matcher = LLMatcher(self._tokens, grammar, log_level=0)
        # The first mask checks the limits on a grammar's size, and builds the tables that all copies share.
        matcher.compute_bitmask()
        if matcher.is_error():
            raise GrammarError(f"not a usable grammar: {_reason(matcher)}")
        return matcher


def _reason(matcher: LLMatcher) -> str:
    """The first line of a matcher's error: the reason; further lines describe the matcher's state."""
    return matcher.get_error().strip().partition("\n")[0]
