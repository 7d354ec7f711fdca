"""The circuit breaker: when it opens, whom it lets try, and what closes it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fixtures.scripted_server import ScriptedServer, Talk, healthy, piece
from fixtures.waiting import PATIENCE_S, until

from llava_ov_ros.ask_error import AskError
from llava_ov_ros.remote import RemoteEngine, ServerError
from llava_ov_ros.remote import breaker as module
from llava_ov_ros.remote.breaker import FAILURES, FIRST_PAUSE_S, LONGEST_PAUSE_S, Admission, Breaker

OutcomeOf = Callable[..., Any]
MakeEngine = Callable[..., RemoteEngine]


class Clock:
    """A clock that a test sets, in place of the module `time`."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def opened() -> Breaker:
    """A breaker that has just opened."""
    breaker = Breaker()
    for number in range(FAILURES):
        breaker.admit().failed(f"failure {number}")
    return breaker


def refused(breaker: Breaker) -> str:
    """Why the breaker lets nobody pass."""
    with pytest.raises(ServerError) as raised:
        breaker.admit()
    return str(raised.value)


def test_what_fails_together_counts_once():
    """Some requests about one picture that come at once vLLM answers with an error that passes."""
    breaker = Breaker()
    for admission in [breaker.admit() for _ in range(10 * FAILURES)]:
        admission.failed("no")
    assert not breaker.is_open
    for _ in range(FAILURES - 1):
        breaker.admit().failed("no")
    assert breaker.is_open


def test_silence_until_deadlines_opens_it(server: ScriptedServer, make_engine: MakeEngine, outcome_of: OutcomeOf):
    """Every deadline is shorter than the longest silence, so that no request fails by itself."""
    engine = make_engine(retries=0, silence_s=2.0)
    engine.connect()
    server.otherwise = Talk.wait_for_hang_up
    for _ in range(FAILURES):
        until_s = time.monotonic() + 1.2
        answer = outcome_of(
            engine, should_stop=lambda until_s=until_s: "deadline" if time.monotonic() > until_s else None
        )
        assert answer.finish == "deadline"
    assert "silent" in str(outcome_of(engine))
    assert engine.counters().left_alone == "yes"


def test_a_question_with_choices_may_be_the_trial(
    server: ScriptedServer, make_engine: MakeEngine, outcome_of: OutcomeOf, clock: Clock
):
    engine = make_engine(retries=0)
    engine.connect()
    for _ in range(FAILURES):
        engine._breaker.admit().failed("no")
    clock.now_s += LONGEST_PAUSE_S
    assert outcome_of(engine, choices=("yes", "no")).text in ("yes", "no")
    assert engine.counters().left_alone == "no"


def test_it_opens_after_failures_in_a_row(clock: Clock):
    breaker = Breaker()
    for _ in range(2):
        for _ in range(FAILURES - 1):
            breaker.admit().failed("no")
        breaker.admit().succeeded()
    assert not breaker.is_open
    for _ in range(FAILURES):
        breaker.admit().failed("cable cut")
    assert breaker.is_open
    assert f"failed {FAILURES} times in a row, the last time: cable cut; the next trial is in 1.0 s" in refused(breaker)


def test_after_the_pause_one_request_is_the_trial(clock: Clock):
    breaker = opened()
    clock.now_s += FIRST_PAUSE_S
    trial = breaker.admit()
    assert "as soon as the present trial has ended" in refused(breaker)
    trial.succeeded()
    assert not breaker.is_open
    breaker.admit()
    breaker.admit()


def test_the_pause_doubles_with_each_trial_that_fails(clock: Clock):
    breaker, pauses = opened(), []
    for _ in range(8):
        pause_s = FIRST_PAUSE_S
        while True:
            clock.now_s += 0.5
            try:
                trial = breaker.admit()
                break
            except ServerError:
                pause_s += 0.5
        pauses.append(pause_s - 0.5)
        trial.failed("still")
    assert pauses == [1, 2, 4, 8, *[LONGEST_PAUSE_S] * 4]
    clock.now_s += LONGEST_PAUSE_S
    breaker.admit().succeeded()
    for _ in range(FAILURES):
        breaker.admit().failed("again")
    assert "in 1.0 s" in refused(breaker)


def test_a_trial_that_is_given_up_makes_room_for_another(clock: Clock):
    breaker = opened()
    clock.now_s += FIRST_PAUSE_S
    breaker.admit().given_up()
    breaker.admit().succeeded()
    assert not breaker.is_open


@pytest.mark.parametrize("end", [Admission.given_up, lambda late: late.failed("late"), Admission.begun])
def test_requests_from_before_change_nothing_of_a_trial(clock: Clock, end: Callable[[Admission], None]):
    breaker = Breaker()
    late = [breaker.admit() for _ in range(5)]
    for _ in range(FAILURES):
        breaker.admit().failed("no")
    clock.now_s += FIRST_PAUSE_S
    trial = breaker.admit()
    for one in late:
        end(one)
    assert "present trial" in refused(breaker)
    trial.failed("no")
    # Twice the first pause, however many others failed.
    clock.now_s += 2 * FIRST_PAUSE_S
    breaker.admit()


def test_failures_after_it_has_opened_do_not_lengthen_the_pause(clock: Clock):
    breaker = Breaker()
    several = [breaker.admit() for _ in range(10)]
    for one in several:
        one.failed("no")
        clock.now_s += 0.1
    # It opened with the third, 0.8 s ago.
    clock.now_s += 0.21
    breaker.admit()


def test_a_late_answer_closes_it(clock: Clock):
    breaker = Breaker()
    late = breaker.admit()
    for _ in range(FAILURES):
        breaker.admit().failed("no")
    late.succeeded()
    breaker.admit()


def test_several_threads_get_one_trial(clock: Clock):
    for _ in range(8):
        breaker = opened()
        clock.now_s += FIRST_PAUSE_S
        start = threading.Barrier(8)

        def admitted(breaker: Breaker = breaker, start: threading.Barrier = start) -> int:
            start.wait(PATIENCE_S)
            try:
                breaker.admit()
            except ServerError:
                return 0
            return 1

        with ThreadPoolExecutor(8) as threads:
            assert sum(outcome.result() for outcome in [threads.submit(admitted) for _ in range(8)]) == 1


def busy(talk: Talk) -> None:
    """A server that does not work now."""
    talk.json({"error": {"message": "engine died"}}, "500 Internal Server Error")


def test_a_server_that_fails_is_left_alone_and_asked_again(
    server: ScriptedServer, make_engine: MakeEngine, outcome_of: OutcomeOf, clock: Clock
):
    engine = make_engine(retries=0)
    engine.connect()
    server.otherwise = busy
    before = len(server.talks)
    said = [str(outcome_of(engine)) for _ in range(FAILURES + 2)]
    assert len(server.talks) - before == FAILURES
    assert ["was not asked" in text for text in said] == [False] * FAILURES + [True] * 2
    assert "engine died" in said[-1]
    assert engine.counters().left_alone == "yes"
    server.otherwise = healthy
    clock.now_s += FIRST_PAUSE_S
    assert outcome_of(engine).text == "yes"
    assert engine.counters().left_alone == "no"


def test_the_trial_lets_others_pass_as_soon_as_its_answer_begins(
    server: ScriptedServer, make_engine: MakeEngine, outcome_of: OutcomeOf, clock: Clock
):
    engine = make_engine(retries=0)
    engine.connect()
    server.chats += [busy] * FAILURES
    for _ in range(FAILURES):
        outcome_of(engine)
    clock.now_s += FIRST_PAUSE_S
    heard: list[str] = []
    is_enough = threading.Event()

    def long_answer(talk: Talk) -> None:
        talk.head()
        talk.events(piece("so"))
        talk.wait_for_hang_up()

    server.chats.append(long_answer)
    with ThreadPoolExecutor(1) as threads:
        trial = threads.submit(
            outcome_of, engine, on_text=heard.append, should_stop=lambda: "cancelled" if is_enough.is_set() else None
        )
        until(lambda: heard, "the trial's answer has begun")
        assert outcome_of(engine).text == "yes"
        is_enough.set()
        assert trial.result().finish == "cancelled"


def test_a_cancelled_trial_does_not_leave_the_server_alone_for_ever(
    server: ScriptedServer, make_engine: MakeEngine, outcome_of: OutcomeOf, clock: Clock
):
    engine = make_engine(retries=0)
    engine.connect()
    server.chats += [*[busy] * FAILURES, Talk.wait_for_hang_up]
    for _ in range(FAILURES):
        outcome_of(engine)
    clock.now_s += FIRST_PAUSE_S
    assert outcome_of(engine, should_stop=lambda: None if server.chats else "cancelled").finish == "cancelled"
    # Until the event loop has heard of it.
    until(lambda: not isinstance(outcome_of(engine), ServerError), "the next request is the trial")


@pytest.mark.parametrize("status", ["400 Bad", "401 Unauthorized", "404 Not Found", "422 Unreadable", "429 Too Many"])
def test_refusals_do_not_open_it(server: ScriptedServer, make_engine: MakeEngine, outcome_of: OutcomeOf, status: str):
    engine = make_engine(retries=0)
    engine.connect()
    before = len(server.talks)
    server.chats += [lambda talk: talk.json({"error": {"message": "no"}}, status)] * 6
    for _ in range(6):
        outcome = outcome_of(engine)
        assert isinstance(outcome, AskError | ServerError)
        assert f"the server says {status[:3]}: no" in str(outcome)
    assert len(server.talks) - before == 6
    assert engine.counters().left_alone == "no"


def test_refusals_of_the_probe_do_not_open_it(server: ScriptedServer, make_engine: MakeEngine, outcome_of: OutcomeOf):
    server.otherwise = lambda talk: talk.json({"error": {"message": "no"}}, "401 Unauthorized")
    engine = make_engine(model="m", retries=0)
    for _ in range(6):
        assert "the server says 401" in str(outcome_of(engine))
    assert engine.counters().left_alone == "no"


def test_probes_that_fail_open_it(server: ScriptedServer, make_engine: MakeEngine, outcome_of: OutcomeOf, clock: Clock):
    server.otherwise = lambda talk: talk.json("", "503 Busy")
    engine = make_engine(retries=0)
    for _ in range(FAILURES):
        assert "503" in str(outcome_of(engine))
    before = len(server.talks)
    assert "was not asked" in str(outcome_of(engine))
    with pytest.raises(ServerError, match="was not asked"):
        engine.connect()
    assert len(server.talks) == before
    server.otherwise = healthy
    clock.now_s += FIRST_PAUSE_S
    assert outcome_of(engine).text == "yes"


def test_several_threads_while_the_server_fails_and_comes_back(
    server: ScriptedServer, make_engine: MakeEngine, outcome_of: OutcomeOf, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.02)
    engine = make_engine(retries=1, requests=8)
    engine.connect()
    engine._breaker._pause_s = 0.02
    numbers = iter(range(10**6))

    def moody(talk: Talk) -> None:
        (busy if next(numbers) // 10 % 2 else healthy)(talk)

    server.otherwise = moody
    with ThreadPoolExecutor(8) as threads:
        outcomes = [outcome.result() for outcome in [threads.submit(outcome_of, engine) for _ in range(60)]]
    answered = [outcome for outcome in outcomes if not isinstance(outcome, ServerError)]
    assert {outcome.text for outcome in answered} == {"yes"}
    server.otherwise = healthy
    until(lambda: not isinstance(outcome_of(engine), ServerError), "it works again")
    assert engine.counters().left_alone == "no"
    assert engine._breaker._trial is None
