"""From queries to results: every way a question ends, alone and together with others; only the model is a stand-in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from llava_ov_ros.ask_error import AskError
from llava_ov_ros.frames import Clip, Frame
from llava_ov_ros.no_op import no_op
from llava_ov_ros.onevision import Generated
from llava_ov_ros.questions import Query, RefusedError, Request, Status, answer_queries, answer_together

S = 1_000_000_000
PICTURE = np.zeros((4, 6, 3), np.uint8)
CLIPS = (Clip("front", tuple(Frame("front", i * S, "optical", PICTURE) for i in range(4))),)


class Telling:
    """In the model's place: says words one by one and stops when it is told to."""

    name = "telling"

    def __init__(self, words=("a", "red", "cup"), fails_after=None, outcome=None):
        self.words, self.fails_after, self.outcome = words, fails_after, outcome
        self.asked = []

    def stream(self, clips, asks, *, mode):
        """The words for each question, one after the other."""
        self.asked.append(([ask.question for ask in asks], mode, clips))
        for number, ask in enumerate(asks):
            yield number, self.outcome or self._tell(ask)

    def _tell(self, ask):
        finish, said = "stop", []
        for count, word in enumerate(self.words):
            if count == self.fails_after:
                raise RuntimeError("not a number")
            if len(said) == ask.max_new_tokens:
                finish = "length"
                break
            finish = ask.should_stop() or "stop"
            if finish != "stop":
                break
            said.append(word)
            ask.on_text(word)
        probabilities = (0.5,) * len(said)
        return Generated("".join(said), tuple(range(len(said))), probabilities, finish, 10, 0.1, 0.3)


def query(question="?", **fields):
    return Query(question, ("front",), **fields)


def cut(asked):
    return CLIPS


def answer(query, engine, cut, on_start=no_op, on_text=no_op):
    """The result of one request."""
    results = []
    answer_together([Request(query, results.append, on_start, on_text)], engine, cut)
    (result,) = results
    return result


STOPS = {
    "cancelled": lambda request: request.cancelled.set(),
    "deadline": lambda request: setattr(request, "arrived_s", request.arrived_s - 1e6),
}


def request_stopped_after(query, text, reason, on_result):
    """A request that is cancelled, or whose deadline passes, once so much of its answer is there."""

    def heard(piece):
        if request.text == text:
            STOPS[reason](request)

    request = Request(query, on_result, on_text=heard)
    if not text:
        STOPS[reason](request)
    return request


def test_an_answer():
    started, pieces = [], []
    engine = Telling()
    result = answer(query(mode="multi_image"), engine, cut, on_start=started.append, on_text=pieces.append)
    assert (result.status, result.message, result.text) == (Status.OK, "", "aredcup")
    assert pieces == ["a", "red", "cup"]
    assert started == [CLIPS]
    assert result.clips == CLIPS
    assert result.confidence == pytest.approx(0.5)
    assert (result.new_tokens, result.time_to_first_token_s) == (3, 0.1)
    assert result.tokens_per_s == pytest.approx(2 / 0.2)
    assert result.total_s > 0
    assert engine.asked == [(["?"], "multi_image", CLIPS)]


def test_a_longest_answer_is_ok_with_a_remark():
    result = answer(query(max_new_tokens=2), Telling(), cut)
    assert (result.status, result.text, result.message) == (Status.OK, "ared", "cut off at max_new_tokens 2")


def test_an_answer_from_pictures_that_show_nothing_says_so():
    dark = replace(CLIPS[0].frames[3], blank="one grey level (1): its values 29315 to 30415 are shown in 10000..300")
    seen = (Clip("front", (*CLIPS[0].frames[:3], dark)),)
    told = (
        "camera 'front': 1 of 4 frames used show next to nothing: the one stamped 3.000 s has one grey level (1): its "
        "values 29315 to 30415 are shown in 10000..300; look at value_range, the exposure and the lens (a cap on it?)"
    )
    result = answer(query(), Telling(), lambda query: seen)
    assert (result.status, result.text, result.message) == (Status.OK, "aredcup", told)
    result = answer(query(max_new_tokens=2), Telling(), lambda query: seen)
    assert result.message == f"cut off at max_new_tokens 2; {told}"
    # As a hint has it: the picture stands before the clips.
    result = answer(query(before=("A step:", dark)), Telling(), cut)
    assert "1 of 5 frames used show next to nothing" in result.message


@pytest.mark.parametrize(
    ("reason", "status", "message"),
    [
        ("cancelled", Status.CANCELLED, "cancelled; the text is what there was"),
        ("deadline", Status.DEADLINE, "cut off at deadline_s 7.5; the text is what there was"),
    ],
)
def test_an_answer_that_is_stopped_keeps_what_there_was(reason, status, message):
    results = []
    answer_together([request_stopped_after(query(deadline_s=7.5), "ared", reason, results.append)], Telling(), cut)
    (result,) = results
    assert (result.status, result.message, result.text) == (status, message, "ared")
    assert result.clips == CLIPS


@pytest.mark.parametrize(("reason", "status"), [("cancelled", Status.CANCELLED), ("deadline", Status.DEADLINE)])
def test_what_is_over_before_its_turn_never_reaches_the_model(reason, status):
    engine, started, results = Telling(), [], []
    request = Request(query(deadline_s=7.5), results.append, on_start=started.append)
    STOPS[reason](request)
    answer_together([request], engine, cut)
    (result,) = results
    assert (result.status, result.text, result.clips) == (status, "", ())
    assert "while waiting in the queue" in result.message
    assert engine.asked == started == []


def test_a_refusal_is_passed_on():
    def refuse(asked):
        raise RefusedError(Status.STALE, "camera 'front' is silent")

    started = []
    result = answer(query(), Telling(), refuse, on_start=started.append)
    assert (result.status, result.message) == (Status.STALE, "camera 'front' is silent")
    assert started == []


def test_an_error_of_the_model_says_what_and_where_and_keeps_the_text():
    result = answer(query(), Telling(fails_after=2), cut)
    assert (result.status, result.text) == (Status.MODEL_ERROR, "ared")
    assert result.message.startswith("RuntimeError: not a number (_tell, line ")
    assert result.clips == CLIPS
    assert result.confidence == 0


def test_an_error_that_the_model_hands_over_is_one_too():
    result = answer(query(), Telling(outcome=MemoryError("one frame is too much")), cut)
    assert (result.status, result.message) == (Status.MODEL_ERROR, "MemoryError: one frame is too much")


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_what_is_to_end_the_thread_is_not_held_up(error):
    def leave(asked):
        raise error("gone")

    with pytest.raises(error):
        answer(query(), Telling(), leave)


def test_where_memory_ran_out_the_result_names_the_frames_that_were_used():
    used = (Clip("front", CLIPS[0].frames[2:]),)
    generated = Generated(
        "red", (1,), (0.5,), "length", 10, 0.1, 0.2, clips=used, remark="memory ran out: answered from the newest 2"
    )
    result = answer(query(max_new_tokens=1), Telling(outcome=generated), cut)
    assert result.clips == used
    assert result.message == "cut off at max_new_tokens 1; memory ran out: answered from the newest 2"


def test_questions_together_have_one_clip_and_a_result_each():
    cuts, results = [], {}

    def cut_once(asked):
        cuts.append(asked.question)
        return CLIPS

    def take(result):
        assert results.setdefault(result.query.question, result) is result, "it ends once"

    requests = [
        Request(query("a"), take),
        request_stopped_after(query("b"), "", "cancelled", take),
        request_stopped_after(query("c", deadline_s=7.5), "a", "deadline", take),
        Request(query("d"), take),
    ]
    engine = Telling()
    answer_together(requests, engine, cut_once)
    assert cuts == ["a"]
    assert [questions for questions, _, _ in engine.asked] == [["a", "c", "d"]]
    assert {name: (result.status, result.text) for name, result in results.items()} == {
        "a": (Status.OK, "aredcup"),
        "b": (Status.CANCELLED, ""),
        "c": (Status.DEADLINE, "a"),
        "d": (Status.OK, "aredcup"),
    }
    assert {result.query.question for result in results.values()} == set("abcd")


def test_of_questions_together_those_that_were_answered_keep_their_answers_when_the_model_fails():
    class FailsAtTheSecond(Telling):
        def _tell(self, how):
            self.fails_after = 1 if self.fails_after == 99 else 99
            return super()._tell(how)

    ends = []
    requests = [Request(query(name), ends.append) for name in "abc"]
    answer_together(requests, FailsAtTheSecond(), cut)
    assert [(result.query.question, result.status, result.text) for result in ends] == [
        ("a", Status.OK, "aredcup"),
        ("b", Status.MODEL_ERROR, "a"),
        ("c", Status.MODEL_ERROR, ""),
    ]


def test_earlier_turns_go_to_the_model_with_the_question():
    given = []

    class Noting(Telling):
        def stream(self, clips, asks, *, mode):
            """Notes what comes with the questions."""
            given.extend(ask.history for ask in asks)
            yield from super().stream(clips, asks, mode=mode)

    turns = (("Where is it?", "on the desk"),)
    answer(query(), Noting(), cut)
    answer(query(history=turns), Noting(), cut)
    assert given == [(), turns]


def test_a_question_that_no_model_could_take_is_the_askers_mistake():
    result = answer(query(), Telling(outcome=AskError("the prompt has 9 tokens: shorten the question")), cut)
    assert (result.status, result.clips) == (Status.INVALID, ())
    assert result.message == "the prompt has 9 tokens: shorten the question"


def test_a_question_that_cannot_be_put_does_not_end_those_beside_it():
    def put(name):
        """A question without a mark has a blank choice."""
        return Request(query(name, choices=None if "?" in name else ("",)), ends.append)

    ends = []
    answer_together([put(name) for name in ("a?", "b", "c?")], Telling(), cut)
    assert {result.query.question: (result.status, result.text) for result in ends} == {
        "a?": (Status.OK, "aredcup"),
        "b": (Status.MODEL_ERROR, ""),
        "c?": (Status.OK, "aredcup"),
    }
    answer_together([put("d")], Telling(), cut)
    assert ends[-1].status is Status.MODEL_ERROR


def test_results_of_queries_come_in_their_order_whichever_ends_first():
    class Backwards(Telling):
        def stream(self, clips, asks, *, mode):
            """The last question first."""
            return reversed(list(super().stream(clips, asks, mode=mode)))

    results = answer_queries([query(name) for name in "abc"], Backwards(), cut)
    assert [result.query.question for result in results] == ["a", "b", "c"]
    assert all(result.total_s > 0 for result in results)
