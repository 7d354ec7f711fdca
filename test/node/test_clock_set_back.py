"""A clock that goes back, of the machine and of a simulation: pictures from before it are no answer about now."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import time
from pathlib import Path

import pytest
from llava_ov_ros.msg import Answer

from llava_ov_ros.frames import stamp_ns
from llava_ov_ros.live.process import executable

S = 1_000_000_000
T0_NS = 1_700_000_000 * S
SHIM = Path(__file__).with_name("stepped_clock.cpp")
END_S = 60


class SteppedClock:
    """The clock of another process, which goes as far beside this machine's as a test wants."""

    def __init__(self, folder: Path) -> None:
        library, self._file = folder / "stepped_clock.so", folder / "offset_s"
        command = ["c++", "-std=c++17", "-O1", "-shared", "-fPIC", str(SHIM), "-o", str(library)]
        subprocess.run(command, check=True, timeout=END_S)
        self._file.write_bytes(bytes(8))
        self.environment = os.environ | {"LD_PRELOAD": str(library), "STEPPED_CLOCK_FILE": str(self._file)}
        self.offset_s = 0

    def step_by(self, seconds: int) -> None:
        """Set the clock forward, or back where negative."""
        self.offset_s += seconds
        # In place: the process has mapped the file.
        with self._file.open("r+b") as file:
            file.write(struct.pack("=q", self.offset_s))

    def now_ns(self) -> int:
        """What that process takes for now."""
        return time.time_ns() + self.offset_s * S


@pytest.fixture
def robot_and_clock(peer, tmp_path):
    """A client of the node in a process whose clock can be stepped, with the shipped model, active."""
    clock = SteppedClock(tmp_path)
    client = peer(jump_back_s=1e6, standing_questions=["Now?"], standing_period_s=0.5, max_new_tokens=4)
    values = [part for name, value in client.parameters.items() for part in ("-p", f"{name}:={json.dumps(value)}")]
    command = [str(executable()), "--ros-args", *client.remapping, "-r", f"__ns:={client.namespace}", *values]
    with (tmp_path / "node.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=clock.environment)
    try:
        client.meet()
        client.start()
        yield client, clock
    finally:
        process.terminate()
        code = process.wait(END_S)
    assert code == 0, (tmp_path / "node.log").read_text()


def test_after_the_machines_clock_was_set_back_only_frames_of_now_are_answered_about(robot_and_clock):
    robot, clock = robot_and_clock
    robot.feed(newest_ns=clock.now_ns())
    assert robot.ask().status == Answer.OK
    answers = robot.listen(Answer, "answers")
    clock.step_by(-3600)
    answer = robot.ask()
    assert answer.status == Answer.STALE
    # Nor does the standing question wait for an hour, until the clock is as late again.
    for _ in range(2):
        standing = answers.wait(lambda answer: answer.question == "Now?", after=len(answers.messages))
    assert standing.status == Answer.STALE
    assert "s in the future, more than future_tolerance_s 0.5: the clock was set back" in answer.message
    status, values = robot.diagnostic("camera front")
    assert status.level == status.ERROR
    assert status.message.startswith("stale: its newest usable frame")
    assert float(values["age_s"]) < -3500
    # However far stamps may jump back (jump_back_s), the next frame ends it.
    stamp = robot.cameras["front"].send(clock.now_ns())
    robot.wait_until_received("front")
    answer = robot.ask()
    assert (answer.status, [stamp_ns(frame.header.stamp) for frame in answer.frames]) == (Answer.OK, [stamp])
    status, _ = robot.diagnostic("camera front")
    assert status.level == status.WARN
    assert "1 jumps back (buffer begun anew)" in status.message
    # Set forward again, the frames are old, and that ends with the next, too.
    clock.step_by(7200)
    assert robot.ask().status == Answer.STALE
    robot.cameras["front"].send(clock.now_ns())
    robot.wait_until_received("front")
    assert robot.ask().status == Answer.OK


def test_after_simulated_time_went_back_only_frames_of_now_are_answered_about(rig, scripted):
    robot = rig(
        load=scripted(lambda *_: "an answer"), use_sim_time=True, standing_questions=["Now?"], standing_period_s=1.0
    )
    answers = robot.listen(Answer, "answers")
    robot.set_clock(T0_NS + 100 * S)
    robot.feed(newest_ns=T0_NS + 100 * S)
    assert robot.ask().status == Answer.OK
    # As much as a tolerated stamp lies ahead, the time may go back.
    robot.set_clock(T0_NS + 100 * S - S // 2)
    assert robot.ask().status == Answer.OK
    robot.set_clock(T0_NS + 7 * S)
    heard = len(answers.messages)
    answer = robot.ask()
    assert answer.status == Answer.STALE
    assert "'front': its newest usable frame" in answer.message
    assert "lies 93.0 s in the future" in answer.message
    status, _ = robot.diagnostic("camera front")
    assert status.level == status.ERROR
    assert "lies 93.0 s in the future" in status.message
    robot.set_clock(T0_NS + 9 * S)
    assert answers.wait(lambda answer: answer.question == "Now?", after=heard).status == Answer.STALE
    stamp = robot.feed(count=1, newest_ns=T0_NS + 9 * S)[0]
    answer = robot.ask()
    assert (answer.status, [stamp_ns(frame.header.stamp) for frame in answer.frames]) == (Answer.OK, [stamp])
