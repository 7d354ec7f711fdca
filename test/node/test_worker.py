"""The worker alone: every request ends exactly once, in its turn, whoever submits, cancels, expires, stops or dies."""

from __future__ import annotations

import random
import sys
import threading

import pytest

from llava_ov_ros.node.worker import Worker
from llava_ov_ros.questions import Query, Request, Result, Status

LONG_S = 30


class Ends:
    """Makes requests, and notes how they end."""

    def __init__(self):
        self.by_id = {}
        self._changed = threading.Condition()

    def request(self, name, deadline_s=1000.0, mode="video"):
        """A request whose ends are noted under its name."""
        with self._changed:
            self.by_id[name] = []

        def ended(result):
            with self._changed:
                self.by_id[name].append(result)
                self._changed.notify_all()

        return Request(Query("?", ("front",), mode, request_id=name, deadline_s=deadline_s), ended)

    def wait(self, *names):
        """Results of requests, once each has ended."""
        with self._changed:
            assert self._changed.wait_for(lambda: all(self.by_id[name] for name in names), LONG_S), self.by_id
            return [self.by_id[name][0] for name in names]

    def statuses(self):
        """The status of every request, which has ended once."""
        with self._changed:
            assert self._changed.wait_for(lambda: all(self.by_id.values()), LONG_S)
            assert {len(ends) for ends in self.by_id.values()} == {1}
            return {name: ends[0].status for name, ends in self.by_id.items()}


class Model:
    """Answers when it is let; until then it looks at `should_stop` like the engine."""

    def __init__(self):
        self.at_work = threading.Semaphore(0)
        self.free = threading.Event()
        self.answered = []
        self.batches = []

    def answer(self, requests, end):
        """Ends each request that it is given."""
        self.batches.append([request.query.request_id for request in requests])
        self.at_work.release()
        for request in requests:
            end(request, self._result(request))

    def _result(self, request):
        while not self.free.wait(0.001):
            if request.should_stop():
                return Result(request.query, Status.CANCELLED, "cut off")
        self.answered.append(request.query.request_id)
        return Result(request.query, Status.OK)


@pytest.fixture
def model():
    return Model()


@pytest.fixture
def worker(model):
    one = Worker(model.answer, queue_size=3)
    yield one
    assert one.stop("end of the test")


def test_requests_are_answered_in_their_order(worker, model):
    ends = Ends()
    worker.submit(ends.request("a"), "reject")
    assert model.at_work.acquire(timeout=LONG_S)
    assert (worker.busy, worker.waiting) == (True, 0)
    for name in "bcd":
        worker.submit(ends.request(name), "reject")
    assert worker.waiting == 3
    model.free.set()
    assert {result.status for result in ends.wait(*"abcd")} == {Status.OK}
    assert model.answered == list("abcd")
    assert worker.waiting == 0


def test_waiting_requests_about_the_same_clips_are_answered_together(model):
    worker, ends = Worker(model.answer, queue_size=20, batch_size=3), Ends()
    worker.submit(ends.request("first"), "reject")
    assert model.at_work.acquire(timeout=LONG_S)
    for name, mode in (("a", "video"), ("b", "image"), ("c", "video"), ("d", "video"), ("e", "video"), ("f", "image")):
        worker.submit(ends.request(name, mode=mode), "reject")
    model.free.set()
    assert set(ends.statuses().values()) == {Status.OK}
    assert model.batches == [["first"], ["a", "c", "d"], ["b", "f"], ["e"]]
    assert worker.stop("end of the test")


def test_a_model_that_dies_in_a_batch_leaves_nobody_waiting():
    def answer(requests, end):
        end(requests[0], Result(requests[0].query, Status.OK))
        raise SystemExit("gone")

    began, go_on, ends = threading.Event(), threading.Event(), Ends()

    def wait_first(requests, end):
        began.set()
        assert go_on.wait(LONG_S)
        answer(requests, end)

    worker = Worker(wait_first, queue_size=9, batch_size=9)
    for name in "abc":
        worker.submit(ends.request(name), "reject")
    assert began.wait(LONG_S)
    go_on.set()
    statuses = ends.statuses()
    assert statuses.pop("a") == Status.OK
    assert set(statuses.values()) == {Status.WORKER_DEAD}
    assert worker.stop("end of the test")


def test_idle_work_goes_on_in_pieces_until_a_request_comes(model):
    pieces, asked = threading.Semaphore(0), threading.Event()

    def idle():
        pieces.release()
        return not asked.is_set()

    worker, ends = Worker(model.answer, queue_size=3, idle=idle), Ends()
    for _ in range(50):
        assert pieces.acquire(timeout=LONG_S)
    model.free.set()
    worker.submit(ends.request("a"), "reject")
    assert ends.wait("a")[0].status == Status.OK
    asked.set()
    assert worker.stop("end of the test")


def test_a_nudge_wakes_the_idle_worker(model):
    calls, called = [], threading.Condition()

    def idle():
        with called:
            calls.append(1)
            called.notify_all()
        return False

    worker = Worker(model.answer, queue_size=3, idle=idle)
    for number in range(1, 30):
        worker.nudge()
        with called:
            assert called.wait_for(lambda number=number: len(calls) >= number, LONG_S)
    assert worker.stop("end of the test")


def test_a_full_queue_rejects_the_new_or_drops_the_oldest(worker, model):
    ends = Ends()
    worker.submit(ends.request("a"), "reject")
    assert model.at_work.acquire(timeout=LONG_S)
    for name in "bcd":
        worker.submit(ends.request(name), "reject")
    worker.submit(ends.request("e"), "reject")
    worker.submit(ends.request("f"), "drop_oldest")
    model.free.set()
    expected = dict.fromkeys("acdf", Status.OK) | {"b": Status.DROPPED, "e": Status.QUEUE_FULL}
    assert ends.statuses() == expected


def test_cancel_and_expire_end_a_waiting_request_at_once(worker, model):
    ends = Ends()
    worker.submit(ends.request("a"), "reject")
    assert model.at_work.acquire(timeout=LONG_S)
    waiting = {name: ends.request(name) for name in "bc"}
    for request in waiting.values():
        worker.submit(request, "reject")
    worker.cancel(waiting["b"])
    worker.expire(waiting["c"])
    assert [result.status for result in ends.wait("b", "c")] == [Status.CANCELLED, Status.DEADLINE]
    assert worker.busy
    # Twice is once.
    worker.cancel(waiting["b"])
    worker.expire(waiting["b"])
    model.free.set()
    ends.wait("a")
    assert model.answered == ["a"]
    ends.statuses()


def test_a_request_cancelled_before_it_is_queued_never_waits(worker, model):
    ends = Ends()
    worker.submit(ends.request("a"), "reject")
    assert model.at_work.acquire(timeout=LONG_S)
    early = ends.request("b")
    worker.cancel(early)
    worker.submit(early, "reject")
    assert ends.wait("b")[0].status == Status.CANCELLED
    assert (worker.waiting, worker.busy) == (0, True)


def test_cancelling_the_current_request_leaves_its_end_to_the_model(worker, model):
    ends = Ends()
    current = ends.request("a")
    worker.submit(current, "reject")
    assert model.at_work.acquire(timeout=LONG_S)
    worker.cancel(current)
    (result,) = ends.wait("a")
    assert (result.status, result.message) == (Status.CANCELLED, "cut off")


def test_stopping_ends_all_and_refuses_what_comes_later(model):
    worker, ends = Worker(model.answer, queue_size=3), Ends()
    worker.submit(ends.request("a"), "reject")
    assert model.at_work.acquire(timeout=LONG_S)
    for name in "bc":
        worker.submit(ends.request(name), "reject")
    assert worker.stop("the node goes")
    worker.submit(ends.request("d"), "reject")
    assert ends.statuses() == dict.fromkeys("abc", Status.CANCELLED) | {"d": Status.INACTIVE}
    assert ends.by_id["b"][0].message == "the node goes"
    assert worker.stop("again")


@pytest.mark.parametrize("error", [SystemExit("gone"), MemoryError("gone"), KeyboardInterrupt("gone")])
def test_when_the_thread_dies_everybody_is_told(error):
    at_work, die = threading.Event(), threading.Event()

    def answer(requests, end):
        at_work.set()
        assert die.wait(LONG_S)
        raise error

    worker, ends = Worker(answer, queue_size=3), Ends()
    worker.submit(ends.request("a"), "reject")
    assert at_work.wait(LONG_S)
    worker.submit(ends.request("b"), "reject")
    die.set()
    ends.wait("a", "b")
    worker.submit(ends.request("c"), "reject")
    assert ends.statuses() == dict.fromkeys("abc", Status.WORKER_DEAD)
    assert worker.death == f"{type(error).__name__}: gone"
    assert f"{type(error).__name__}: gone): deactivate and activate the node" in ends.by_id["c"][0].message
    assert worker.stop("the end")


def test_an_error_in_taking_the_result_is_not_a_second_end():
    calls, ends = [], Ends()
    submitted = threading.Event()

    def refuse_to_take(result):
        calls.append(result.status)
        assert submitted.wait(LONG_S)
        raise RuntimeError("nobody there")

    def answer(requests, end):
        for request in requests:
            end(request, Result(request.query, Status.OK))

    worker = Worker(answer, queue_size=3)
    worker.submit(Request(Query("?", ("front",)), refuse_to_take), "reject")
    worker.submit(ends.request("b"), "reject")
    submitted.set()
    ends.wait("b")
    assert calls == [Status.OK]
    assert ends.statuses() == {"b": Status.WORKER_DEAD}
    assert worker.stop("the end")


@pytest.fixture
def restless_threads():
    """Threads take turns every 20 microseconds, not every 5 ms, so that they meet at every line."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(2e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless_threads")
@pytest.mark.parametrize("seed", range(5))
def test_every_request_ends_exactly_once_whatever_races(seed):
    """Four threads submit, two cancel, two expire, and two stop the worker in the midst of it."""
    ends, chance = Ends(), random.Random(seed)
    dies_at = chance.choice([None, 150, 300])
    count = [0]

    def answer(requests, end):
        for request in requests:
            count[0] += 1
            if count[0] == dies_at:
                raise SystemExit("in the midst")
            end(request, Result(request.query, Status.OK if request.should_stop() is None else Status.CANCELLED))

    worker = Worker(answer, queue_size=4, batch_size=chance.choice([1, 3]))
    requests = [ends.request(f"{i}", deadline_s=chance.choice([1000.0, 0.0001])) for i in range(800)]
    policies = [chance.choice(["reject", "drop_oldest"]) for _ in requests]
    orders = [chance.sample(requests, len(requests)) for _ in range(4)]
    halfway, begin = threading.Semaphore(0), threading.Barrier(10)

    def submit(part):
        begin.wait(LONG_S)
        for i in range(part, len(requests), 4):
            worker.submit(requests[i], policies[i])
            if i // 4 == 150:
                halfway.release()

    def each(act, order):
        begin.wait(LONG_S)
        for request in order[:400]:
            act(request)

    def stop():
        begin.wait(LONG_S)
        assert halfway.acquire(timeout=LONG_S)
        assert worker.stop("race")

    threads = [threading.Thread(target=submit, args=(part,)) for part in range(4)]
    threads += [threading.Thread(target=each, args=(worker.cancel, order)) for order in orders[:2]]
    threads += [threading.Thread(target=each, args=(worker.expire, order)) for order in orders[2:]]
    threads += [threading.Thread(target=stop) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_S)
        assert not thread.is_alive()
    statuses = ends.statuses()
    assert len(statuses) == 800
    assert worker.waiting == 0
    assert set(statuses.values()) - {Status.OK, Status.CANCELLED} <= {
        Status.QUEUE_FULL,
        Status.DROPPED,
        Status.DEADLINE,
        Status.INACTIVE,
        Status.WORKER_DEAD,
    }
