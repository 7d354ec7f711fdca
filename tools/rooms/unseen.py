"""Answers that training never shows to be right: left out of the loss, so that they are not learnt to be wrong.

Training leaves out combinations of kind, colour and place, to see later whether the model puts together what it knows
of each. Plain cross-entropy would teach it that a mug is never of the one colour in which mugs are not shown: it is a
wrong answer to every question about mugs. So it is no possible answer there, and is drawn to be about as likely as
the colours that are wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional

from labels import CLASSES, COLOUR, KIND, PLACE
from llava_ov_ros.rooms.world import COLOURS, HELD_OUT_COLOURS, HELD_OUT_PLACES, KINDS, RECEPTACLES

# The score of what is no possible answer.
NEVER = -1e4


class Unseen:
    """Which words are no possible answer where, by rule; rule 0 leaves out none.

    Attributes:
        excluded: bool (rules, vocabulary): words that are left out.
        others: bool (rules, vocabulary): words of the same sort that are not.
    """

    def __init__(self, token: Callable[[str], int], rows: int) -> None:
        """Make the rules.

        Args:
            token: Id of a word at the beginning of a text, or of a space and a word.
            rows: Size of the vocabulary.
        """
        nothing = torch.zeros(rows, dtype=torch.bool)
        excluded, others = [nothing], [nothing]
        self._rules: dict[tuple[int, int], int] = {}
        self._kinds = {token(space + kind): token(f" {kind}") for space in ("", " ") for kind in KINDS}
        self._colours = {token(space + colour) for space in ("", " ") for colour in COLOURS}

        def rule(known: str, words: Sequence[str], never: set[str], space: str = " ") -> None:
            """Beside a known word, some of the words of a sort are never right."""
            out, rest = nothing.clone(), nothing.clone()
            for word in words:
                (out if word in never else rest)[token(space + word)] = True
                self._rules[token(f" {known}"), token(space + word)] = len(excluded)
            excluded.append(out)
            others.append(rest)

        for kind in KINDS:
            for space in ("", " "):
                rule(kind, tuple(COLOURS), {HELD_OUT_COLOURS[kind]}, space)
            if kind in HELD_OUT_PLACES:
                rule(kind, tuple(RECEPTACLES), {HELD_OUT_PLACES[kind]})
        for colour in COLOURS:
            rule(colour, KINDS, {kind for kind, held in HELD_OUT_COLOURS.items() if held == colour})
        self.excluded, self.others = torch.stack(excluded), torch.stack(others)

    def rules(self, question: Sequence[int], answer: Sequence[int]) -> list[int]:
        """The rule of each token of an answer.

        Args:
            question: Token ids; the first kind in it is what colours and places of the answer are about.
            answer: Token ids.
        """
        asked = next((self._kinds[token] for token in question if token in self._kinds), -1)
        found = []
        for before, token, behind in zip([-1, *answer], answer, [*answer[1:], -1], strict=False):
            if token in self._kinds:
                known = before
            elif token in self._colours and behind in self._kinds:
                known = behind
            else:
                known = asked
            found.append(self._rules.get((known, token), 0))
        return found


def possible_loss(
    scores: torch.Tensor, wanted: torch.Tensor, excluded: torch.Tensor, others: torch.Tensor, pull: float
) -> torch.Tensor:
    """Cross-entropy over the possible answers, and a pull of the impossible ones to the wrong among those.

    Args:
        scores: float32 (n, words).
        wanted: int64 (n,), the right ones.
        excluded: bool (n, words): no possible answers.
        others: bool (n, words): possible answers of the same sort.
        pull: Weight of the latter.

    Returns:
        (n,).
    """
    # A plan may lead where its goal's thing never is, to fetch the knife.
    excluded = excluded.scatter(1, wanted[:, None], False)
    loss = functional.cross_entropy(scores.masked_fill(excluded, NEVER), wanted, reduction="none")
    wrong = others.scatter(1, wanted[:, None], False)
    level = (scores * wrong).sum(1) / wrong.sum(1).clamp(min=1)
    apart = functional.smooth_l1_loss(scores, level.detach()[:, None].expand_as(scores), reduction="none")
    extra = (apart * excluded).sum(1) / excluded.sum(1).clamp(min=1)
    return loss + pull * extra


def never_beside() -> dict[int, list[tuple[int, torch.Tensor]]]:
    """What no patch is ever labelled with, by predicted label: (known label, bool (its classes, predicted classes))."""
    colours, places = list(COLOURS), list(RECEPTACLES)
    of_colour = [(KINDS.index(kind), colours.index(colour)) for kind, colour in HELD_OUT_COLOURS.items()]
    of_place = [(KINDS.index(kind), places.index(place)) for kind, place in HELD_OUT_PLACES.items()]
    tables: dict[int, list[tuple[int, torch.Tensor]]] = {}
    for label, pairs in ((COLOUR, of_colour), (PLACE, of_place)):
        table = torch.zeros(CLASSES[KIND], CLASSES[label], dtype=torch.bool)
        for kind, other in pairs:
            # Class 0 is nothing.
            table[kind + 1, other + 1] = True
        tables.setdefault(label, []).append((KIND, table))
        tables.setdefault(KIND, []).append((label, table.T))
    return tables
