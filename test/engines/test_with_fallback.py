"""Which of two models answers, and that every answer says so."""

import threading

import pytest

from llava_ov_ros.ask_error import AskError
from llava_ov_ros.asking import Ask
from llava_ov_ros.checkpoints import CheckpointError
from llava_ov_ros.engines import open_engine
from llava_ov_ros.engines.with_fallback import EngineWithFallback
from llava_ov_ros.onevision import load_engine
from llava_ov_ros.remote import ProbeError, RemoteSettings, ServerError

DOWN = ServerError("no connection: refused", again=True, is_down=True)


def outcomes(engine, clip, *asks):
    """The outcomes by number of the question; each question must end exactly once."""
    listed = list(engine.stream([clip], asks, mode="video"))
    assert sorted(number for number, _ in listed) == list(range(len(asks)))
    return dict(listed)


def test_the_server_answers_while_it_can(engine, clip):
    other = engine("local", lambda ask: "from here")
    both = EngineWithFallback(engine("far", lambda ask: "from there"), other)
    answer = outcomes(both, clip, Ask("What?"))[0]
    assert (answer.text, answer.model, answer.remark, other.asked) == ("from there", "far", "", [])
    assert both.counted()["fallback_answers"] == 0


def test_the_other_model_answers_only_what_the_server_did_not(engine, clip):
    server = engine("far", lambda ask: DOWN if "lost" in ask.question else "from there")
    other = engine("local", lambda ask: "from here")
    both = EngineWithFallback(server, other)
    found = outcomes(both, clip, Ask("lost 1"), Ask("kept"), Ask("lost 2"))
    assert [(found[n].text, found[n].model) for n in range(3)] == [
        ("from here", "local"),
        ("from there", "far"),
        ("from here", "local"),
    ]
    assert other.asked == ["lost 1", "lost 2"]
    assert found[0].remark == "answered by local, because far did not answer: no connection: refused"
    assert both.counted() == {"far_asked": 3, "local_asked": 2, "fallback_model": "local", "fallback_answers": 2}


def test_the_other_model_answers_while_the_server_has_another_one(engine, clip):
    """The node was configured without the server, and what answers at its address now is not the model."""
    other = engine("local", lambda ask: "from here")
    both = EngineWithFallback(engine("far", lambda ask: ProbeError("the server has 'b'")), other)
    assert outcomes(both, clip, Ask("What?"))[0].model == "local"


def test_a_question_that_the_server_refuses_is_not_asked_again(engine, clip):
    refusal = AskError("the prompt is too long")
    other = engine("local", lambda ask: "from here")
    both = EngineWithFallback(engine("far", lambda ask: refusal), other)
    assert outcomes(both, clip, Ask("What?"))[0] is refusal
    assert other.asked == []


def test_text_that_was_heard_is_not_followed_by_another_answer(engine, clip):
    def breaks_off(ask):
        ask.on_text("the red ")
        return DOWN

    heard = []
    other = engine("local", lambda ask: "from here")
    both = EngineWithFallback(engine("far", breaks_off), other)
    assert outcomes(both, clip, Ask("What?", on_text=heard.append))[0] is DOWN
    assert (heard, other.asked) == (["the red "], [])


def test_who_waits_for_the_other_model_is_told_at_the_deadline_why(engine, clip):
    busy, release = threading.Event(), threading.Event()

    def slow(ask):
        busy.set()
        assert release.wait(60)
        return "from here"

    both = EngineWithFallback(engine("far", lambda ask: DOWN), engine("local", slow))
    first = threading.Thread(target=outcomes, args=(both, clip, Ask("first")))
    first.start()
    assert busy.wait(60)
    # The other model is taken, and this question's time is over.
    for wish in ("deadline", "cancelled"):
        told = outcomes(both, clip, Ask("second", should_stop=lambda wish=wish: wish))[0]
        assert (told.finish, told.text) == (wish, "")
        assert told.remark == "far did not answer: no connection: refused"
    release.set()
    first.join(60)


def test_a_cut_off_without_a_word_is_no_answer_of_the_other_model(engine, given, clip):
    other = engine("local", lambda ask: given("", Ask("", should_stop=lambda: "deadline")))
    both = EngineWithFallback(engine("far", lambda ask: DOWN), other)
    found = outcomes(both, clip, Ask("What?"))[0]
    assert (found.finish, found.remark) == ("deadline", "far did not answer: no connection: refused")
    assert both.counted()["fallback_answers"] == 0


def test_a_server_that_is_not_there_yet_is_no_fault_with_a_fallback(rooms, clip):
    # Nobody listens on port 9 (discard) of this machine.
    remote = RemoteSettings(connect_s=1.0, retries=0)

    def load(model):
        return load_engine(str(rooms), device="cpu", dtype="float32")

    alone = load("rooms").answer([clip], "What is on the table?")
    both = open_engine("http://127.0.0.1:9/v1", load, remote, fallback="rooms")
    try:
        found = outcomes(both, clip, Ask("What is on the table?"))[0]
        assert (found.text, found.model, found.probabilities) == (alone.text, "rooms", alone.probabilities)
    finally:
        both.close()
    with pytest.raises(CheckpointError, match=r"127\.0\.0\.1:9"):
        open_engine("http://127.0.0.1:9/v1", load, remote)


def test_a_fallback_of_a_checkpoint_is_refused():
    with pytest.raises(CheckpointError, match="no address of a server"):
        open_engine("rooms", lambda model: pytest.fail("nothing is loaded"), RemoteSettings(), fallback="rooms")
