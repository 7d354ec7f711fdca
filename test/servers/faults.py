"""Asks a node for answers from a real vLLM while the server is killed, stopped, cut off, and its port closed.

Run it as root, as `python test/servers/faults.py --requests 500 --faults 50 --fallback rooms`, in an environment in
which the node works. The server runs in a network namespace of its own, whose link goes down and up. Prints what became
of the requests; ends with code 1 where one did not end exactly once inside its deadline, or does not say which model
answered.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fixtures.rig import Rig
from fixtures.servers import CLIP_OPTIONS, DEFAULT_OPTIONS, ENVIRONMENT, VllmServer, never_ending
from llava_ov_ros.msg import Answer

from llava_ov_ros.node.model import load_from
from llava_ov_ros.questions import Status

FAULTS = ("killed", "stopped", "port closed", "link down")
OUR_IP, THEIR_IP, PORT, INNER_PORT = "10.213.7.1", "10.213.7.2", 8000, 8001
DEADLINE_S = 6.0
GRACE_S = 1.0
"""After its deadline a request has so long until the client has the response, on a busy machine."""
AT_ONCE = 4
NEW_TOKENS = 150
BACK_S = 30.0
"""Longest wait for the server's next answers after a fault."""
LONGEST_PAUSE_S = 3.0
"""Of a client between two of its questions."""


@dataclass
class Stage:
    """The server in its namespace, and the ways to disturb it.

    Attributes:
        server: The vLLM, which runs in the namespace.
        port: The process that passes connections on to it.
        name: Name of the namespace, and of the link.
    """

    server: VllmServer
    port: subprocess.Popen[str]
    name: str

    def disturb(self, fault: str, seconds: float) -> None:
        """Make a fault for some seconds, and undo it."""
        if fault == "killed":
            self.server.kill()
            time.sleep(seconds)
            self.server.start()
        elif fault == "stopped":
            self.server.pause()
            time.sleep(seconds)
            self.server.resume()
        elif fault == "port closed":
            self._tell("close")
            time.sleep(seconds)
            self._tell("open")
        else:
            _ip("link", "set", self.name, "down")
            time.sleep(seconds)
            _ip("link", "set", self.name, "up")

    def _tell(self, word: str) -> None:
        assert self.port.stdin is not None and self.port.stdout is not None
        self.port.stdin.write(f"{word}\n")
        self.port.stdin.flush()
        assert self.port.stdout.readline().strip() == word


@dataclass
class Heard:
    """What became of the requests.

    Attributes:
        asked: How many were asked.
        served: How many the server has answered.
        ends: How often each request ended, by its id, as the topic ~/answers tells.
        answers: The response to each request.
        latest_s: Longest time that a client waited beyond its request's deadline, in seconds; negative: none did.
        late: What the client and the node say of each request that ended more than GRACE_S beyond its deadline.
    """

    asked: int = 0
    served: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    answers: list[Answer] = field(default_factory=list)
    latest_s: float = -math.inf
    late: list[str] = field(default_factory=list)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@contextlib.contextmanager
def namespace(name: str) -> Iterator[tuple[str, ...]]:
    """A network namespace with a link to this machine; yields the words before a command that shall run in it."""
    within = ("ip", "netns", "exec", name)
    _ip("netns", "add", name)
    try:
        _ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("addr", "add", f"{OUR_IP}/30", "dev", name)
        _ip("link", "set", name, "up")
        for words in (f"addr add {THEIR_IP}/30 dev eth0", "link set eth0 up", "link set lo up"):
            subprocess.run([*within, "ip", *words.split()], check=True)
        yield within
    finally:
        _ip("netns", "del", name)


@contextlib.contextmanager
def stage(folder: Path, name: str = "llavatest") -> Iterator[Stage]:
    """A vLLM in a namespace, behind a port that can be closed; its model's answers take a second or two."""
    model = never_ending(folder / "never_ending")
    with namespace(name) as within:
        command = (*within, str(ENVIRONMENT / "bin" / "vllm"), "serve", model, "--served-model-name=never_ending")
        command += ("--host=127.0.0.1", f"--port={INNER_PORT}", *DEFAULT_OPTIONS, *CLIP_OPTIONS)
        server = VllmServer(f"http://{THEIR_IP}:{PORT}/v1", "never_ending", command, folder, folder / "vllm.log")
        server.log.touch()
        passing = [*within, sys.executable, str(Path(__file__).with_name("port.py")), THEIR_IP, str(PORT)]
        with subprocess.Popen(
            [*passing, str(INNER_PORT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as port:
            assert port.stdin is not None and port.stdout is not None
            assert port.stdout.readline().strip() == "open"
            try:
                # Behind the port, through which it is asked until it is warm.
                server.start()
                yield Stage(server, port, name)
            finally:
                port.stdin.close()
                server.end()


def ask_while(robot: Rig, requests: int, disturb: Callable[[], None], tell: Callable[[str], None], seed: int) -> Heard:
    """Ask questions, AT_ONCE at a time, while another thread disturbs the server, and until that one has ended.

    Args:
        robot: The node.
        requests: Least number of questions.
        disturb: Makes and undoes the faults; called once, in a thread of its own, with what is heard meanwhile.
        tell: Called with a line about the progress.
        seed: Seed of the pauses between questions.
    """
    heard, lock = Heard(), threading.Lock()
    answers = robot.listen(Answer, "answers")
    ended, disturbed = threading.Event(), threading.Event()
    random, numbers = Random(seed), itertools.count()

    def film() -> None:
        while not ended.wait(0.5):
            robot.cameras["front"].send(robot.node.get_clock().now().nanoseconds)

    def make_faults() -> None:
        try:
            disturb(heard)
        finally:
            disturbed.set()

    def ask() -> None:
        while True:
            with lock:
                if heard.asked >= requests and disturbed.is_set():
                    return
                number, pause_s = next(numbers), random.uniform(0.0, LONGEST_PAUSE_S)
                heard.asked += 1
            begun_s = time.monotonic()
            fields: dict[str, Any] = {"request_id": f"request {number}", "deadline_s": DEADLINE_S}
            # Answers that are compared in the same way as text: all that a server is asked for.
            fields |= {"kind": "yes_no"} if number % 3 == 1 else {"max_new_tokens": NEW_TOKENS}
            answer = robot.ask(f"Is there a mug on the table? ({number})", **fields)
            with lock:
                heard.answers.append(answer)
                heard.served += answer.status == Answer.OK and answer.model.startswith("never_ending")
                beyond_s = time.monotonic() - begun_s - DEADLINE_S
                heard.latest_s = max(heard.latest_s, beyond_s)
                if beyond_s > GRACE_S:
                    # The node's own time tells whether the answer or its way to the client was late.
                    heard.late.append(
                        f"request {number}: the client waited {beyond_s:.1f} s beyond the deadline, the answer took "
                        f"{answer.total_time_s:.1f} s from its start ({Status(answer.status).name}: {answer.message})"
                    )
                    tell(heard.late[-1])
                if len(heard.answers) % 50 == 0:
                    tell(f"{len(heard.answers)} requests have ended")
            time.sleep(pause_s)

    robot.cameras["front"].send(robot.node.get_clock().now().nanoseconds)
    threads = [threading.Thread(target=work) for work in (film, make_faults, *[ask] * AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads[1:]:
        thread.join()
    ended.set()
    threads[0].join()
    heard.ends = Counter(message.request_id for message in answers.wait_for_count(heard.asked))
    return heard


def faults_of(heard: Heard, models: Sequence[str]) -> list[str]:
    """What is wrong with the ends of the requests, in words; empty if nothing is.

    Args:
        heard: What became of the requests.
        models: Beginnings of the names that an answer's model may have.
    """
    found = [f"{name} ended {count} times" for name, count in heard.ends.items() if count != 1]
    if len(heard.ends) != heard.asked:
        found.append(f"{heard.asked} requests, and {len(heard.ends)} ends on ~/answers")
    found += heard.late
    for answer in heard.answers:
        if answer.status == Answer.OK and not answer.model.startswith(tuple(models)):
            found.append(f"{answer.request_id} was answered by {answer.model!r}")
        if answer.status not in (Answer.OK, Answer.MODEL_ERROR, Answer.DEADLINE):
            found.append(f"{answer.request_id} ended with status {answer.status}: {answer.message}")
        if answer.status != Answer.OK and not answer.message:
            found.append(f"{answer.request_id} ended with status {answer.status} and does not say why")
        steps_in = answer.status == Answer.OK and answer.model == "rooms"
        if steps_in != ("answered by rooms, because" in answer.message):
            found.append(f"{answer.request_id}: model {answer.model!r}, message {answer.message!r}")
    return found


def main() -> int:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=500, help="least number of requests (default: %(default)s)")
    parser.add_argument("--faults", type=int, default=50, help="number of faults (default: %(default)s)")
    parser.add_argument("--fallback", default="", help="model that steps in, such as rooms; by default none")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("only root may make network namespaces")
    random = Random(args.seed)
    made: Counter[str] = Counter()

    def tell(text: str) -> None:
        print(f"[{time.monotonic() - begun_s:6.1f} s] {text}", file=sys.stderr, flush=True)

    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, stage(Path(folder)) as scene:
        os.environ["ROS_LOG_DIR"] = folder
        parameters = {
            "model": scene.server.url,
            "fallback_model": args.fallback,
            "remote_image_px": 96,
            "remote_connect_s": 1.0,
            "remote_silence_s": 2.0,
            "queue_size": 16,
        }
        robot = Rig(load_from, {"front": "raw"}, True, parameters, {})
        try:
            robot.start()

            def disturb(heard: Heard) -> None:
                for number in range(args.faults):
                    # The server answers again before the next fault, so that each falls into the middle of answers.
                    served, until_s = heard.served, time.monotonic() + BACK_S
                    while heard.served < served + AT_ONCE and time.monotonic() < until_s:
                        time.sleep(0.05)
                    time.sleep(random.uniform(0.0, 2.0))
                    fault, seconds = random.choice(FAULTS), random.uniform(0.2, 4.0)
                    made[fault] += 1
                    tell(f"fault {number + 1} of {args.faults}: {fault} for {seconds:.1f} s")
                    scene.disturb(fault, seconds)

            heard = ask_while(robot, args.requests, disturb, tell, args.seed)
        finally:
            robot.close()
    wrong = faults_of(heard, ["never_ending on vllm", *([args.fallback] if args.fallback else [])])
    report = {
        "requests": heard.asked,
        "faults": dict(made),
        "statuses": dict(Counter(Status(answer.status).name for answer in heard.answers)),
        "models_of_answers": dict(Counter(answer.model for answer in heard.answers if answer.status == Answer.OK)),
        "messages": Counter(_kind(a.message) for a in heard.answers if a.status != Answer.OK).most_common(12),
        "latest_after_deadline_s": round(heard.latest_s, 3),
        "wrong": wrong[:20],
    }
    print(json.dumps(report, indent=2))
    return 1 if wrong else 0


def _kind(message: str) -> str:
    """A message without its numbers, so that alike ones count together."""
    return re.sub(r"[\d.]+", "#", message)[:160]


if __name__ == "__main__":
    sys.exit(main())
