"""More requests at once than a queue holds: every one ends, once, with an answer or with why there is none."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from llava_ov_ros.msg import Answer

from llava_ov_ros.live.process import NodeProcess, executable

CROWD = Path(__file__).with_name("crowd.py")
PATIENCE_S = 200


class Crowds:
    """Processes with clients, each told to begin when all have met the node."""

    def __init__(self, node: str, processes: int, *arguments: str) -> None:
        self._processes = [
            subprocess.Popen(
                [sys.executable, str(CROWD), node, "--seed", str(number), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(1, processes + 1)
        ]
        for process in self._processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"

    def ends(self) -> list[dict]:
        """Have all begin, and wait for what became of their requests."""
        for process in self._processes:
            process.stdin.write("\n")
            process.stdin.flush()
        found = [json.loads(process.communicate(timeout=PATIENCE_S)[0]) for process in self._processes]
        for one in found:
            print({key: value for key, value in one.items() if key != "ids"})
        return found

    def close(self) -> None:
        """End those that have not ended."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def node(peer, tmp_path):
    """Starts a node in a process of its own, active and with pictures: `node(**parameters)` gives its client."""
    running = []

    def start(**parameters):
        client = peer(max_frame_age_s=1e6, frozen_after_s=0.0, **parameters)
        command = [str(executable()), "--ros-args", *client.remapping]
        running.append(NodeProcess(client.namespace, client.parameters, tmp_path / "node.log", command=command))
        running[-1].__enter__()
        client.meet()
        client.start()
        client.feed()
        return client

    yield start
    for process in running:
        assert process.end() == 0
        assert "Traceback" not in process.tail(10_000)


@pytest.fixture
def crowds():
    """Makes clients: `crowds(node, processes, *arguments)`."""
    made = []

    def make(node, processes, *arguments):
        made.append(Crowds(node, processes, *arguments))
        return made[-1]

    yield make
    for one in made:
        one.close()


def check(found: list[dict], answers, wait_until, sent: int, allowed: set[str]) -> None:
    """Every request ended once, for whoever asked and on ~/answers."""
    assert sum(one["sent"] for one in found) == sent
    assert [one["never"] for one in found] == [[]] * len(found)
    assert [one["often"] for one in found] == [[]] * len(found)
    assert {how for one in found for how in one["ends"]} <= allowed
    asked = {request for one in found for request in one["ids"]}
    wait_until(lambda: len(published(answers, asked)) >= sent, "all ends on ~/answers")
    assert Counter(published(answers, asked)) == dict.fromkeys(asked, 1)


def published(answers, asked: set[str]) -> list[str]:
    """Ids of requests whose end was on ~/answers, greetings left out."""
    return [answer.request_id for answer in list(answers.messages) if answer.request_id in asked]


SERVED = {"OK", "QUEUE_FULL", "OK, succeeded", "QUEUE_FULL, aborted"}


@pytest.mark.parametrize("queue_size", [8, 100])
def test_services_and_goals_at_once_all_end(node, crowds, nano, wait_until, queue_size):
    client = node(model=nano, queue_size=queue_size)
    answers = client.listen(Answer, "answers")
    found = crowds(client.name, 2, "--nodes", "5", "--asks", "40", "--goals", "40").ends()
    check(found, answers, wait_until, 160, SERVED)
    assert client.ask(max_new_tokens=2).status == Answer.OK


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.timeout(600)
@pytest.mark.parametrize("queue_size", [8, 100])
def test_four_hundred_requests_of_fifty_clients_at_once(node, crowds, nano, wait_until, queue_size):
    client = node(model=nano, queue_size=queue_size)
    answers = client.listen(Answer, "answers")
    found = crowds(client.name, 5, "--nodes", "10", "--asks", "40", "--goals", "40").ends()
    check(found, answers, wait_until, 400, SERVED)
    assert client.ask(max_new_tokens=2).status == Answer.OK


CANCELLED = {
    f"{end}, {state}" for end in ("OK", "QUEUE_FULL", "CANCELLED") for state in ("canceled", "succeeded", "aborted")
}


@pytest.mark.parametrize(
    "goals", [100, pytest.param(2000, marks=[pytest.mark.long, pytest.mark.alone, pytest.mark.timeout(900)])]
)
def test_goals_cancelled_at_random_all_end(node, crowds, nano, wait_until, goals):
    client = node(model=nano, queue_size=20)
    answers = client.listen(Answer, "answers")
    # Few clients: rclpy's reads the states of all goals of all clients with every change of one.
    found = crowds(client.name, 2, "--nodes", "2", "--cancelled", str(goals // 2)).ends()
    check(found, answers, wait_until, goals, CANCELLED)
    assert client.ask(max_new_tokens=2).status == Answer.OK


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.timeout(600)
def test_a_well_behaved_client_has_every_answer_beside_inconsiderate_ones(nano):
    command = [sys.executable, str(CROWD.with_name("neighbours.py")), "--seconds", "20", "--quiet-s", "5"]
    ended = subprocess.run([*command, "--model", nano], capture_output=True, text=True, timeout=500, check=False)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    print(found)
    for condition in ("quiet", "beside"):
        assert found[condition]["ends"] == {"OK": found[condition]["asked"]}
    for one in found["crowds"]:
        assert one["sent"] == one["ended"] > 0
    assert found["long"].keys() <= {"OK", "INVALID", "QUEUE_FULL"}
    assert found["long"]["INVALID"] >= 4
    assert found["pictures"] > 0
