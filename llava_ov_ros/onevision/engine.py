"""The engine: answers questions about clips, encodes each frame once and prefills no token twice."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch

from ..ask_error import AskError
from ..asking import Ask, Generated, LogitHook, answers_in_order, checked_mode
from ..bounds import check_whole
from ..frames import Clip, Frame
from ..modes import Mode
from ..no_op import no_op
from ..settings import DEFAULTS
from .batches import batches
from .checkpoint import Checkpoint
from .decoding import BatchRow, answer_of, decode, end_unwanted
from .devices import each_on_device, free_unused, on_device
from .engine_settings import Counters, EngineSettings
from .grammar import GrammarError
from .key_values import PrefixKeyValues
from .loaded import Loaded, with_caches
from .memory import MemoryPlan, is_out_of_memory, usual_batch
from .prefix_store import Chunk
from .prompt import Segment, dialogue
from .prompt_parts import Own
from .scoring import Choosing, choose


class _UnwantedError(Exception):
    """Nobody wants the answers any more for which a prefix is being prefilled."""


class Engine:
    """Answers questions about clips with a loaded model. Only one thread may use it at a time."""

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
    def at_once(self) -> int:
        """How many threads may call `stream` at the same time: 1, because they would share one model's caches."""
        return 1

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self._loaded().language.embedding.device

    @property
    def config(self) -> Any:
        """The model's configuration: PlainConfig, or LlavaOnevisionConfig where that is left to transformers."""
        return self._loaded().checkpoint.model.config

    @property
    def transformers_model(self) -> Any:
        """A LlavaOnevisionForConditionalGeneration with the engine's own weights, for comparisons.

        The first call makes it, which imports transformers. Where the engine has packed weights, the model gets copies
        of them, which stay.
        """
        return self._loaded().transformers_model()

    def prefix_length(self, clips: Sequence[Clip], mode: str = "video") -> int:
        """Number of tokens of the prefix that questions about these clips share."""
        return sum(chunk.tokens for chunk in self._loaded().parts.head(clips, checked_mode(clips, mode))[0])

    def memory_bytes(self) -> int:
        """Bytes in use: on a GPU all memory that torch has allocated; on a CPU weights, tables, caches and buffers."""
        state, device = self._loaded(), self.device
        if device.type == "cuda":
            return int(torch.cuda.memory_allocated(device))
        return state.nbytes

    def may_hold(self) -> dict[str, int]:
        """Most bytes of weights, caches and intermediate results, as planned before loading; empty without a plan."""
        return self.plan.may_hold() if self.plan is not None else {}

    def counters(self) -> Counters:
        """The counters of the work since the model was loaded."""
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

    def counted(self) -> dict[str, int | str]:
        """The counters by name."""
        return asdict(self.counters())

    def drop_caches(self) -> None:
        """Drop cached visual tokens, prefixes and decode steps; they are computed again when needed."""
        state = self._loaded()
        state.features.clear()
        state.prefixes.clear()
        if state.static_steps is not None:
            state.static_steps.clear()
        free_unused(self.device)

    def close(self) -> None:
        """Free the memory; the engine answers no more questions."""
        if self._state is None:
            return
        device = self.device
        self._state = None
        # Modules may form reference cycles, which would keep gigabytes until the garbage collector happens to run.
        gc.collect()
        free_unused(device)

    def grammar_hook(self, grammar: str) -> LogitHook:
        """A hook for one `Ask` that constrains its answer to texts of a grammar.

        The answer is still cut off at `max_new_tokens`; a text has at most as many tokens as bytes, plus the end token.

        Args:
            grammar: Grammar in llguidance's variant of Lark's syntax.

        Raises:
            GrammarError: The grammar is invalid; the message says where.
        """
        return self._loaded().grammars.hook(grammar)

    def answer(
        self,
        clips: Sequence[Clip],
        question: str,
        *,
        mode: str = "video",
        max_new_tokens: int = DEFAULTS.max_new_tokens,
        on_text: Callable[[str], None] = no_op,
        should_stop: Callable[[], str | None] = no_op,
    ) -> Generated:
        """Answer one question about clips greedily; see `stream` for the arguments and errors, which are raised."""
        return self.answer_many(clips, [Ask(question, max_new_tokens, on_text, should_stop)], mode=mode)[0]

    def answer_many(self, clips: Sequence[Clip], asks: Sequence[Ask], *, mode: str = "video") -> list[Generated]:
        """Answer several questions about the same clips, and return the answers in their order.

        See `stream` for the arguments; the first error of a question is raised.
        """
        return answers_in_order(self, clips, asks, mode=mode)

    def prepare(self, clips: Sequence[Clip], *, mode: str = "video") -> bool:
        """Encode and prefill the next missing chunk of the prefix that questions about these clips will share.

        Call it repeatedly while nothing more urgent waits, until it returns False.

        Returns:
            Whether a chunk was prefilled.
        """
        state = self._loaded()
        checked = checked_mode(clips, mode)
        with on_device(self.device):
            chunks, _ = state.parts.head(clips, checked)
            state.visual.touch([frame for clip in clips for frame in clip.frames], checked)
            return state.prefixes.step(chunks)

    def prepare_steps(self) -> None:
        """Capture the decode steps of the usual batches, so that no question waits for it; does nothing on a CPU."""
        state = self._loaded()
        if state.static_steps is not None and self.device.type == "cuda":
            with on_device(self.device):
                state.static_steps.prepare(usual_batch(state.checkpoint.model.config, self._settings))

    def stream(
        self, clips: Sequence[Clip], asks: Sequence[Ask], *, mode: str = "video"
    ) -> Iterator[tuple[int, Generated | Exception]]:
        """Answer several questions about the same clips together, and yield each answer as soon as it ends.

        If memory runs out, the caches are dropped first and then the older halves of the clips, until memory suffices;
        the answer's remark says how many frames are left.

        Args:
            clips: One clip per camera. Mode image looks at the newest frame of exactly one camera.
            asks: The questions.
            mode: How frames become visual tokens.

        Yields:
            The question's index in `asks`, and its answer or the error that prevented it. GrammarError: the question's
            grammar is invalid. AskError: the prompt is
            longer than the model's context, two choices have the same tokens, or there are pictures before the clip in
            mode image. MemoryError: memory does not suffice for one frame of each clip, or ran out after text was
            streamed. NotFiniteError: the model's logits are not finite.

        Raises:
            ValueError: The mode is unknown, or there is no clip.
            AskError: Mode image with several cameras.
        """
        yield from each_on_device(self.device, self._stream(clips, asks, mode))

    def _stream(
        self, clips: Sequence[Clip], asks: Sequence[Ask], mode: str
    ) -> Iterator[tuple[int, Generated | Exception]]:
        checked = checked_mode(clips, mode)
        started_s = time.monotonic()
        waiting = dict(enumerate(asks))
        rows: dict[int, BatchRow] = {}
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
                    # Text that was streamed cannot be taken back, so such an answer cannot start again.
                    if (without_caches and alone) or (number in rows and rows[number].tokens):
                        del waiting[number]
                        yield number, MemoryError(f"memory ran out, also without caches: {error}")
                if without_caches and not alone:
                    used = tuple(Clip(clip.camera, clip.frames[len(clip.frames) // 2 :]) for clip in used)
                    kept, given = (sum(len(clip.frames) for clip in some) for some in (used, clips))
                    remark = f"memory ran out: answered from the newest {kept} of {given} frames"
                without_caches = True

    def _attempt(
        self, clips: tuple[Clip, ...], asks: dict[int, Ask], mode: Mode, started_s: float, rows: dict[int, BatchRow]
    ) -> Iterator[tuple[int, Generated | Exception]]:
        yield from end_unwanted(asks, clips, started_s, self._loaded().checkpoint.tokenizer)
        # Texts and pictures before the clips are part of the prefix, so only questions with equal ones share it.
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
        rows: dict[int, BatchRow],
    ) -> Iterator[tuple[int, Generated | Exception]]:
        """Answer questions that share one prefix."""
        state = self._loaded()
        tokenizer = state.checkpoint.tokenizer
        try:
            chunks, between = state.parts.head(clips, mode, before)
        except AskError as error:
            yield from ((number, error) for number in asks)
            return
        prefix_tokens = sum(chunk.tokens for chunk in chunks)
        own: dict[int, Own] = {}
        for number, ask in list(asks.items()):
            # Long texts take time to encode, so deadlines are checked before each.
            wanted = {number: ask}
            yield from end_unwanted(wanted, clips, started_s, tokenizer)
            if not wanted:
                continue
            try:
                if ask.grammar is not None:
                    asks[number] = replace(ask, grammar=None, hook=self.grammar_hook(ask.grammar))
                own[number] = state.parts.own(clips, ask, mode, prefix_tokens, between)
            except (AskError, GrammarError) as error:
                yield number, error
        wanted = {number: asks[number] for number in own}
        yield from end_unwanted(wanted, clips, started_s, tokenizer)
        own = {number: own[number] for number in wanted}
        if not own:
            return
        pictures = [part for part in before if isinstance(part, Frame)]
        shown = [*pictures, *(frame for clip in clips for frame in clip.frames)]
        state.visual.touch(shown, mode)
        ended: list[tuple[int, Generated]] = []

        def check_wanted() -> None:
            # Frames take long to encode, above all on a CPU.
            ended.extend(end_unwanted(wanted, clips, started_s, tokenizer))
            if not wanted:
                raise _UnwantedError

        self._encode_missing(shown, chunks, mode)
        try:
            prefix = state.prefixes.get(chunks, check_wanted)
        except _UnwantedError:
            yield from ended
            return
        yield from ended
        own = {number: own[number] for number in wanted}
        lengths = {number: len(its.suffix) for number, its in own.items()}
        # Sorted by content, so that equal sets of questions give equal batches and equal numbers.
        listed = sorted((number for number, its in own.items() if its.choices), key=lambda number: own[number].key)
        for batch in batches(listed, lengths, self._settings.batch):
            wanted = {number: asks[number] for number in batch}
            yield from end_unwanted(wanted, clips, started_s, tokenizer)
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

    def _encode_missing(self, frames: Sequence[Frame], chunks: Sequence[Chunk], mode: Mode) -> None:
        """Encode together those of the frames that the prefix of these chunks lacks."""
        state = self._loaded()
        missing = {chunk.key for chunk in state.prefixes.missing(chunks)}
        if mode != "image":
            state.visual.encode([frame for frame in frames if state.visual.key(frame, mode) in missing], mode)

    def _row(self, number: int, ask: Ask, prompt: Sequence[int | None], mode: Mode) -> BatchRow:
        return BatchRow(
            number, ask, self._loaded().checkpoint.tokenizer, self._loaded().parts.earlier(ask, prompt, mode)
        )

    def _choose(
        self,
        prefix: PrefixKeyValues,
        asks: dict[int, Ask],
        own: dict[int, Own],
        clips: tuple[Clip, ...],
        started_s: float,
    ) -> Iterator[tuple[int, Generated | Exception]]:
        """Answer questions that have choices."""
        if not asks:
            return
        state = self._loaded()
        questions = [Choosing(own[n].suffix, ask.choices or (), own[n].choices) for n, ask in asks.items()]
        self._suffix_tokens += sum(len(one.suffix) + sum(map(len, one.token_ids)) for one in questions)
        answers = choose(state.language, prefix, questions, state.checkpoint.end_ids, self._settings.batch)
        taken_s = time.monotonic() - started_s
        for number, answer in zip(asks, answers, strict=True):
            if isinstance(answer, Generated):
                answer = replace(answer, clips=clips, time_to_first_token_s=taken_s, total_s=taken_s)
            yield number, answer

    def prompt(self, turns: Sequence[Sequence[Segment]], system: str | None = None) -> tuple[Segment, ...]:
        """Build a prompt for `complete` in the model's template.

        Args:
            turns: Turns of user and assistant, alternating; the user has the first and the last.
            system: Text of the system turn; None uses the template's own.
        """
        style = self._loaded().checkpoint.style
        return dialogue(turns, style if system is None else replace(style, system=system))

    def complete(
        self, prompt: Sequence[Segment], items: Sequence[Sequence[Frame]], mode: Mode, max_new_tokens: int
    ) -> Generated:
        """Generate greedily from a prompt of any form, with visual items anywhere in its text.

        Args:
            prompt: Segments; each text is encoded by itself, and each `Visual` takes the next item.
            items: Frames of each `Visual`: those of a clip in mode video, else one frame.
            mode: How frames become visual tokens.
            max_new_tokens: Most tokens of the answer; fewer if the model's context ends before.

        Raises:
            ValueError: The number of items differs from that of their places, or `max_new_tokens` is below 1.
            AskError: The prompt alone fills the model's context.
            NotFiniteError: The model's logits are not finite.
        """
        check_whole("max_new_tokens", max_new_tokens, 1)
        state, started_s = self._loaded(), time.monotonic()
        with on_device(self.device):
            chunks, suffix, ids = state.parts.interleaved(prompt, items, mode)
            self._encode_missing([frame for item in items for frame in item], chunks, mode)
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
        """Token ids of the whole prompt of a question, None for each visual item."""
        return self._loaded().parts.ids(clips, ask, checked_mode(clips, mode))
