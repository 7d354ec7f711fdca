"""The bounded queue of requests, and the threads that ask the model: one, or several where a server answers."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal

from ..questions import Request, Result, Status

Policy = Literal["reject", "drop_oldest"]
End = Callable[[Request, Result], None]
JOIN_TIMEOUT_S = 30.0
# A process that is told to stop has about 10 s until it is killed, and clients must have their answers by then.
ENDING_JOIN_S = 4.0
JOIN_TURN_S = 0.05
IDLE_PERIOD_S = 0.5


class Worker:
    """Answers requests in threads of its own; requests about the same clips are answered together.

    Every submitted request ends exactly once, whatever happens: the request is answered, refused, cancelled or expired,
    or ends with WORKER_DEAD if a thread dies. `submit`, `cancel` and `expire` never wait for the model.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Request], End], None],
        queue_size: int,
        batch_size: int = 1,
        idle: Callable[[], bool] = lambda: False,
        threads: int = 1,
    ) -> None:
        """Start the threads.

        Args:
            answer: Answers requests about the same clips, and ends each request by calling the second argument.
            queue_size: Most requests that wait.
            batch_size: Most requests that are answered together.
            idle: Called when no request waits; returns whether `idle` should be called again at once. Otherwise `idle`
                is called after a `nudge`, and every half second. Only the first thread calls `idle`.
            threads: How many threads answer; a model on this machine has one.
        """
        self._answer = answer
        self._queue_size = queue_size
        self._batch_size = batch_size
        self._idle = idle
        self._waiting: deque[Request] = deque()
        self._current: list[Request] = []
        self._changed = threading.Condition()
        self._nudged = False
        self._stopping = False
        self._death: str | None = None
        self._threads = [
            threading.Thread(target=self._run, args=(number == 0,), name=f"llava_ov_worker_{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def death(self) -> str | None:
        """Why a thread died, which ends the others, too; None while they live."""
        return self._death

    @property
    def waiting(self) -> int:
        """Number of requests in the queue, without the requests that are being answered."""
        return len(self._waiting)

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return bool(self._current)

    def submit(self, request: Request, policy: Policy) -> None:
        """Queue a request, or end the request at once if it cannot be queued.

        Args:
            request: The request.
            policy: If the queue is full, refuse the request (reject), or end the oldest waiting request (drop_oldest).
        """
        dropped: Request | None = None
        refusal: tuple[Status, str] | None = None
        with self._changed:
            full = len(self._waiting) >= self._queue_size
            if request.cancelled.is_set():
                refusal = Status.CANCELLED, "cancelled on arrival"
            elif self._death is not None:
                refusal = Status.WORKER_DEAD, self._dead_message()
            elif self._stopping:
                refusal = Status.INACTIVE, "the node is being deactivated"
            elif full and policy == "reject":
                refusal = (
                    Status.QUEUE_FULL,
                    f"{self._queue_size} requests are waiting already: ask less often, or raise queue_size",
                )
            else:
                if full:
                    dropped = self._waiting.popleft()
                self._waiting.append(request)
                self._changed.notify_all()
        if dropped is not None:
            dropped.refuse(Status.DROPPED, "a newer request took its place (queue_policy drop_oldest)")
        if refusal is not None:
            request.refuse(*refusal)

    def nudge(self) -> None:
        """Wake the threads, because there is work for `idle`."""
        with self._changed:
            self._nudged = True
            self._changed.notify_all()

    def cancel(self, request: Request) -> None:
        """Cancel a request: at once if it waits in the queue, before its next token if it is being answered."""
        request.cancelled.set()
        self._end_waiting(request, Status.CANCELLED, "cancelled while waiting in the queue")

    def expire(self, request: Request) -> None:
        """End a waiting request whose deadline has passed; a request that is being answered ends by itself."""
        self._end_waiting(request, Status.DEADLINE, "deadline_s passed while it waited in the queue")

    def _end_waiting(self, request: Request, status: Status, message: str) -> None:
        with self._changed:
            if request not in self._waiting:
                return
            self._waiting.remove(request)
        request.refuse(status, message)

    def stop(self, reason: str, ending: threading.Event | None = None) -> bool:
        """Cancel all requests, wait for the token that is being generated, and end the threads.

        Args:
            reason: Message of the cancelled requests.
            ending: Event that is set when the process ends, so that the wait is shorter.

        Returns:
            Whether the threads ended within 30 s, or 4 s once `ending` is set. If not, a forward pass or a load takes
            longer: its requests have been ended, and the thread ends after the forward pass or the load.
        """
        with self._changed:
            self._stopping = True
            waiting, self._waiting = list(self._waiting), deque()
            for request in self._current:
                request.cancelled.set()
            self._changed.notify_all()
        for request in waiting:
            request.refuse(Status.CANCELLED, reason)
        if self._ends_in_time(ending):
            return True
        with self._changed:
            abandoned, self._current = self._current, []
        for request in abandoned:
            request.refuse(
                Status.CANCELLED, f"{reason}, and the model was in the middle of a forward pass or of loading"
            )
        return False

    def _ends_in_time(self, ending: threading.Event | None) -> bool:
        left_s, hurried = JOIN_TIMEOUT_S, False
        while (alive := [thread for thread in self._threads if thread.is_alive()]) and left_s > 0:
            if ending is not None and ending.is_set() and not hurried:
                left_s, hurried = ENDING_JOIN_S, True
            alive[0].join(JOIN_TURN_S)
            left_s -= JOIN_TURN_S
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self, prepares: bool) -> None:
        try:
            again = False
            while True:
                with self._changed:
                    if not again:
                        self._changed.wait_for(self._has_work if prepares else self._has_requests, IDLE_PERIOD_S)
                    if self._stopping or self._death is not None:
                        return
                    if prepares:
                        self._nudged = False
                    batch = self._take_batch()
                if batch:
                    self._answer(batch, self._end)
                    again = True
                else:
                    again = self._idle() if prepares else False
        except BaseException as error:  # noqa: BLE001 - whatever ends this thread, no client may wait for ever
            with self._changed:
                self._death = self._death or f"{type(error).__name__}: {error}"
                orphans = [*self._current, *self._waiting]
                self._waiting.clear()
                self._current.clear()
            for request in orphans:
                request.refuse(Status.WORKER_DEAD, self._dead_message())

    def _has_requests(self) -> bool:
        return bool(self._waiting) or self._stopping

    def _has_work(self) -> bool:
        return self._has_requests() or self._nudged

    def _take_batch(self) -> list[Request]:
        """Take the oldest request and the requests about the same clips from the queue; the caller holds the lock."""
        if not self._waiting:
            return []
        key = self._waiting[0].query.clips_key
        alike = [request for request in self._waiting if request.query.clips_key == key]
        batch = alike[: self._batch_size]
        self._current += batch
        self._waiting = deque(request for request in self._waiting if request not in batch)
        return batch

    def _end(self, request: Request, result: Result) -> None:
        with self._changed:
            if request not in self._current:
                # `stop` has ended the request already, because the model took too long.
                return
            self._current.remove(request)
        request.end(result)

    def _dead_message(self) -> str:
        return f"the thread that owns the model has ended ({self._death}): deactivate and activate the node"
