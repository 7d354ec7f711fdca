"""What the page shows: the last answers and plans, answers that grow, the hint, diagnostics; all of it bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from .message_json import LONGEST_TEXT

MOST_ANSWERS = 100
MOST_PLANS = 20
MOST_GROWING = 64
"""Most answers, and most plans, that are shown while they grow."""
MOST_EVIDENCE = 100
MOST_EVIDENCE_BYTES = 24 * 2**20
MOST_STEPS = 200

PageEvent = dict[str, Any]


class Board:
    """The state that every browser gets when it comes, and the events that change it.

    Every `take` returns the event for the browsers, or None if nothing has changed. Only the event loop's thread uses
    this object.
    """

    def __init__(self, node_name: str) -> None:
        """Begin without any word from the node.

        Args:
            node_name: Fully qualified name of the node.
        """
        self._node: PageEvent = {"name": node_name, "up": False, "message": ""}
        self._diagnostics: PageEvent | None = None
        self._answers: deque[PageEvent] = deque(maxlen=MOST_ANSWERS)
        self._plans: deque[PageEvent] = deque(maxlen=MOST_PLANS)
        self._growing: dict[str, PageEvent] = {}
        self._growing_plans: dict[str, PageEvent] = {}
        self._hint: PageEvent | None = None
        self._standing: list[str] = []
        self._evidence: list[tuple[int, PageEvent, bytes]] = []
        self._evidence_bytes = 0
        self._number = 0
        self._takes: Mapping[str, Callable[[Any], PageEvent | None]] = {
            "node": self._take_node,
            "diagnostics": self._take_diagnostics,
            "asked": self._take_asked,
            "chunk": self._take_chunk,
            "answer": self._take_answer,
            "ask_lost": self._take_ask_lost,
            "plan_asked": self._take_plan_asked,
            "plan_step": self._take_plan_step,
            "plan": self._take_plan,
            "hint": self._take_hint,
            "goal_cleared": self._take_goal_cleared,
            "standing": self._take_standing,
            "evidence": self._take_evidence,
        }

    def take(self, kind: str, content: Any) -> PageEvent | None:
        """Note a message of the node; the kinds are those of the events in docs/web.md."""
        return self._takes[kind](content)

    def state(self) -> PageEvent:
        """The whole state, as `GET /api/state` has it."""
        return {
            "node": self._node,
            "diagnostics": self._diagnostics,
            "answers": list(self._answers),
            "growing": list(self._growing.values()),
            "plans": list(self._plans),
            "growing_plans": list(self._growing_plans.values()),
            "hint": self._hint,
            "standing": self._standing,
            "evidence": [event for _, event, _ in self._evidence],
        }

    def answers(self, search: str = "") -> list[PageEvent]:
        """The last answers, oldest first; with `search`, those whose question, answer or message contains it."""
        wanted = search.casefold()
        return [
            one
            for one in self._answers
            if any(wanted in str(one[name]).casefold() for name in ("question", "text", "message", "status"))
        ]

    def evidence(self, number: int) -> bytes | None:
        """The JPEG picture of that number; None if it is too old to be kept."""
        return next((jpeg for known, _, jpeg in self._evidence if known == number), None)

    def _drop_evidence(self) -> None:
        """Drop the oldest picture that is of no answer: hints have pictures, too, and come all the time."""
        wanted = [one["header"]["stamp"] for one in self._answers]
        dropped = next((one for one in self._evidence if one[1]["stamp"] not in wanted), self._evidence[0])
        self._evidence.remove(dropped)
        self._evidence_bytes -= len(dropped[2])

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _take_node(self, content: PageEvent) -> PageEvent | None:
        if content == self._node:
            return None
        self._node = content
        if not content["up"]:
            self._hint = None
        return {"event": "node", "node": content}

    def _take_diagnostics(self, content: PageEvent) -> PageEvent:
        self._diagnostics = content
        return {"event": "diagnostics", "diagnostics": content}

    def _take_asked(self, content: PageEvent) -> PageEvent:
        return self._grow(self._growing, content, {"text": ""}, "growing")

    def _grow(self, growing: dict[str, PageEvent], content: PageEvent, begin: PageEvent, kind: str) -> PageEvent:
        """Add what begins to grow, or fill in what was asked where pieces came first."""
        known = growing.pop(content["request_id"], {})
        if len(growing) >= MOST_GROWING:
            del growing[next(iter(growing))]
        growing[content["request_id"]] = {**begin, **known, **content}
        return {"event": kind, kind: growing[content["request_id"]]}

    def _take_chunk(self, content: PageEvent) -> PageEvent | None:
        """Add a piece. A last piece without an answer after it is of no use: the answer comes on its own topic."""
        name = content["request_id"]
        if name not in self._growing:
            if content["done"] or any(one["request_id"] == name for one in self._answers):
                return None
            self._grow(self._growing, {"request_id": name}, {"question": "", "kind": "", "text": ""}, "growing")
        one = self._growing[name]
        one["text"] = (one["text"] + content["text"])[:LONGEST_TEXT]
        return {"event": "growing", "growing": one}

    def _take_answer(self, content: PageEvent) -> PageEvent | None:
        self._growing.pop(content["request_id"], None)
        # It comes on the topic, and again as the result of an action.
        same = ("request_id", "answered_at")
        if any(all(one[name] == content[name] for name in same) for one in self._answers):
            return None
        content["number"] = self._next()
        self._answers.append(content)
        return {"event": "answer", "answer": content}

    def _take_ask_lost(self, content: PageEvent) -> PageEvent | None:
        name = content["request_id"]
        if self._growing.pop(name, None) is None and self._growing_plans.pop(name, None) is None:
            return None
        return {"event": "ask_lost", **content}

    def _take_plan_asked(self, content: PageEvent) -> PageEvent:
        return self._grow(self._growing_plans, content, {"attempt": 0, "steps": []}, "growing_plan")

    def _take_plan_step(self, content: PageEvent) -> PageEvent | None:
        one = self._growing_plans.get(content["request_id"])
        if one is None:
            return None
        if content["attempt"] != one["attempt"]:
            one["attempt"], one["steps"] = content["attempt"], []
        if len(one["steps"]) < MOST_STEPS:
            one["steps"].append(content["step"])
        return {"event": "growing_plan", "growing_plan": one}

    def _take_plan(self, content: PageEvent) -> PageEvent | None:
        self._growing_plans.pop(content["request_id"], None)
        same = ("request_id", "answered_at")
        if any(all(one[name] == content[name] for name in same) for one in self._plans):
            return None
        content["number"] = self._next()
        self._plans.append(content)
        return {"event": "plan", "plan": content}

    def _take_hint(self, content: PageEvent) -> PageEvent:
        self._hint = content
        return {"event": "hint", "hint": content}

    def _take_goal_cleared(self, content: Any) -> PageEvent:
        self._hint = None
        return {"event": "hint", "hint": None}

    def _take_standing(self, content: list[str]) -> PageEvent | None:
        if content == self._standing:
            return None
        self._standing = content
        return {"event": "standing", "standing": content}

    def _take_evidence(self, content: PageEvent) -> PageEvent:
        jpeg: bytes = content["jpeg"]
        event = {"number": self._next(), "stamp": content["stamp"]}
        self._evidence.append((event["number"], event, jpeg))
        self._evidence_bytes += len(jpeg)
        while len(self._evidence) > MOST_EVIDENCE or self._evidence_bytes > MOST_EVIDENCE_BYTES:
            self._drop_evidence()
        return {"event": "evidence", "evidence": event}
