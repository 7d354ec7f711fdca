"""Ask an engine the questions of the evaluations of rooms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..asking import AnswersQuestions, Ask, Generated, answers_in_order
from ..frames import NS_PER_S, Clip, Frame
from ..questions import Query, Status, answer_queries, shape
from .errors import CommandError

if TYPE_CHECKING:
    from ..planning import PlanAsk
    from ..questions import Prompts, SceneQuestion

LONGEST_ANSWER = 96


class RoomsAsker:
    """Asks an engine about pictures; the pictures of the last call are not encoded again."""

    def __init__(self, engine: AnswersQuestions, mode: str, prompts: Prompts) -> None:
        """Use an engine.

        Args:
            engine: The model.
            mode: Visual mode: video, multi_image or image.
            prompts: The prompts of questions whose possible answers are compared.
        """
        self._engine = engine
        self._mode = mode
        self._prompts = prompts
        self._pictures: list[Any] = []
        self._clip: Clip | None = None

    def answer(self, pictures: Sequence[Any], questions: Sequence[str]) -> list[str]:
        """Return free answers, decoded greedily (an `Answerer` of `evaluation.rooms.accuracy`)."""
        return [text for text, _ in self.answer_surely(pictures, questions)]

    def answer_surely(self, pictures: Sequence[Any], questions: Sequence[str]) -> list[tuple[str, float]]:
        """Return free answers with their confidence (a `SureAnswerer` of `evaluation.rooms.strangers`)."""
        asks = [Ask(question, LONGEST_ANSWER) for question in questions]
        given = answers_in_order(self._engine, [self._clip_of(pictures)], asks, mode=self._mode)
        return [(one.text, one.confidence) for one in given]

    def decide(self, pictures: Sequence[Any], questions: Sequence[SceneQuestion]) -> list[tuple[str, float]]:
        """Return the most probable possible answer and its probability (a `Decider` of `evaluation.rooms.accuracy`).

        Raises:
            CommandError: A question was not answered, as by a server that cannot compare answers.
        """
        clip = self._clip_of(pictures)
        query = Query("", (clip.camera,), mode=self._mode, clips=(clip,))
        queries = [query.put_as(shape(question, self._prompts)) for question in questions]
        results = answer_queries(queries, self._engine, lambda query: query.clips)
        for result in results:
            if result.status is not Status.OK:
                raise CommandError(result.message)
        return [(result.text, result.confidence) for result in results]

    def write(self, pictures: Sequence[Any], asks: Sequence[PlanAsk]) -> list[Generated]:
        """Return plans and next steps (a `Planner` of `evaluation.rooms.held_plans`)."""
        listed = [Ask(ask.prompt, ask.max_new_tokens, grammar=ask.grammar) for ask in asks]
        return answers_in_order(self._engine, [self._clip_of(pictures)], listed, mode=self._mode)

    def _clip_of(self, pictures: Sequence[Any]) -> Clip:
        same = len(pictures) == len(self._pictures) and all(
            one is other for one, other in zip(pictures, self._pictures, strict=True)
        )
        if self._clip is None or not same:
            frames = tuple(Frame("camera", i * NS_PER_S, "", picture) for i, picture in enumerate(pictures))
            self._pictures, self._clip = list(pictures), Clip("camera", frames)
        return self._clip
