"""The engine: answers questions about clips, each frame encoded once and nothing prefilled twice."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from ..ask_error import AskError
from ..bounds import check_whole
from ..frames import Clip, Frame
from ..modes import Mode
from ..settings import DEFAULTS
from .batches import batches
from .checkpoint import Checkpoint
from .decoding import Ask, Row, answer_of, decode, stop_wish
from .devices import each_on_device, free_unused, on_device
from .engine_settings import Counters, EngineSettings
from .generated import Generated, checked_mode
from .key_values import PrefixKeyValues
from .loaded import Loaded, with_caches
from .memory import MemoryPlan, is_out_of_memory, usual_batch
from .prompt import Segment, dialogue
from .prompt_parts import Own
from .sampling import LogitHook
from .scoring import Choosing, choose


class Engine:
    """Answers questions about clips with a loaded model. To be used from one thread at a time."""

    def __init__(
        self, checkpoint: Checkpoint, settings: EngineSettings | None = None, plan: MemoryPlan | None = None
    ) -> None:
        self.name = checkpoint.name
        self.plan = plan
        self._settings = settings or EngineSettings()
        self._state: Loaded | None = with_caches(checkpoint, self._settings)
        self._suffix_tokens = 0
        self._decoded_tokens = 0

    def _loaded(self) -> Loaded:
        if self._state is None:
            raise RuntimeError(f"model {self.name!r} has been closed")
        return self._state

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._loaded().language.embedding.device

    @property
    def transformers_model(self) -> Any:
        """LlavaOnevisionForConditionalGeneration on the same weights."""
        return self._loaded().checkpoint.model

    def prefix_length(self, clips: Sequence[Clip], mode: str = "video") -> int:
        """Tokens of a prompt up to the last frame: what questions about these clips share."""
        return sum(chunk.tokens for chunk in self._loaded().parts.head(clips, checked_mode(clips, mode))[0])

    def memory_bytes(self) -> int:
        """Bytes in use on the device: all that torch holds on a GPU; weights, tables, caches and buffers on a CPU."""
        state, device = self._loaded(), self.device
        if device.type == "cuda":
            return int(torch.cuda.memory_allocated(device))
        return state.nbytes

    def planned_bytes(self) -> int:
        """Bytes that the model may come to need, as predicted before it was loaded; 0 where nobody did."""
        return self.plan.total if self.plan is not None else 0

    def counters(self) -> Counters:
        """What has been computed so far."""
        state = self._loaded()
        steps = state.static_steps
        return Counters(
            frames_encoded=state.visual.frames_encoded,
            tiles_encoded=state.visual.tiles_encoded,
            feature_hits=state.features.hits,
            prefix_tokens=state.prefixes.tokens_prefilled,
            prefix_tokens_reused=state.prefixes.tokens_reused,
            suffix_tokens=self._suffix_tokens,
            decoded_tokens=self._decoded_tokens,
            feature_bytes=state.features.nbytes,
            prefix_bytes=state.prefixes.nbytes,
            step_bytes=0 if steps is None else steps.nbytes,
            step_shapes=0 if steps is None else len(steps),
            step_shortage="" if steps is None else steps.shortage,
        )

    def drop_caches(self) -> None:
        """Forget features and prefixes; they are computed again when they are needed."""
        state = self._loaded()
        state.features.clear()
        state.prefixes.clear()
        if state.static_steps is not None:
            state.static_steps.clear()
        free_unused(self.device)

    def close(self) -> None:
        """Give the memory back; the engine answers no more."""
        if self._state is None:
            return
        device = self.device
        self._state = None
        # Modules may refer to each other in rings, which would keep gigabytes until the collector happens to run.
        gc.collect()
        free_unused(device)

    def ask(
        self,
        question: str,
        *,
        max_new_tokens: int,
        on_text: Callable[[str], None],
        should_stop: Callable[[], str | None],
        choices: Sequence[str] | None = None,
        grammar: str | None = None,
        history: Sequence[tuple[str, str]] = (),
        before: Sequence[str | Frame] = (),
    ) -> Ask:
        """A greedy question for `stream`, free, with choices or held to a grammar; `Ask` itself has more to choose.

        Raises:
            ValueError: The choices cannot be told apart or meet a grammar, or max_new_tokens is below 1.
            GrammarError: The grammar is wrong.
        """
        return Ask(
            question,
            max_new_tokens,
            on_text,
            should_stop,
            hook=None if grammar is None else self.grammar_hook(grammar),
            history=tuple(history),
            choices=None if choices is None else tuple(choices),
            before=tuple(before),
        )

    def grammar_hook(self, grammar: str) -> LogitHook:
        """A hook for one `Ask`, whose answer can then be nothing but a text of the grammar.

        Where `max_new_tokens` does not suffice for the longest text, the answer can be cut off all the same: a text
        has at most as many tokens as bytes, and an end.

        Args:
            grammar: In llguidance's variant of Lark's syntax.

        Raises:
            GrammarError: The grammar is wrong; the text says where.
        """
        return self._loaded().grammars.hook(grammar)

    def answer(
        self,
        clips: Sequence[Clip],
        question: str,
        *,
        mode: str = "video",
        max_new_tokens: int = DEFAULTS.max_new_tokens,
        on_text: Callable[[str], None] = lambda text: None,
        should_stop: Callable[[], str | None] = lambda: None,
    ) -> Generated:
        """Answers one question about clips, greedily; see `stream` for the arguments and errors."""
        ask = self.ask(question, max_new_tokens=max_new_tokens, on_text=on_text, should_stop=should_stop)
        return self.answer_many(clips, [ask], mode=mode)[0]

    def answer_many(self, clips: Sequence[Clip], asks: Sequence[Ask], *, mode: str = "video") -> list[Generated]:
        """Answers to several questions about the same clips, in the order of the questions; see `stream`."""
        answers: dict[int, Generated] = {}
        for number, outcome in self.stream(clips, asks, mode=mode):
            if isinstance(outcome, Exception):
                raise outcome
            answers[number] = outcome
        return [answers[number] for number in range(len(asks))]

    def prepare(self, clips: Sequence[Clip], *, mode: str = "video") -> bool:
        """Do one piece of the work that questions about these clips will need: encode or prefill one chunk.

        Returns:
            Whether there was anything to do. To be called again, when nothing more urgent waits, until there is not.
        """
        state = self._loaded()
        with on_device(self.device):
            chunks, _ = state.parts.head(clips, checked_mode(clips, mode))
            return state.prefixes.step(chunks)

    def prepare_steps(self) -> None:
        """Make the steps of the usual batches, so that no question waits for their capture; nothing on a CPU."""
        state = self._loaded()
        if state.static_steps is not None and self.device.type == "cuda":
            with on_device(self.device):
                state.static_steps.prepare(usual_batch(state.checkpoint.model.config, self._settings))

    def stream(
        self, clips: Sequence[Clip], asks: Sequence[Ask], *, mode: str = "video"
    ) -> Iterator[tuple[int, Generated | Exception]]:
        """Answers several questions about the same clips together, yielding each as it ends.

        Where memory runs out, caches are dropped, and then older frames, until it suffices; the answer says so.

        Args:
            clips: One per camera. Mode image looks at the newest frame of exactly one camera.
            asks: The questions.
            mode: How frames become visual tokens.

        Yields:
            Number of the question, and its answer, or why there is none: AskError where its prompt is longer than
            the model's context, two of its choices are the same tokens, or it has pictures before the clip in mode
            image; MemoryError where memory does not suffice for one frame of each clip, NotFiniteError where the model
            computed numbers that are none.

        Raises:
            ValueError: The request cannot be served: unknown mode, no clip.
            AskError: Several cameras in mode image.
        """
        yield from each_on_device(self.device, self._stream(clips, asks, mode))

    def _stream(
        self, clips: Sequence[Clip], asks: Sequence[Ask], mode: str
    ) -> Iterator[tuple[int, Generated | Exception]]:
        checked = checked_mode(clips, mode)
        started_s = time.monotonic()
        waiting = dict(enumerate(asks))
        rows: dict[int, Row] = {}
        used, remark = tuple(clips), ""
        without_caches = False
        while waiting:
            try:
                for number, outcome in self._attempt(used, dict(waiting), checked, started_s, rows):
                    if isinstance(outcome, Generated):
                        outcome = replace(outcome, remark=remark)
                    del waiting[number]
                    yield number, outcome
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self.drop_caches()
                alone = all(len(clip.frames) == 1 for clip in used)
                for number in list(waiting):
                    # Text that has been given out cannot be taken back by beginning again.
                    if (without_caches and alone) or (number in rows and rows[number].tokens):
                        del waiting[number]
                        yield number, MemoryError(f"memory ran out, also without caches: {error}")
                if without_caches and not alone:
                    used = tuple(Clip(clip.camera, clip.frames[len(clip.frames) // 2 :]) for clip in used)
                    kept, given = (sum(len(clip.frames) for clip in some) for some in (used, clips))
                    remark = f"memory ran out: answered from the newest {kept} of {given} frames"
                without_caches = True

    def _attempt(
        self,
        clips: tuple[Clip, ...],
        asks: dict[int, Ask],
        mode: Mode,
        started_s: float,
        rows: dict[int, Row],
    ) -> Iterator[tuple[int, Generated | Exception]]:
        yield from self._end_unwanted(asks, clips, started_s)
        # What goes before the clips is part of the prefix: questions share one where that is the same.
        for before in dict.fromkeys(ask.before for ask in asks.values()):
            alike = {number: ask for number, ask in asks.items() if ask.before == before}
            yield from self._answer_alike(clips, before, alike, mode, started_s, rows)

    def _answer_alike(
        self,
        clips: tuple[Clip, ...],
        before: tuple[str | Frame, ...],
        asks: dict[int, Ask],
        mode: Mode,
        started_s: float,
        rows: dict[int, Row],
    ) -> Iterator[tuple[int, Generated | Exception]]:
        """Answers questions with one prefix."""
        state = self._loaded()
        try:
            chunks, between = state.parts.head(clips, mode, before)
        except AskError as error:
            yield from ((number, error) for number in asks)
            return
        prefix_tokens = sum(chunk.tokens for chunk in chunks)
        own: dict[int, Own] = {}
        for number, ask in asks.items():
            # Long texts take a while: whose time is up does not wait for those of others.
            wanted = {number: ask}
            yield from self._end_unwanted(wanted, clips, started_s)
            if not wanted:
                continue
            try:
                own[number] = state.parts.own(clips, ask, mode, prefix_tokens, between)
            except AskError as error:
                yield number, error
        wanted = {number: asks[number] for number in own}
        yield from self._end_unwanted(wanted, clips, started_s)
        own = {number: own[number] for number in wanted}
        if not own:
            return
        if mode != "image":
            pictures = [part for part in before if isinstance(part, Frame)]
            state.visual.encode([*pictures, *(frame for clip in clips for frame in clip.frames)], mode)
        prefix = state.prefixes.get(chunks)
        lengths = {number: len(its.suffix) for number, its in own.items()}
        # In an order of their own, so that equal sets of questions are equal batches.
        listed = sorted((number for number, its in own.items() if its.choices), key=lambda number: own[number].key)
        for batch in batches(listed, lengths, self._settings.batch):
            wanted = {number: asks[number] for number in batch}
            yield from self._end_unwanted(wanted, clips, started_s)
            yield from self._choose(prefix, wanted, own, clips, started_s)
        free = [number for number, its in own.items() if not its.choices]
        for batch in batches(free, lengths, self._settings.batch):
            begun = [self._row(number, asks[number], own[number].prompt, mode) for number in batch]
            rows.update(zip(batch, begun, strict=True))
            suffixes = [own[number].suffix for number in batch]
            self._suffix_tokens += sum(map(len, suffixes))
            for row in decode(state.language, prefix, suffixes, begun, state.checkpoint.end_ids, state.static_steps):
                self._decoded_tokens += len(row.tokens)
                prompt_tokens = prefix.length + len(own[row.number].suffix)
                yield row.number, row.failure or answer_of(row, clips, prompt_tokens, started_s)

    def _row(self, number: int, ask: Ask, prompt: Sequence[int | None], mode: Mode) -> Row:
        return Row(number, ask, self._loaded().checkpoint.tokenizer, self._loaded().parts.earlier(ask, prompt, mode))

    def _end_unwanted(
        self, asks: dict[int, Ask], clips: tuple[Clip, ...], started_s: float
    ) -> Iterator[tuple[int, Generated]]:
        """Takes the questions away to which nobody wants an answer any more."""
        for number in list(asks):
            wish = stop_wish(asks[number])
            if wish is not None:
                row = Row(number, asks.pop(number), self._loaded().checkpoint.tokenizer)
                row.end(wish)
                yield number, answer_of(row, clips, 0, started_s)

    def _choose(
        self,
        prefix: PrefixKeyValues,
        asks: dict[int, Ask],
        own: dict[int, Own],
        clips: tuple[Clip, ...],
        started_s: float,
    ) -> Iterator[tuple[int, Generated | Exception]]:
        """Answers questions that have choices."""
        if not asks:
            return
        state = self._loaded()
        questions = [
            Choosing(own[number].suffix, ask.choices or (), own[number].choices) for number, ask in asks.items()
        ]
        self._suffix_tokens += sum(len(one.suffix) + sum(map(len, one.token_ids)) for one in questions)
        answers = choose(state.language, prefix, questions, state.checkpoint.end_ids, self._settings.batch)
        taken_s = time.monotonic() - started_s
        for number, answer in zip(asks, answers, strict=True):
            if isinstance(answer, Generated):
                answer = replace(answer, clips=clips, time_to_first_token_s=taken_s, total_s=taken_s)
            yield number, answer

    def prompt(self, turns: Sequence[Sequence[Segment]], system: str | None = None) -> tuple[Segment, ...]:
        """A prompt for `complete` in the model's template, from what the user and the assistant say by turns.

        Args:
            turns: The user begins and ends.
            system: Instead of the template's own system turn.
        """
        style = self._loaded().checkpoint.style
        return dialogue(turns, style if system is None else replace(style, system=system))

    def complete(
        self, prompt: Sequence[Segment], items: Sequence[Sequence[Frame]], mode: Mode, max_new_tokens: int
    ) -> Generated:
        """Goes on, greedily, from a prompt of any form, with pictures where they stand in the text.

        Args:
            prompt: Segments, each text encoded by itself; every `Visual` takes the next item.
            items: Frames of each `Visual`: of a clip in mode video, else one.
            mode: How frames become visual tokens.
            max_new_tokens: Longest answer; less where the model's context ends before.

        Raises:
            ValueError: Items and places differ in number, or max_new_tokens is below 1.
            AskError: The prompt is too long.
            NotFiniteError: The model computed numbers that are none.
        """
        check_whole("max_new_tokens", max_new_tokens, 1)
        state, started_s = self._loaded(), time.monotonic()
        with on_device(self.device):
            chunks, suffix, ids = state.parts.interleaved(prompt, items, mode)
            if mode != "image":
                state.visual.encode([frame for item in items for frame in item], mode)
            prefix = state.prefixes.get(chunks)
            longest = min(max_new_tokens, state.language.context - prefix.length - len(suffix))
            row = self._row(0, Ask("", longest), ids, mode)
            self._suffix_tokens += len(suffix)
            list(decode(state.language, prefix, [suffix], [row], state.checkpoint.end_ids, state.static_steps))
        self._decoded_tokens += len(row.tokens)
        if row.failure is not None:
            raise row.failure
        return answer_of(row, (), prefix.length + len(suffix), started_s)

    def prompt_ids(self, clips: Sequence[Clip], ask: Ask, mode: str = "video") -> list[int | None]:
        """Token ids of a whole prompt, None for each visual item."""
        return self._loaded().parts.ids(clips, ask, checked_mode(clips, mode))
