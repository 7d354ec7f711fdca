"""Every command in README.md and docs/ is run here, or listed with the reason why not; every link leads somewhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from llava_ov_ros.onevision.int8 import why_no_int8

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MODEL_CARD = ROOT / "models" / "rooms" / "README.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
FOLDERS = ("config", "docs", "examples", "launch", "models", "test")
LIMIT_S = 110
SCORES = "llava-ov rooms evaluate"
"""Asks hundreds of questions."""
INSTALLS = "pip install "

SETS_UP = "sets up this very environment"
ROBOT = "needs ROS 2 from packages and a workspace"
ASKS = "needs a running node"
PLANS = "needs a running node; test/node/test_planning.py and test_hints.py do the same"
DEPENDS = "ends as the model plans; test/cli/test_plan_bag.py runs the same"
NETWORK = "needs a network and downloads gigabytes"
MINUTES = "measures for minutes"
NOT_RUN = {
    "make demo": f"{SETS_UP}; test/cli/test_demo.py runs the demo",
    "make test": f"{SETS_UP} and would call itself",
    "source tools/env.bash": SETS_UP,
    'llava_ov_node --autostart --ros-args -p "cameras:=[front]" -p "image_topics:=[/front/image_raw]" &': (
        "runs until it is told to stop; test/node/test_process.py starts it so"
    ),
    'python examples/ask.py "Is the door open?" --kind yes_no': f"{ASKS}; test/node/test_examples.py runs it",
    'python examples/follow_hints.py "put the mug on the desk"': f"{ASKS}; test/node/test_examples.py runs it",
    "rosdep install --from-paths src --ignore-src -y": ROBOT,
    "python3 -m venv --system-site-packages ~/.venvs/llava_ov && ~/.venvs/llava_ov/bin/pip install -r "
    "src/llava_ov_ros/requirements/runtime.txt && source ~/.venvs/llava_ov/bin/activate": (
        "downloads gigabytes; test/packaging/test_pip_line.py runs it without the downloads"
    ),
    'python src/llava_ov_ros/examples/ask.py "Is the door open?" --kind yes_no': (
        f"{ASKS}; test/packaging/test_messages_alone.py runs it"
    ),
    "colcon test --packages-select llava_ov_ros": f"{ROBOT}; test/packaging/test_messages_alone.py runs it",
    "colcon test-result --verbose": f"{ROBOT}; test/packaging/test_messages_alone.py runs it",
    "colcon build --packages-select llava_ov_ros": ROBOT,
    "source install/setup.bash": ROBOT,
    "ros2 launch llava_ov_ros llava_ov.launch.py cameras:=front image_topics:=/front/image_raw "
    "model:=$HOME/models/ov-0.5b": ROBOT,
    "ros2 launch llava_ov_ros llava_ov.launch.py model:=$HOME/models/ov-0.5b": ROBOT,
    "ros2 launch llava_ov_ros llava_ov.launch.py model:=llava-hf/llava-onevision-qwen2-7b-ov-hf device:=cuda": ROBOT,
    "ros2 launch llava_ov_ros replay.launch.py bag:=my_bag ask:='What do you see?' every:=5": ROBOT,
    "ros2 service call /llava_ov/ask llava_ov_ros/srv/Ask \"{question: 'Is the door open?', kind: yes_no}\"": (
        f"{ASKS}; test/node/test_kinds.py does the same"
    ),
    "ros2 service call /llava_ov/ask llava_ov_ros/srv/Ask "
    "\"{question: 'And on it?', history: ['What is there?', 'a desk']}\"": (
        f"{ASKS}; test/node/test_kinds.py does the same"
    ),
    "ros2 action send_goal --feedback /llava_ov/ask llava_ov_ros/action/Ask \"{question: 'What is on the table?'}\"": (
        ASKS
    ),
    "ros2 topic echo /llava_ov/answers": ASKS,
    "ros2 service call /llava_ov/plan llava_ov_ros/srv/Plan \"{goal: 'put the mug on the desk'}\"": PLANS,
    "ros2 action send_goal --feedback /llava_ov/plan llava_ov_ros/action/Plan \"{goal: 'put the mug on the desk'}\"": (
        PLANS
    ),
    "ros2 service call /llava_ov/set_goal llava_ov_ros/srv/SetGoal \"{goal: 'put the mug on the desk'}\"": PLANS,
    "ros2 topic echo /llava_ov/action_hint": PLANS,
    "ros2 service call /llava_ov/step_done llava_ov_ros/srv/ReportStep "
    '"{action: PickupObject, arguments: [mug], outcome: 1}"': f"{ASKS}; test/node/test_reports.py does the same",
    "ros2 service call /llava_ov/next_step llava_ov_ros/srv/NextStep": f"{ASKS}; test/node/test_reports.py does this",
    "ros2 service call /llava_ov/step_done llava_ov_ros/srv/ReportStep \"{step: 'PickupObject mug'}\"": PLANS,
    'llava-ov plan examples/demo_room --goal "put the mug in the fridge"': DEPENDS,
    'llava-ov plan examples/demo_room --goal "put the mug in the fridge" --at 4 --decoding free --json': DEPENDS,
    'llava-ov plan examples/demo_room --goal "heat the mug and put it in the fridge" --decoding certified': (
        "ends as the model plans; test/planning/model/test_certified.py plans so"
    ),
    "ros2 service call /llava_ov/plan llava_ov_ros/srv/Plan "
    "\"{goal: 'in(mug, desk); is(mug, heated)', decoding: certified}\"": (
        f"{ASKS}; test/node/test_certified.py does the same"
    ),
    "ros2 topic echo --once /diagnostics": ASKS,
    "export FASTRTPS_DEFAULT_PROFILES_FILE=$(ros2 pkg prefix --share llava_ov_ros)/config/fastdds.xml": ROBOT,
    "export FASTDDS_DEFAULT_PROFILES_FILE=$(ros2 pkg prefix --share llava_ov_ros)/config/fastdds.xml": ROBOT,
    "llava-ov web": "runs until it is told to stop; test/web runs it",
    "llava-ov doctor": "ends as this machine is; test/cli/test_doctor.py runs it",
    "llava-ov cameras": "needs a camera; test/cli/test_cameras.py runs it with one",
    "llava-ov cameras --seconds 5": "needs a camera; test/cli/test_cameras.py runs it with one",
    "llava-ov eval interleave interleave_data --model ~/models/ov-7b --out interleave_7b": (
        "needs published files and gigabytes; test/evaluation/benchmarks/test_interleave_run.py runs a small one"
    ),
    "lmms-eval --model llava_ov_ros --model_args pretrained=~/models/ov-7b --tasks mme,mmbench_en_dev,nextqa_mc_test": (
        f"{NETWORK}; test/evaluation/benchmarks/test_lmms_eval.py runs a small task"
    ),
    "llava-ov eval examples/suite.yaml --out out/live --live": (
        "starts a node and plays in real time; test/cli/test_eval_live.py does the same"
    ),
    "llava-ov bench engine --shape slice --repeats 7": f"{MINUTES}; test/onevision/test_benchmark.py runs it",
    "tools/check_gpu.sh": "needs a GPU; test/tools/test_check_gpu.py rehearses it without one",
    "llava-ov rooms evaluate --live --each 100": f"{MINUTES}; test/cli/test_rooms.py runs a short one",
    "llava-ov rooms evaluate --each 100 --recordings my_bag": (
        "needs a recording of yours; test/cli/test_rooms_recordings.py asks about others"
    ),
    "llava-ov rooms episodes": f"{MINUTES}; test/cli/test_rooms_episodes.py plays one",
    "llava-ov rooms episodes --count 1 --seed 7": "test/cli/test_rooms_episodes.py plays another",
    "llava-ov rooms episodes --act --decoding both --faults 0.2 --count 100": (
        f"{MINUTES}; test/cli/test_rooms_loops.py runs a short one"
    ),
    "python tools/rooms/train.py --out out/rooms": "hours; test/tools/test_rooms_training.py runs a few steps",
    "llava-ov rooms evaluate --model out/rooms/checkpoint": "needs a trained model; the same runs with the shipped one",
    "llava-ov bench callbacks --seconds 30": f"{MINUTES}; test/cli/test_bench_callbacks.py runs a short one",
    "llava-ov bench idle": f"{MINUTES}; test/cli/test_bench_idle.py runs a short one",
    "hf download llava-hf/llava-onevision-qwen2-0.5b-ov-hf --local-dir ~/models/ov-0.5b": NETWORK,
}


def commands(document: Path) -> list[str]:
    """The commands in the bash blocks of a document, continued lines joined, comments left out."""
    blocks = re.findall(r"^```bash\n(.*?)^```", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    lines = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [re.sub(r"\s+#.*", "", line) for line in lines if line and not line.startswith("#")]


ALL = list(dict.fromkeys(command for document in DOCUMENTS for command in commands(document)))


def test_commands_that_are_not_run_are_still_documented():
    assert set(NOT_RUN) - set(ALL) == set()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A folder that looks like the repository, in which commands may write."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in FOLDERS:
        (folder / name).symlink_to(ROOT / name)
    return folder


RUN = [
    pytest.param(command, marks=[pytest.mark.long] if command.startswith(SCORES) else [])
    for command in ALL
    if command not in NOT_RUN and not command.startswith(INSTALLS)
]


@pytest.mark.timeout(LIMIT_S + 10)
@pytest.mark.parametrize("command", RUN)
def test_documented_command_runs(command, checkout):
    program = command.split()[0]
    assert shutil.which(program), f"{program} is not in this environment; a command that cannot run goes into NOT_RUN"
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=checkout,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    if "--quantize int8" in command and (reason := why_no_int8()):
        assert ended.returncode == 1 and reason in ended.stderr, ended.stderr
    else:
        assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.long
@pytest.mark.timeout(5 * LIMIT_S)
@pytest.mark.parametrize("command", [command for command in ALL if command.startswith(INSTALLS)])
def test_documented_installation_finds_the_extra(command, tmp_path):
    found = re.fullmatch(r"pip install '\.\[([\w-]+)\]'", command)
    assert found, "an extra is installed from the checkout: the package is on no index"
    report = tmp_path / "report.json"
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{command} --dry-run --report {report}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=4 * LIMIT_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "does not provide the extra" not in ended.stderr
    here = next(one for one in json.loads(report.read_text())["install"] if one["metadata"]["name"] == "llava_ov_ros")
    assert here["requested_extras"] == [found[1]]
    assert found[1] in here["metadata"]["provides_extra"]


def anchors(document: Path) -> set[str]:
    """Anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "document", [*DOCUMENTS, MODEL_CARD, CONTRIBUTING], ids=lambda document: str(document.relative_to(ROOT))
)
def test_links_inside_the_repository_lead_somewhere(document):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = document.parent / path if path else document
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []
