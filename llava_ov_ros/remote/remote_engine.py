"""The engine that asks a server: the same questions and answers as the local engine's, without torch."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

from ..ask_error import AskError
from ..asking import Ask, Finish, Generated, checked_mode, stop_wish
from ..frames import Clip, Frame
from ..modes import Mode
from .address import checked_address, place_of
from .answer_events import GrowingAnswer
from .breaker import Breaker
from .chat import items_of, messages
from .connection import Connection
from .pictures import Pictures
from .probe import Capabilities, Probe
from .remote_counters import Counts, RemoteCounters
from .remote_settings import RemoteSettings
from .server_answers import ServerAnswers
from .server_error import ServerError

TURN_S = 0.02
"""Longest time between two looks at whether somebody still wants an answer."""
PROBE_S = 60.0
"""Longest time of the probe in seconds."""
SILENT_S = 1.0
"""A remark tells that the server had been silent for longer than this when an answer was cut off."""
INVALID = (400, 413, 422)
"""HTTP statuses of a request that no second attempt makes better, such as one longer than the context."""


class _Event(NamedTuple):
    """Something that happened to a question: a piece of text, or its end."""

    number: int
    piece: str = ""
    outcome: Generated | Exception | None = None


@dataclass
class _Job:
    """A question that is with the server."""

    ask: Ask
    growing: GrowingAnswer = field(default_factory=GrowingAnswer)
    heard_s: float = field(default_factory=time.monotonic)
    first_s: float | None = None
    future: Future[None] | None = None


class RemoteEngine:
    """Answers questions about clips by asking a server. Several threads may use it at once."""

    def __init__(self, address: str, settings: RemoteSettings | None = None) -> None:
        """Make the engine; nothing is sent until `connect`, or the first question.

        Args:
            address: Base URL of the server, such as http://host:8000/v1.
            settings: How the server is asked.

        Raises:
            AddressError: The address, or a file of keys or certificates, cannot be used.
        """
        self.settings = settings or RemoteSettings()
        self.address = checked_address(address)
        self._connection = Connection(self.address, self.settings)
        self._pictures = Pictures(self.settings)
        self._breaker = Breaker()
        self._counts = Counts()
        room = asyncio.Semaphore(self.settings.requests)
        self._answers = ServerAnswers(self._connection, self._breaker, self._counts, room, self.settings.retries)
        self._probing = threading.Lock()
        self._capabilities: Capabilities | None = None

    @property
    def name(self) -> str:
        """The model, the server's kind and version, and its place, such as `rooms on vllm 0.32.0 at host:8000`."""
        known = self._capabilities
        model = self.settings.model if known is None else known.model
        kind = known.server if known is not None and known.server else "a server"
        return f"{model or 'a model'} on {kind} at {place_of(self.address)}"

    @property
    def at_once(self) -> int:
        """How many threads may call `stream` at the same time."""
        return self.settings.requests

    @property
    def capabilities(self) -> Capabilities | None:
        """What the server can do; None until it has been asked."""
        return self._capabilities

    def connect(self) -> Capabilities:
        """Ask the server what it can do, unless that is known.

        Raises:
            ProbeError: The server cannot be used.
            ServerError: The server does not answer.
        """
        with self._probing:
            if self._capabilities is None:
                self._breaker.admit()
                try:
                    found = self._connection.start(self._probed()).result()
                except TimeoutError:
                    self._breaker.failed(reason := f"the server did not end its probe within {PROBE_S:g} s")
                    raise ServerError(reason, is_down=True) from None
                except ServerError as error:
                    self._breaker.failed(str(error))
                    raise
                except BaseException:
                    self._breaker.given_up()
                    raise
                self._breaker.succeeded()
                self._capabilities = found
            return self._capabilities

    async def _probed(self) -> Capabilities:
        async with asyncio.timeout(PROBE_S):
            return await Probe(self._connection, self.settings).capabilities()

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
        """Build a question for `stream`; the arguments are attributes of `Ask`."""
        return Ask(
            question,
            max_new_tokens,
            on_text,
            should_stop,
            history=tuple(history),
            choices=None if choices is None else tuple(choices),
            before=tuple(before),
            grammar=grammar,
        )

    def stream(
        self, clips: Sequence[Clip], asks: Sequence[Ask], *, mode: str = "video"
    ) -> Iterator[tuple[int, Generated | Exception]]:
        """Answer several questions about the same clips, and yield each answer as soon as it ends.

        Yields:
            The question's index in `asks`, and its answer or the error that prevented it. AskError: the server lacks an
            ability that the question needs, or refuses the question. ServerError: the server did not answer.

        Raises:
            ValueError: The mode is unknown, or there is no clip.
            AskError: Mode image with several cameras.
        """
        checked = checked_mode(clips, mode)
        started_s = time.monotonic()
        events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        jobs: dict[int, _Job] = {}
        try:
            for number, ask in enumerate(asks):
                if (wish := stop_wish(ask)) is not None:
                    yield number, _unfinished(_Job(ask), clips, wish, started_s)
                    continue
                try:
                    work = self._prepared(number, ask, clips, checked, events)
                except (AskError, ServerError, ValueError) as error:
                    yield number, error
                    continue
                job = jobs[number] = _Job(ask)
                job.future = self._connection.start(work(job))
            while jobs:
                yield from self._turn(jobs, events, clips, started_s)
        finally:
            for job in jobs.values():
                _cancel(job)

    def _turn(
        self, jobs: dict[int, _Job], events: queue.SimpleQueue[_Event], clips: Sequence[Clip], started_s: float
    ) -> Iterator[tuple[int, Generated | Exception]]:
        """Hand on what has happened within TURN_S, and end what nobody wants any more."""
        try:
            event = events.get(timeout=TURN_S)
            job = jobs.get(event.number)
            if job is not None and event.outcome is not None:
                del jobs[event.number]
                if isinstance(event.outcome, Generated):
                    self._counts.add("answers", 1)
                    yield event.number, _timed(event.outcome, job, clips, started_s)
                else:
                    yield event.number, event.outcome
            elif job is not None:
                job.heard_s = time.monotonic()
                job.first_s = job.first_s or job.heard_s
                job.ask.on_text(event.piece)
        except queue.Empty:
            pass
        for number, job in list(jobs.items()):
            if (wish := stop_wish(job.ask)) is not None:
                _cancel(job)
                del jobs[number]
                yield number, _unfinished(job, clips, wish, started_s)

    def _prepared(
        self,
        number: int,
        ask: Ask,
        clips: Sequence[Clip],
        mode: Mode,
        events: queue.SimpleQueue[_Event],
    ) -> Callable[[_Job], Coroutine[Any, Any, None]]:
        """Build the body of a question, and return the coroutine function that asks.

        Raises:
            AskError: The server lacks an ability that the question needs, or its texts cannot be sent.
            ServerError: It is not known what the server can do, since it does not answer.
        """
        known = self.connect()
        if ask.hook is not None or ask.sampling.temperature > 0:
            raise AskError("a server takes no hooks and no temperature: load the model on this machine for that")
        for need in _needs(ask, clips, mode):
            if need in known.lacking:
                raise AskError(f"{self.name} lacks {need}: {known.lacking[need]}")
        body = {
            "model": known.model,
            "messages": messages(clips, ask, mode, self._pictures),
            "temperature": 0,
        }
        # A server may look at fewer frames than it was sent, without a word.
        least = known.frame_tokens * sum(map(len, items_of(clips, ask, mode))) if mode == "video" else 0

        async def asked(job: _Job) -> None:
            outcome: Generated | Exception
            try:
                if ask.choices is not None:
                    outcome = await self._answers.choose(ask, body)
                else:
                    outcome = await self._answers.generate(
                        ask, body, known, job.growing, lambda piece: events.put(_Event(number, piece))
                    )
                if outcome.prompt_tokens < least:
                    outcome = ServerError(
                        f"the server looked at fewer frames than were sent: its prompt has {outcome.prompt_tokens} "
                        f"tokens, and the frames alone have {least}"
                    )
            except* Exception as errors:  # noqa: BLE001 - whoever waits for the outcome must get one
                outcome = _first(errors)
            events.put(_Event(number, outcome=outcome))

        return asked

    def prepare(self, clips: Sequence[Clip], *, mode: str = "video") -> bool:
        """Encode the picture of the next frame that the next question will send; return False if there is none."""
        for clip in clips:
            frame = self._pictures.missing(clip.frames[-1:] if mode == "image" else clip.frames, mode != "video")
            if frame is not None:
                self._pictures.of(frame, mode != "video")
                return True
        return False

    def memory_bytes(self) -> int:
        """Bytes in use on this machine for the model: none."""
        return 0

    def planned_bytes(self) -> int:
        """Largest size in bytes that the model may reach on this machine: none."""
        return 0

    def counters(self) -> RemoteCounters:
        """The counts of the work so far, and what is known of the server."""
        known = self._capabilities
        return RemoteCounters(
            server=self.address,
            capabilities="" if known is None else str(known),
            lacking="" if known is None else "; ".join(f"{name}: {why}" for name, why in known.lacking.items()),
            server_requests=self._counts["requests"],
            server_retries=self._counts["retries"],
            server_failures=self._counts["failures"],
            server_answers=self._counts["answers"],
            bytes_sent=self._connection.bytes_sent,
            pictures_encoded=self._pictures.encoded,
            pictures_reused=self._pictures.reused,
            left_alone="yes" if self._breaker.is_open else "no",
        )

    def counted(self) -> dict[str, int | str]:
        """The counts by name."""
        return asdict(self.counters())

    def close(self) -> None:
        """End all requests; the engine answers no more questions."""
        self._connection.close()


def _needs(ask: Ask, clips: Sequence[Clip], mode: Mode) -> list[str]:
    """Names of the abilities that a question needs of the server."""
    several = mode == "multi_image" and sum(map(len, items_of(clips, ask, mode))) > 1
    pictures = mode == "video" and any(isinstance(part, Frame) for part in ask.before)
    needs = ["clips" if mode == "video" else "picture"]
    needs += ["several_pictures"] if several or pictures else []
    needs += ["grammars"] if ask.grammar is not None else []
    return needs + (["choices"] if ask.choices is not None else [])


def _first(errors: BaseExceptionGroup[Exception]) -> Exception:
    """The first single error of a group; a refusal of the question as such becomes an AskError."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Exception)
    if isinstance(error, ServerError) and error.status in INVALID:
        return AskError(str(error))
    return error


def _cancel(job: _Job) -> None:
    if job.future is not None:
        job.future.cancel()


def _timed(outcome: Generated, job: _Job, clips: Sequence[Clip], started_s: float) -> Generated:
    """An answer with its clips and times, as seen from the call of `stream`."""
    total_s = time.monotonic() - started_s
    first_s = total_s if job.first_s is None else job.first_s - started_s
    return replace(outcome, clips=tuple(clips), time_to_first_token_s=first_s, total_s=total_s)


def _unfinished(job: _Job, clips: Sequence[Clip], wish: Finish, started_s: float) -> Generated:
    """The answer as far as it had come when nobody wanted it any more."""
    growing, silent_s = job.growing, time.monotonic() - job.heard_s
    generated = Generated(
        text=growing.text,
        token_ids=growing.token_ids,
        probabilities=growing.probabilities,
        finish=wish,
        prompt_tokens=growing.prompt_tokens,
        time_to_first_token_s=0.0,
        total_s=0.0,
        remark=f"the server had sent nothing for {silent_s:.1f} s" if silent_s > SILENT_S else "",
    )
    return _timed(generated, job, clips, started_s)
