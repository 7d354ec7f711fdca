"""How test runs are kept apart and which tests they choose; the fixtures that several folders share."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest
from fixtures.bags import recording as recording
from fixtures.bags import shot as shot
from fixtures.bags import write_bag as write_bag
from fixtures.checkpoints import changed as changed
from fixtures.checkpoints import mug_is_too_much as mug_is_too_much
from fixtures.checkpoints import rooms as rooms
from fixtures.checkpoints import too_wide_for_float16 as too_wide_for_float16
from fixtures.servers import default_vllm as default_vllm
from fixtures.servers import transformers_server as transformers_server
from fixtures.servers import vllm_server as vllm_server
from fixtures.small_server import gone_server as gone_server
from fixtures.small_server import small_server as small_server
from fixtures.video import decode_video as decode_video
from fixtures.video import encode_video as encode_video
from fixtures.video import moving_pictures as moving_pictures
from fixtures.video import write_video_bag as write_video_bag

TESTS = Path(__file__).resolve().parent
FIRST_DOMAIN, DOMAINS = 10, 80
"""ROS domains that a run chooses from; its workers count on from there."""
CHILDREN_ABOVE = 100
"""How far above a worker's domain the one lies in which its commands start nodes."""
LAST_DOMAIN = 232
"""Of DDS."""
FOLDER = pytest.StashKey[Path]()
MARKED = {
    "ros": ("node", "live", "launch", "clients", "trees"),
    "transformers": ("onevision",),
    "servers": ("servers",),
}
"""Marks of all tests of a folder; single files elsewhere carry theirs themselves."""
SLOW_FOLDERS = ("cli", "clients", "docs", "live", "node", "onevision", "tools", "trees")
"""Handed out first, so that no worker ends with a long file alone."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds --no-skips, --questions and --web-picture."""
    parser.addoption(
        "--no-skips", action="store_true", help="a test that would be skipped fails: what it needs has to be there"
    )
    parser.addoption("--web-picture", type=Path, help="write the picture of the page there, such as docs/web.png")
    parser.addoption(
        "--questions", type=int, default=100, help="least number of questions to a real server (default: %(default)s)"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Gives this process and its children a ROS domain, folders and a share of the cores of their own.

    To be done before anything imports torch (threads) or starts rclpy (domain).
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        os.environ.setdefault("ROS_DOMAIN_ID", str(FIRST_DOMAIN + os.getpid() % DOMAINS))
    else:
        # The process that hands out the tests has chosen the first domain.
        number = int(worker.removeprefix("gw"))
        os.environ["ROS_DOMAIN_ID"] = str(int(os.environ["ROS_DOMAIN_ID"]) + number)
        # Workers that use all cores each wait for one another.
        cores = len(os.sched_getaffinity(0)) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores)))
    if int(os.environ["ROS_DOMAIN_ID"]) + CHILDREN_ABOVE > LAST_DOMAIN:
        most = LAST_DOMAIN - CHILDREN_ABOVE
        raise pytest.UsageError(
            f"ROS_DOMAIN_ID is {os.environ['ROS_DOMAIN_ID']}: commands of the tests start nodes {CHILDREN_ABOVE} above "
            f"it, and DDS has no domain above {LAST_DOMAIN}; unset it, or give one up to {most} less the workers"
        )
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    # A short path: sockets are made below it, whose names may have 107 characters.
    folder = config.stash[FOLDER] = Path(tempfile.mkdtemp(prefix="llava_ov_", dir="/tmp"))
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    os.environ["ROS_LOG_DIR"] = str(folder / "ros")
    # A command that crashes says where.
    os.environ["PYTHONFAULTHANDLER"] = "1"


def pytest_unconfigure(config: pytest.Config) -> None:
    """Removes the folders; a program that is still ending may write there meanwhile."""
    folder = config.stash.get(FOLDER, None)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of whole folders, and puts slow folders first."""

    def folder(item: pytest.Item) -> str:
        # A workspace may have the checkout as a link.
        return item.path.resolve().relative_to(TESTS).parts[0]

    for item in items:
        for mark, folders in MARKED.items():
            if folder(item) in folders:
                item.add_marker(mark)
    items.sort(key=lambda item: folder(item) not in SLOW_FOLDERS)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With --no-skips, makes a failure of a skip."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and item.config.getoption("--no-skips"):
        _, _, reason = report.longrepr
        report.outcome, report.longrepr = "failed", f"--no-skips: this test was skipped. {reason}"
    return report


@pytest.fixture(scope="session")
def domain_of_children() -> str:
    """A ROS domain that nobody else of this run uses: for commands that start nodes, or publish /clock."""
    return str(int(os.environ["ROS_DOMAIN_ID"]) + CHILDREN_ABOVE)
