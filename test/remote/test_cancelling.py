"""Questions that nobody wants any more, engines that are closed, several threads: nothing is left behind."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fixtures.scripted_server import ScriptedServer, Talk, end, healthy, piece, usage
from fixtures.waiting import PATIENCE_S, until

from llava_ov_ros.asking import Ask, Generated
from llava_ov_ros.frames import Clip
from llava_ov_ros.remote import RemoteEngine, ServerError

OutcomeOf = Callable[..., Any]
MakeEngine = Callable[..., RemoteEngine]


def so_far(talk: Talk) -> None:
    """The beginning of an answer, and then nothing."""
    talk.head()
    talk.events(piece("so"), piece(" far"))
    talk.wait_for_hang_up()


def test_cancelling_closes_the_connection(server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf):
    server.chats.append(so_far)
    heard: list[str] = []
    answer = outcome_of(engine, on_text=heard.append, should_stop=lambda: "cancelled" if len(heard) == 2 else None)
    assert (answer.text, answer.finish, answer.remark) == ("so far", "cancelled", "")
    assert server.hung_up.acquire(timeout=PATIENCE_S)


def test_a_machine_that_stands_still_is_named_and_not_the_server(
    server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf
):
    server.chats.append(so_far)
    heard: list[str] = []

    def standing_still(text: str) -> None:
        heard.append(text)
        if len(heard) == 2:
            threading.Event().wait(2.5)

    answer = outcome_of(engine, on_text=standing_still, should_stop=lambda: "deadline" if len(heard) == 2 else None)
    assert (answer.text, answer.finish) == ("so far", "deadline")
    assert "this process did not come to look at the request for " in answer.remark
    assert "the server had sent nothing" not in answer.remark


def test_a_server_that_falls_silent_is_not_waited_for_without_a_deadline(
    server: ScriptedServer, make_engine: MakeEngine, outcome_of: OutcomeOf
):
    engine = make_engine(retries=2, silence_s=2.0)
    engine.connect()
    server.chats.append(so_far)
    heard: list[str] = []
    outcome = outcome_of(engine, on_text=heard.append)
    assert isinstance(outcome, ServerError)
    assert (str(outcome), heard) == ("the server sent nothing for remote_silence_s 2", ["so", " far"])
    assert (engine.counters().server_requests, engine.counters().server_retries) == (1, 0)


def test_the_text_of_a_cancelled_answer_is_what_was_handed_on(
    server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf
):
    def all_at_once(talk: Talk) -> None:
        talk.head()
        talk.events(*(piece(f"{number} ") for number in range(50)))
        talk.wait_for_hang_up()

    server.chats.append(all_at_once)
    heard: list[str] = []

    def slowly(text: str) -> None:
        heard.append(text)
        # The server's other pieces have come meanwhile.
        threading.Event().wait(0.05)

    answer = outcome_of(engine, on_text=slowly, should_stop=lambda: "cancelled" if len(heard) == 3 else None)
    assert answer.text == "".join(heard) == "0 1 2 "
    assert len(answer.probabilities) == len(answer.token_ids) == 3


def test_a_question_that_nobody_wants_is_not_sent(server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf):
    before = len(server.talks)
    answer = outcome_of(engine, should_stop=lambda: "cancelled")
    assert (answer.text, answer.finish, answer.remark) == ("", "cancelled", "")
    assert len(server.talks) == before


def test_one_of_several_questions_is_cancelled(server: ScriptedServer, engine: RemoteEngine, clip: Clip):
    server.otherwise = so_far
    wishes = {0: "cancelled", 1: None, 2: "deadline"}
    heard: list[str] = []

    def wish_of(number: int) -> Callable[[], str | None]:
        return lambda: wishes[number] if len(heard) == 6 else None

    asks = [Ask("?", on_text=heard.append, should_stop=wish_of(number)) for number in range(3)]
    answers = engine.stream([clip], asks)
    found = dict([next(answers), next(answers)])
    assert {number: answer.finish for number, answer in found.items() if isinstance(answer, Generated)} == {
        0: "cancelled",
        2: "deadline",
    }
    wishes[1] = "cancelled"
    assert [number for number, _ in answers] == [1]


def test_closing_the_generator_closes_all_connections(server: ScriptedServer, engine: RemoteEngine, clip: Clip):
    server.chats += [healthy, so_far, so_far]
    answers = engine.stream([clip], [Ask("?")] * 3)
    next(answers)
    until(
        lambda: len([talk for talk in server.chats_seen if not talk.is_over]) == 2, "two questions are with the server"
    )
    answers.close()
    for _ in range(2):
        assert server.hung_up.acquire(timeout=PATIENCE_S)


def test_an_error_of_the_caller_closes_all_connections(server: ScriptedServer, engine: RemoteEngine, clip: Clip):
    server.otherwise = so_far
    failing = Ask("?", on_text=lambda text: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(engine.stream([clip], [Ask("?"), failing]))
    until(lambda: server.still_open == 0, "no connection is left")


def test_waiting_for_the_probe_ends_at_the_deadline(server: ScriptedServer, make_engine: MakeEngine, clip: Clip):
    server.otherwise = Talk.wait_for_hang_up
    engine = make_engine(model="m")
    looks = iter(range(100))
    asks = [
        Ask("?", should_stop=lambda: "deadline" if next(looks) > 20 else None),
        Ask("?", should_stop=lambda: "cancelled"),
    ]
    found = dict(engine.stream([clip], asks))
    assert [found[number].finish for number in range(2)] == ["deadline", "cancelled"]  # type: ignore[union-attr]
    assert "had not told what it can do" in found[0].remark  # type: ignore[union-attr]
    assert len(server.talks) == 1


def test_all_questions_wait_for_one_probe(server: ScriptedServer, make_engine: MakeEngine, outcome_of: OutcomeOf):
    go_on = threading.Event()

    def held(talk: Talk) -> None:
        if talk.method == "GET":
            go_on.wait(PATIENCE_S)
        healthy(talk)

    server.otherwise = held
    engine = make_engine(requests=8)
    with ThreadPoolExecutor(8) as threads:
        outcomes = [threads.submit(outcome_of, engine) for _ in range(8)]
        until(lambda: server.talks, "the probe has begun")
        go_on.set()
        assert [outcome.result().text for outcome in outcomes] == ["yes"] * 8
    assert [talk.path for talk in server.talks].count("/v1/models") == 1


def test_a_probe_that_failed_is_tried_again(server: ScriptedServer, make_engine: MakeEngine, outcome_of: OutcomeOf):
    server.otherwise = lambda talk: talk.json("", "503 Busy")
    engine = make_engine(retries=0)
    assert isinstance(outcome_of(engine), ServerError)
    server.otherwise = healthy
    assert outcome_of(engine).text == "yes"


@pytest.mark.parametrize("most", [1, 2, 5])
def test_no_more_requests_are_with_the_server_than_allowed(
    server: ScriptedServer, make_engine: MakeEngine, clip: Clip, most: int
):
    engine = make_engine(requests=most)
    engine.connect()
    gate = threading.Semaphore(0)

    def held(talk: Talk) -> None:
        assert gate.acquire(timeout=PATIENCE_S)
        healthy(talk)

    server.otherwise = held
    server.most_at_once = 0

    def ask(choices: tuple[str, ...] | None) -> list[Any]:
        return [answer for _, answer in engine.stream([clip], [Ask("?", choices=choices)] * 2)]

    with ThreadPoolExecutor(4) as threads:
        outcomes = [threads.submit(ask, choices) for choices in (None, None, ("yes", "no", "maybe"), None)]
        until(lambda: server.still_open == most, f"{most} requests are with the server")
        for _ in range(12):
            gate.release()
        answers = [answer for outcome in outcomes for answer in outcome.result()]
    assert [answer.text for answer in answers] == ["yes", "yes", "yes", "yes", "no", "no", "yes", "yes"]
    assert server.most_at_once == most


def test_a_question_without_room_ends_at_its_deadline(server: ScriptedServer, make_engine: MakeEngine, clip: Clip):
    engine = make_engine(requests=1)
    engine.connect()
    server.otherwise = so_far
    heard: list[str] = []
    looks = iter(range(1000))
    first = Ask("?", on_text=heard.append, should_stop=lambda: "cancelled" if len(heard) == 3 else None)
    second = Ask("?", should_stop=lambda: "deadline" if heard and next(looks) > 5 else None)
    answers = engine.stream([clip], [first, second])
    number, outcome = next(answers)
    assert (number, outcome.finish, outcome.text) == (1, "deadline", "")  # type: ignore[union-attr]
    assert "because 1 others were (remote_requests)" in outcome.remark  # type: ignore[union-attr]
    heard.append("")
    assert next(answers)[0] == 0


def test_closing_the_engine_ends_every_question_once(server: ScriptedServer, make_engine: MakeEngine, clip: Clip):
    engine = make_engine(requests=2)
    engine.connect()
    server.otherwise = so_far

    def ask() -> list[tuple[int, Any]]:
        return list(engine.stream([clip], [Ask("?"), Ask("?", choices=("yes", "no"))]))

    with ThreadPoolExecutor(3) as threads:
        outcomes = [threads.submit(ask) for _ in range(3)]
        until(lambda: server.still_open == 2, "two questions are with the server")
        engine.close()
        for outcome in outcomes:
            found = dict(outcome.result(timeout=PATIENCE_S))
            assert sorted(found) == [0, 1]
            assert all(isinstance(error, ServerError) and "closed" in str(error) for error in found.values())
    until(lambda: server.still_open == 0, "no connection is left")
    # Nothing but the same is heard of it later.
    assert all(isinstance(error, ServerError) for _, error in ask())


def test_closing_the_engine_ends_a_probe(server: ScriptedServer, make_engine: MakeEngine, outcome_of: OutcomeOf):
    server.otherwise = Talk.wait_for_hang_up
    engine = make_engine(model="m")
    with ThreadPoolExecutor(2) as threads:
        outcome, known = threads.submit(outcome_of, engine), threads.submit(engine.connect)
        until(lambda: server.talks, "the probe has begun")
        engine.close()
        assert isinstance(outcome.result(timeout=PATIENCE_S), ServerError)
        assert isinstance(known.exception(timeout=PATIENCE_S), ServerError)
    with pytest.raises(ServerError, match="closed"):
        engine.connect()


def test_several_threads_close_the_engine(engine: RemoteEngine):
    with ThreadPoolExecutor(8) as threads:
        for closing in [threads.submit(engine.close) for _ in range(8)]:
            closing.result(timeout=PATIENCE_S)
    engine.close()


def test_a_finaliser_on_the_event_loops_thread_closes_the_engine(engine: RemoteEngine):
    async def finalise() -> None:
        engine.close()

    engine._connection.start(finalise()).result(timeout=PATIENCE_S)
    engine._connection._thread.join(PATIENCE_S)
    assert not engine._connection._thread.is_alive()


def descriptors() -> int:
    """How many file descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_nothing_is_left_of_a_closed_engine(
    server: ScriptedServer, make_engine: MakeEngine, outcome_of: OutcomeOf, caplog: pytest.LogCaptureFixture
):
    def work() -> None:
        engine = make_engine(requests=2, retries=0)
        # Some are answered, some fail, some are cut off, some are under way when the engine is closed.
        engine.connect()
        server.chats += [healthy, so_far, lambda talk: talk.send("HTTP/1.1 200"), so_far]
        outcome_of(engine)
        heard: list[str] = []
        outcome_of(engine, on_text=heard.append, should_stop=lambda: "cancelled" if heard else None)
        outcome_of(engine)
        thread = threading.Thread(target=outcome_of, args=(engine,))
        thread.start()
        until(lambda: not server.chats, "the last question is with the server")
        engine.close()
        thread.join()

    work()
    until(lambda: server.still_open == 0, "no connection is left")
    gc.collect()
    threads, files = threading.active_count(), descriptors()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(5):
            work()
        gc.collect()
    until(lambda: threading.active_count() <= threads, "no thread is left")
    until(lambda: descriptors() <= files, "no file descriptor is left")
    assert [record.getMessage() for record in caplog.records if record.name in ("asyncio", "concurrent.futures")] == []


AT_EXIT = """
import sys, threading
import numpy as np
from llava_ov_ros.asking import Ask
from llava_ov_ros.frames import Clip, Frame
from llava_ov_ros.remote import RemoteEngine, RemoteSettings

engine = RemoteEngine(sys.argv[1], RemoteSettings(image_px=16, clip_frames=2))
clip = Clip("front", (Frame("front", 1, "", np.zeros((8, 8, 3), np.uint8)),))
heard = threading.Event()
def ask():
    for outcome in engine.stream([clip], [Ask("?", on_text=lambda text: heard.set())]):
        print("an outcome", outcome)
engine.connect()
threading.Thread(target=ask, daemon=True).start()
assert heard.wait(40)
if sys.argv[2] == "fork":
    import os
    child = os.fork()
    if child == 0:
        answers = list(engine.stream([clip], [Ask("?")]))
        print(type(answers[0][1]).__name__, flush=True)
        engine.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
print("done")
"""


@pytest.mark.parametrize(("way", "said"), [("exit", ["done"]), ("fork", ["ClosedError", "done"])])
def test_an_interpreter_ends_with_a_question_under_way(server: ScriptedServer, way: str, said: list[str]):
    def play(talk: Talk) -> None:
        if "stream" in talk.body and len(server.chats_seen) > 9:
            so_far(talk)
        else:
            healthy(talk)

    server.otherwise = play
    command = [sys.executable, "-W", "always", "-c", AT_EXIT, server.address, way]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE_S * 2)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, said, "")
    assert server.hung_up.acquire(timeout=PATIENCE_S)


def test_end_and_usage_of_a_cut_off_answer_are_no_text(
    server: ScriptedServer, engine: RemoteEngine, outcome_of: OutcomeOf
):
    """An answer that is cut off between its end and the end of the stream."""

    def play(talk: Talk) -> None:
        talk.head()
        talk.events(piece("yes"), end(), usage(1234))
        talk.wait_for_hang_up()

    server.chats.append(play)
    looks = iter(range(1000))
    heard: list[str] = []
    answer = outcome_of(
        engine, on_text=heard.append, should_stop=lambda: "deadline" if heard and next(looks) > 20 else None
    )
    assert (answer.text, answer.finish, answer.prompt_tokens) == ("yes", "deadline", 1234)
    assert len(answer.probabilities) == len(answer.token_ids) == 1
