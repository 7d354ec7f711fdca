"""Loads the prompts with which the node asks the model, and the vocabulary of its plans."""

from __future__ import annotations

from dataclasses import dataclass

from ..planning import Vocabulary, VocabularyError, find_vocabulary, load_vocabulary, step_grammar, whole_plan_grammar
from ..questions import Prompts, PromptsError, find_prompts, load_prompts
from ..settings import Settings


@dataclass(frozen=True)
class Words:
    """The loaded prompts and vocabulary.

    Attributes:
        prompts: The set of prompts that the parameter `prompts` names.
        vocabulary: The vocabulary that the parameter `actions` names.
    """

    prompts: Prompts
    vocabulary: Vocabulary


def load_words(settings: Settings) -> Words:
    """Load the prompts and the vocabulary that the parameters name, and check that the two fit together.

    Raises:
        ValueError: The prompts or the vocabulary cannot be used, or their words clash; the text names the parameter and
            the reason.
    """
    try:
        prompts = load_prompts(find_prompts(settings.prompts))
    except PromptsError as error:
        raise ValueError(f"parameter prompts: {error}") from None
    try:
        vocabulary = load_vocabulary(find_vocabulary(settings.actions))
    except VocabularyError as error:
        raise ValueError(f"parameter actions: {error}") from None
    try:
        whole_plan_grammar(vocabulary, prompts)
        step_grammar(vocabulary, prompts)
    except ValueError as error:
        raise ValueError(f"prompts {settings.prompts!r} and actions {settings.actions!r} clash: {error}") from None
    if settings.needs_planner:
        # Imported here, where nobody waits for a plan yet; `check_together` has looked whether it is there.
        from ..planning.pddl import NoCounterpartError, cached_domain

        try:
            cached_domain(vocabulary)
        except NoCounterpartError as error:
            raise ValueError(f"parameter actions: {settings.actions!r} cannot be expressed in PDDL: {error}") from None
    return Words(prompts, vocabulary)
