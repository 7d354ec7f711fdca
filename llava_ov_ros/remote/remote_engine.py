"""The engine that asks a server: the same questions and answers as the local engine's, without torch."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future, wait
from dataclasses import asdict

from ..ask_error import AskError
from ..asking import Ask, Generated, checked_mode
from ..frames import Clip, Frame
from ..modes import Mode
from .address import checked_address, place_of
from .answer_events import Piece
from .breaker import Admission, Breaker
from .chat import items_of, messages
from .connection import Connection
from .open_questions import OpenQuestion, QuestionEvent, cancel, timed, unwanted
from .pictures import MOST_BYTES, Pictures
from .probe import Capabilities, Probe
from .remote_counters import Counts, RemoteCounters
from .remote_settings import RemoteSettings
from .server_answers import ServerAnswers
from .server_error import ClosedError, ProbeError, ServerError

TURN_S = 0.02
"""Longest time between two looks at whether somebody still wants an answer."""
PROBE_S = 60.0
"""Longest time of the probe in seconds."""
INVALID = (400, 413, 422)
"""HTTP statuses of a request that no second attempt makes better, such as one longer than the context."""


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
        self._probe: Future[Capabilities] | None = None
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
        try:
            return self._begun_probe(patient=True).result()
        except CancelledError:
            raise ClosedError from None

    def _begun_probe(self, patient: bool) -> Future[Capabilities]:
        """The one probe that all questions wait for; a new one if the last one failed.

        Args:
            patient: Whether the caller waits for a probe that is under way while the server is left alone.

        Raises:
            ServerError: The server is left alone for now, or the engine has been closed.
        """
        with self._probing:
            last = self._probe
            if last is not None and not last.done() and not patient:
                self._breaker.check()
            if last is None or (last.done() and (last.cancelled() or last.exception() is not None)):
                last = self._probe = self._connection.start(self._probed(self._breaker.admit()))
            return last

    async def _probed(self, admission: Admission) -> Capabilities:
        try:
            async with asyncio.timeout(PROBE_S):
                self._capabilities = found = await Probe(self._connection, self.settings).capabilities()
        except TimeoutError:
            admission.failed(reason := f"the server did not end its probe within {PROBE_S:g} s")
            raise ServerError(reason, is_down=True) from None
        except ServerError as error:
            if error.is_down:
                admission.failed(str(error))
            else:
                admission.succeeded()
            raise
        except ProbeError:
            admission.succeeded()
            raise
        except BaseException:
            admission.given_up()
            raise
        admission.succeeded()
        return found

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
        events: queue.SimpleQueue[QuestionEvent] = queue.SimpleQueue()
        questions = {number: OpenQuestion(ask) for number, ask in enumerate(asks)}
        try:
            yield from self._awaited(questions, clips, started_s)
            for number, question in list(questions.items()):
                yield from unwanted(questions, clips, started_s)
                if number not in questions:
                    continue
                try:
                    self._send(number, question, clips, checked, events)
                except Exception as error:  # noqa: BLE001 - the other questions go on
                    del questions[number]
                    yield number, error
            while questions:
                yield from self._turn(questions, events, clips, started_s)
                yield from unwanted(questions, clips, started_s, self._on_missed)
        finally:
            for question in questions.values():
                cancel(question)

    def _on_missed(self, silent_s: float) -> None:
        """Note a question that was not answered in time; with a short deadline that need not be the server's fault."""
        if silent_s > self.settings.silence_s / 2:
            self._breaker.missed(f"it had been silent for {silent_s:.1f} s when a deadline passed")

    def _awaited(
        self, questions: dict[int, OpenQuestion], clips: Sequence[Clip], started_s: float
    ) -> Iterator[tuple[int, Generated | Exception]]:
        """Wait until it is known what the server can do; each question may end meanwhile."""
        yield from unwanted(questions, clips, started_s)
        failure: Exception | None = None
        try:
            probe = self._begun_probe(patient=False) if questions else None
            for question in questions.values():
                question.waits = "the question was not sent yet, because the server had not told what it can do"
            while questions and probe is not None and not wait((probe,), timeout=TURN_S).done:
                yield from unwanted(questions, clips, started_s)
            if questions and probe is not None:
                failure = ClosedError() if probe.cancelled() else _plain(probe.exception())
        except ServerError as error:
            failure = error
        if failure is not None:
            for number in list(questions):
                del questions[number]
                yield number, failure

    def _turn(
        self,
        questions: dict[int, OpenQuestion],
        events: queue.SimpleQueue[QuestionEvent],
        clips: Sequence[Clip],
        started_s: float,
    ) -> Iterator[tuple[int, Generated | Exception]]:
        """Hand on what happens within TURN_S, one piece of one answer at most."""
        try:
            number, happened, is_end = events.get(timeout=TURN_S)
        except queue.Empty:
            return
        question = questions.get(number)
        if question is None:
            return
        if not is_end:
            assert isinstance(happened, Piece | ServerError)
            question.hear(happened)
            return
        del questions[number]
        if isinstance(happened, Generated):
            self._counts.add("answers", 1)
            yield number, timed(happened, question, clips, started_s)
        else:
            assert isinstance(happened, Exception)
            yield number, happened

    def _send(
        self,
        number: int,
        question: OpenQuestion,
        clips: Sequence[Clip],
        mode: Mode,
        events: queue.SimpleQueue[QuestionEvent],
    ) -> None:
        """Start to ask the server; what happens then goes to `events`, the end exactly once.

        Raises:
            AskError: The server lacks an ability that the question needs, or its texts cannot be sent.
            ServerError: The engine has been closed.
        """
        known, ask = self._capabilities, question.ask
        assert known is not None, "questions are sent when it is known what the server can do"
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

        def say(happened: Piece | ServerError) -> None:
            events.put(QuestionEvent(number, happened))

        async def asked() -> Generated:
            if ask.choices is not None:
                outcome = await self._answers.choose(ask, body, say)
            else:
                outcome = await self._answers.generate(ask, body, known, say)
            if outcome.prompt_tokens < least:
                raise ServerError(
                    f"the server looked at fewer frames than were sent: its prompt has {outcome.prompt_tokens} "
                    f"tokens, and the frames alone have {least}"
                )
            return outcome

        def ended(future: Future[Generated]) -> None:
            error = ClosedError() if future.cancelled() else _plain(future.exception())
            events.put(QuestionEvent(number, future.result() if error is None else error, is_end=True))

        question.waits = (
            f"the question was not sent yet, because {self.settings.requests} others were (remote_requests)"
        )
        question.future = self._connection.start(asked())
        question.future.add_done_callback(ended)

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

    def may_hold(self) -> dict[str, int]:
        """Most bytes that the pictures for the server may take on this machine."""
        return {"pictures for a server": MOST_BYTES}

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


def _plain(error: BaseException | None) -> Exception | None:
    """The first single error of a group; a refusal of the question as such becomes an AskError."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, ServerError) and error.status in INVALID:
        return AskError(str(error))
    return error if error is None or isinstance(error, Exception) else RuntimeError(repr(error))
