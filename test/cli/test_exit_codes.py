"""The same mistake has the same exit code in every command, and what is misspelt is named with what was meant."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llava_ov_ros.cli.main import main, make_parser
from llava_ov_ros.cli.parsers import CommandParser
from llava_ov_ros.share import shipped

BAG, SUITE = str(shipped("examples/demo_room")), str(shipped("examples/suite.yaml"))
PLANS, ROWS = str(shipped("examples/plans.jsonl")), str(shipped("examples/result.jsonl"))
STOPPED = "llava-ov: error: stopped\n"
NOWHERE, NO_MODEL = "nowhere", "./no_such_model"
# Each command as it would run.
COMMANDS = {
    "demo": [],
    "replay": [BAG, "--ask", "What?"],
    "parameters": [],
    "cameras": [],
    "web": [],
    "doctor": [],
    "bench callbacks": [],
    "bench idle": [],
    "bench engine": [],
    "bench peers": ["--server", "http://127.0.0.1:1/v1"],
    "bench weights": ["out/weights"],
    "rooms evaluate": [],
    "rooms record": ["out.mcap"],
    "rooms episodes": [],
    "plan": [BAG, "--goal", "put the mug on the desk"],
    "plan validate": [PLANS],
    "plan check": ["alfred"],
    "plan domain": [],
    "plan problem": [BAG, "--goal", "put the mug on the desk"],
    "eval": [SUITE, "--out", "out"],
    "eval interleave": [BAG],
    "score": [ROWS],
}


def run(words: list[str]) -> int:
    """The exit code of a command in this process."""
    try:
        return main(words)
    except SystemExit as left:
        return int(left.code or 0)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """What a command would write goes to a folder of the test."""
    monkeypatch.chdir(tmp_path)


def test_all_commands_are_here():
    found = set()

    def walk(parser: CommandParser, name: str) -> None:
        inner = dict(parser._commands)
        for action in parser._actions:
            if isinstance(action, type(make_parser()._subparsers._group_actions[0])):
                inner |= action.choices
        if not inner or parser._commands:
            found.add(name)
        for word, command in inner.items():
            walk(command, f"{name} {word}".strip())

    walk(make_parser(), "")
    assert found == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_option_is_wrong_usage_of_the_command(command, capsys):
    assert run([*command.split(), *COMMANDS[command], "--hepl", "--not-there=1"]) == 2
    told = capsys.readouterr().err
    assert f"llava-ov {command}: error: unrecognized arguments: --hepl --not-there=1; did you mean --help?" in told


WRONG = [
    (["repaly", BAG], "did you mean replay?"),
    (["bench", "engin"], "did you mean engine?"),
    (["rooms", "recrod"], "did you mean record?"),
    (["plan", "vaildate", PLANS], "did you mean validate?"),
    (["eval", "interleaf", BAG], "did you mean interleave?"),
    (["replay", BAG, "--aks", "What?"], "did you mean --ask?"),
    (["replay", BAG, "--ask=What?", "--mode", "vidoe"], "did you mean video?"),
    (["plan", BAG, "--gaol", "put the mug on the desk"], "; --gaol is not known here: did you mean --goal?"),
    (["plan", BAG, "--zzz", "put the mug on the desk"], "required: --goal; --zzz is not known here\n"),
    (["plan", "validat", PLANS], "; validat is not known here: did you mean validate?"),
    (["evaluate", SUITE], "did you mean eval?"),
    (["param"], "did you mean parameters?"),
    (["demo", BAG], f"unrecognized arguments: {BAG}; did you mean --bag {BAG}?"),
    (["demo", "--bga", BAG], f"unrecognized arguments: --bga {BAG}; did you mean --bag?"),
    (["score", ROWS, "--metric=scanqaa"], "did you mean scanqa?"),
    (["replay", BAG, "--ask", "What?", "--every", "-1"], "--every"),
    (["replay", BAG, "--ask", "What?", "--every", "abc"], "'abc' is not a number of seconds above 0"),
    (["plan", BAG, "--goal", "x", "--at", "abc"], "'abc' is not a number of seconds, 0 or above"),
    (["replay", BAG, "--rate-hz", "abc"], "'abc' is not a number, 0 or above"),
    (["replay", BAG, "--live", "--rate", "inf"], "'inf' is not a number above 0"),
    (["replay", BAG, "--frames", "2.5"], "'2.5' is not a whole number from 1"),
    (["replay", BAG, "--rotate", "left"], "'left' is not a whole number"),
    (["rooms", "evaluate", "--seed", "x"], "'x' is not a whole number"),
    (["rooms", "record", "--seconds", "abc", "out"], "'abc' is not a number of at least"),
    (["replay", BAG, "--ask", "What?", "--device", "cudaa"], "'cudaa' is not a device: give auto, cpu, cuda or cuda:N"),
    (["web", "--port", "99999"], "'99999' is not a whole number from 0 to 65535"),
    (["web", "--clients", "0"], "'0' is not a whole number from 1 to 1000"),
    (["web", "--host", "0.0.0.0"], "0.0.0.0 can be reached from other machines: give a token"),
    (["doctor", "--device", "cuda:x"], "'cuda:x' is not a device"),
    (["bench", "engine", "--device", "meta"], "'meta' is not a device"),
    (["replay", BAG, "--ask", "What?", "--at", "99999"], "give an earlier time"),
    (["replay", BAG, "--every", "1"], "give an --ask"),
    (["replay", BAG, "--ask", ""], "a question is empty"),
    (["replay", BAG, "--ask", "What?", "--topic", "/none"], "no image topic /none"),
    (["plan", BAG, "--goal", " "], "--goal"),
    (["eval", SUITE], "--out is missing"),
    (["eval", SUITE, "--fail-under", "em"], "--fail-under"),
    (["eval", SUITE, "--fail-under", "em=28.6"], "the table shows percent, so 28.6 there is 0.286"),
    (["demo", "--out", "picture.txt"], ".png"),
    (["rooms", "record", "out.bag"], "mcap"),
    ([], ""),
]


@pytest.mark.parametrize(("words", "said"), WRONG, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_what_is_typed_wrong_is_wrong_usage(words, said, capsys):
    assert run(words) == 2
    assert said in capsys.readouterr().err


UNUSABLE = [
    ["demo", "--bag", NOWHERE],
    ["replay", NOWHERE],
    ["replay", NOWHERE, "--ask", "What?"],
    ["replay", BAG, "--questions", NOWHERE],
    ["replay", BAG, "--questions", ROWS],
    ["plan", NOWHERE, "--goal", "put the mug on the desk"],
    ["plan", BAG, "--goal", "put the mug on the desk", "--actions", NOWHERE],
    ["plan", BAG, "--goal", "put the mug on the desk", "--prompts", NOWHERE],
    ["plan", "validate", NOWHERE],
    ["plan", "validate", ROWS],
    ["plan", "validate", PLANS, "--actions", NOWHERE],
    ["eval", NOWHERE, "--out", "out"],
    ["eval", PLANS, "--out", "out"],
    ["eval", SUITE, "--out", "out", "--compare", NOWHERE],
    ["eval", "interleave", NOWHERE],
    ["score", NOWHERE],
    ["score", PLANS],
    ["score", ROWS, "--metric", "plan", "--actions", NOWHERE],
    # Models.
    ["demo", "--model", NO_MODEL],
    ["replay", BAG, "--ask", "What?", "--model", NO_MODEL],
    ["plan", BAG, "--goal", "put the mug on the desk", "--model", NO_MODEL],
    ["eval", SUITE, "--out", "out", "--model", NO_MODEL],
    ["rooms", "evaluate", "--model", NO_MODEL],
    ["rooms", "episodes", "--model", NO_MODEL],
    ["web", "--token-file", NOWHERE],
]


@pytest.mark.parametrize("words", UNUSABLE, ids=" ".join)
def test_what_cannot_be_used_has_another_code(words, capsys):
    assert run(words) == 1
    assert capsys.readouterr().err.count("llava-ov: error: ") == 1


STOPS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def started(words: list[str], **options) -> subprocess.Popen[str]:
    """A command in a process of its own, its standard error to be read."""
    command = [sys.executable, "-m", "llava_ov_ros.cli.start", *words]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.parametrize("number", STOPS)
def test_a_signal_during_imports_leaves_no_traceback(tmp_path, number):
    begun = tmp_path / "begun"
    # In the place of a module that the command line imports at once.
    (tmp_path / "difflib.py").write_text(
        f"import pathlib, time\npathlib.Path({str(begun)!r}).touch()\nfor _ in range(1200):\n    time.sleep(0.05)\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    with started(["parameters"], env=os.environ | {"PYTHONPATH": path}) as process:
        while not begun.exists():
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
        told = process.communicate(timeout=110)[1]
    assert (process.returncode, told) == ((130, STOPPED) if number == signal.SIGINT else (-number, ""))


def wait_until_asleep(pid: int) -> None:
    """Wait until a process waits in the kernel: of a signal just before, Python hears after the call only."""
    asleep = 0
    while asleep < 10:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        asleep = asleep + 1 if state == "S" else 0
        time.sleep(0.02)


@pytest.mark.parametrize("number", STOPS)
def test_a_command_that_is_told_to_stop_ends_in_order(tmp_path, number):
    answers = tmp_path / "answers"
    os.mkfifo(answers)
    # Opened once the command reads, which is given nothing.
    with started(["score", str(answers)]) as process, answers.open("w"):
        wait_until_asleep(process.pid)
        process.send_signal(number)
        process.wait(timeout=110)
        told = process.stderr.read()
    assert process.returncode == 128 + number, told
    assert told == (STOPPED if number == signal.SIGINT else "")


FORGETS = """
import signal, time
from llava_ov_ros.cli.stopping import leaving_in_order

def call():
    signal.raise_signal(NUMBER)

def read():
    try:
        PLACE
    except BaseException:
        pass
    print("forgotten", flush=True)
    time.sleep(100)

with leaving_in_order():
    read()
"""
CLEANS_UP = """
import signal, time
from llava_ov_ros.cli.stopping import leaving_in_order

with leaving_in_order():
    try:
        signal.raise_signal(NUMBER)
    finally:
        try:
            raise OSError
        except OSError:
            time.sleep(1.5)
        print("cleaned up", flush=True)
"""


def ended(code: str) -> subprocess.CompletedProcess[str]:
    """A Python program, run to its end."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=90, check=False)


@pytest.mark.parametrize("place", ["signal.raise_signal(NUMBER)", "call()"], ids=["here", "in a call that is over"])
@pytest.mark.parametrize("number", STOPS)
def test_what_a_signal_raises_may_be_forgotten_once(number, place):
    """As Python 3.11 does in the middle of opening and reading a file."""
    done = ended(FORGETS.replace("PLACE", place).replace("NUMBER", str(int(number))))
    assert done.stdout == "forgotten\n"
    assert done.returncode == (-number if number == signal.SIGINT else 128 + number), done.stderr


@pytest.mark.parametrize("number", STOPS)
def test_what_cleans_up_after_a_signal_is_not_told_again(number):
    done = ended(CLEANS_UP.replace("NUMBER", str(int(number))))
    assert done.stdout == "cleaned up\n"
    assert done.returncode == (-number if number == signal.SIGINT else 128 + number), done.stderr


def test_a_signal_that_the_caller_ignores_stays_ignored(tmp_path):
    """As under nohup."""
    answers = tmp_path / "answers"
    os.mkfifo(answers)
    with started(["score", str(answers)], preexec_fn=ignore_hangup) as process:
        with answers.open("w") as writer:
            process.send_signal(signal.SIGHUP)
            writer.write("no row")
        told = process.communicate(timeout=110)[1]
    assert process.returncode == 1, "it has read to the end"
    assert "not JSON" in told


def ignore_hangup() -> None:
    """Of the process to be started."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
