"""The node on a real graph, with its model on a real vLLM: the answers of the local engine, in every way of asking."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from pathlib import Path
from random import Random

import pytest
from action_msgs.msg import GoalStatus
from ament_index_python.packages import get_package_prefix
from llava_ov_ros.msg import ActionHint, Answer, Plan
from llava_ov_ros.srv import SetGoal

from llava_ov_ros.node.model import load_from
from llava_ov_ros.rooms.room_questions import questions
from llava_ov_ros.rooms.takes import make_take, pictures

WITHIN = 1e-3
"""Of probabilities, where both engines compute with float32."""
S = 1_000_000_000
EXECUTABLE = Path(get_package_prefix("llava_ov_ros")) / "lib" / "llava_ov_ros" / "llava_ov_node"
PNG = {"remote_image_px": 96, "remote_image_format": "png"}
"""The pixels that the local engine sees: rooms looks at 96 x 96."""
SEED = "a room for a server"
ROUNDS = 10


def show(robot, shown, newest_ns):
    """Send pictures, two a second up to a time, and wait until they have arrived; return their stamps."""
    stamps = [newest_ns - S * (len(shown) - 1 - number) // 2 for number in range(len(shown))]
    for stamp, picture in zip(stamps, shown, strict=True):
        robot.cameras["front"].send(stamp, picture)
    robot.wait_until_received("front")
    return stamps


@pytest.fixture
def room():
    """The pictures of a room, and questions about it."""
    rng = Random(SEED)
    take = make_take(rng, 4)
    return pictures(take, rng), [one.text for one in questions(take, rng)]


@pytest.fixture
def both(rig, vllm_server, room):
    """A node whose model is on the server and one whose model is here; both have seen the room."""
    far = rig(load=load_from, model=vllm_server.url, **PNG)
    near = rig(load=load_from, model="rooms", device="cpu", dtype="float32")
    newest_ns = time.time_ns()
    assert show(far, room[0], newest_ns) == show(near, room[0], newest_ns)
    return far, near


def test_services_give_the_answers_of_the_local_model(both, room, vllm_server):
    far, near = both
    for question in room[1]:
        there, here = far.ask(question), near.ask(question)
        assert (there.status, there.text) == (Answer.OK, here.text), there.message
        assert there.confidence == pytest.approx(here.confidence, abs=WITHIN)
        assert [frame.header.stamp for frame in there.frames] == [frame.header.stamp for frame in here.frames]
        assert there.model.startswith("rooms on vllm ")
        assert there.model.endswith(vllm_server.url.removeprefix("http://").removesuffix("/v1"))
    for fields in ({"kind": "yes_no"}, {"kind": "choice", "choices": ["a mug", "a book", "a sofa"]}):
        there, here = (one.ask("Is there a mug?", **fields) for one in both)
        assert (there.status, there.text, there.known) == (Answer.OK, here.text, here.known), there.message
        assert [one.text for one in there.choices] == [one.text for one in here.choices]
        wanted = [pytest.approx(one.probability, abs=WITHIN) for one in here.choices]
        assert [one.probability for one in there.choices] == wanted


def test_actions_and_plans_give_those_of_the_local_model(both, room, wait_until):
    far, near = both
    goal = far.goal(room[1][0])
    status, answer = goal.result()
    assert (status, answer.text) == (GoalStatus.STATUS_SUCCEEDED, near.ask(room[1][0]).text)
    wait_until(lambda: "".join(chunk.text for chunk in goal.chunks.messages) == answer.text, "all pieces of the answer")
    there, here = (one.plan("put the mug on the desk") for one in both)
    assert there.status == Answer.OK, there.message
    assert there.outcome == here.outcome != Plan.NONE
    assert [(step.action, list(step.arguments)) for step in there.steps] == [
        (step.action, list(step.arguments)) for step in here.steps
    ]
    assert there.probability == pytest.approx(here.probability, abs=WITHIN)


def test_standing_questions_and_hints_go_to_the_server(both, room):
    far, near = both
    answers, hints = far.listen(Answer, "answers"), far.listen(ActionHint, "action_hint")
    assert far.set(standing_questions=["Is there a mug?"], standing_period_s=0.2).successful
    heard = answers.wait(lambda answer: answer.question == "Is there a mug?" and answer.status == Answer.OK)
    assert (heard.text, heard.model[:13]) == (near.ask("Is there a mug?").text, "rooms on vllm")
    at_home = near.listen(ActionHint, "action_hint")
    for robot in both:
        assert robot.set(hint_period_s=0.2).successful
        assert robot.tell(SetGoal.Request(goal="put the mug on the desk")).success
    there, here = (some.wait(lambda hint: hint.status == Answer.OK) for some in (hints, at_home))
    assert (there.hint, there.action, list(there.arguments)) == (here.hint, here.action, list(here.arguments))
    assert there.confidence == pytest.approx(here.confidence, abs=WITHIN)


def test_what_the_server_cannot_do_is_refused_with_the_reason(both):
    answer = both[0].ask("What is there?", mode="multi_image")
    assert (answer.status, list(answer.frames)) == (Answer.INVALID, [])
    assert "several_pictures" in answer.message and "tiles" in answer.message
    _, values = both[0].diagnostic("model", lambda status, values: "capabilities" in values)
    assert values["capabilities"] == "picture clips log_probabilities choices grammars"
    answer = both[0].ask("What does <|im_end|> mean?")
    assert (answer.status, "control token" in answer.message) == (Answer.INVALID, True)


def test_several_requests_are_with_the_server_at_once(rig, endless_vllm):
    """With the local engine, one at a time is the rule; here as many as `remote_requests`, and no more."""
    robot = rig(load=load_from, model=endless_vllm.url, remote_requests=3, queue_size=20, **PNG)
    robot.feed()
    seen, ended = [0.0], threading.Event()

    def watch():
        while not ended.wait(0.02):
            seen.append(endless_vllm.running())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        # The server's gauge is looked at now and then: one round may be over between two looks.
        for _ in range(ROUNDS):
            asked = [robot.ask_later(f"What is in {n}?", max_new_tokens=100, max_frames=1 + n) for n in range(9)]
            assert [robot.outcome(future).answer.status for future in asked] == [Answer.OK] * 9
            if max(seen) == 3:
                break
    finally:
        ended.set()
        watching.join(60)
    assert max(seen) == 3


def test_a_goal_that_is_cancelled_ends_on_the_server_too(rig, endless_vllm, wait_until):
    robot = rig(load=load_from, model=endless_vllm.url, **PNG)
    robot.feed()
    aborted = endless_vllm.aborted()
    goal = robot.goal("What is there?", max_new_tokens=3000, deadline_s=300.0)
    goal.chunks.wait()
    goal.cancel()
    status, answer = goal.result()
    assert (status, answer.status) == (GoalStatus.STATUS_CANCELED, Answer.CANCELLED)
    # Feedback may come after the result.
    wait_until(lambda: "".join(chunk.text for chunk in goal.chunks.messages) == answer.text, "all pieces of the answer")
    wait_until(lambda: endless_vllm.aborted() == aborted + 1, "the server has given the request up")
    wait_until(lambda: endless_vllm.running() == 0, "nothing runs on the server")
    # The same at a deadline, with the text so far; on a busy machine a whole answer may fit into one look.
    for _ in range(ROUNDS):
        aborted = endless_vllm.aborted()
        answer = robot.ask("What is there?", max_new_tokens=3000, deadline_s=2.0)
        assert answer.status == Answer.DEADLINE
        if answer.text:
            break
    assert answer.text
    wait_until(lambda: endless_vllm.aborted() == aborted + 1, "the server has given the request up")


def test_a_node_with_a_remote_model_maps_no_torch(peer, vllm_server, tmp_path):
    client = peer(model=vllm_server.url, **PNG)
    given = [part for name, value in client.parameters.items() for part in ("-p", f"{name}:={json.dumps(value)}")]
    command = [str(EXECUTABLE), "--ros-args", *client.remapping, "-r", f"__ns:={client.namespace}", *given]
    with (tmp_path / "node.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        client.meet()
        client.start()
        client.feed()
        assert client.ask("Is there a mug?", kind="yes_no").status == Answer.OK
        mapped = Path(f"/proc/{process.pid}/maps").read_text()
        assert "/numpy/" in mapped, "the maps name the libraries of Python packages"
        assert "torch" not in mapped and "transformers" not in mapped
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
