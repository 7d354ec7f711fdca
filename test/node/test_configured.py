"""Parameters, texts and worker are replaced together, and a request is served with those of one moment."""

import threading
from dataclasses import replace

import pytest

from llava_ov_ros.node.configured import Configuration
from llava_ov_ros.node.messages import standing_query
from llava_ov_ros.questions import Status
from llava_ov_ros.settings import ParameterError, Settings

CHANGES = 2000


def test_changes_in_several_threads_undo_none_of_each_other():
    configuration = Configuration(Settings(plan_repairs=0, hint_confidence=0.0))
    begin = threading.Barrier(2)

    def count(name, step):
        begin.wait()
        for _ in range(CHANGES):
            configuration.change(
                lambda now: replace(now, settings=replace(now.settings, **{name: getattr(now.settings, name) + step}))
            )

    threads = [threading.Thread(target=count, args=("max_new_tokens", 1)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert configuration.now.settings.max_new_tokens == Settings().max_new_tokens + 2 * CHANGES


def test_a_change_that_raises_leaves_the_old_one():
    configuration = Configuration(Settings())
    before = configuration.now
    with pytest.raises(ParameterError, match="max_new_tokens is 0"):
        configuration.change(lambda now: replace(now, settings=replace(now.settings, max_new_tokens=0)))
    assert configuration.now is before
    after = replace(before, settings=Settings(max_new_tokens=9))
    assert configuration.change(lambda now: after) == (before, after)


def test_a_request_that_came_before_the_node_was_active_is_not_answered_by_the_worker_of_now(rig, scripted):
    """Its query was made without the prompts that the worker's model needs."""
    robot = rig(load=scripted(lambda *_: "an answer"), active=False)
    node = robot.live
    before = node._configuration.now
    robot.transition("configure")
    robot.transition("activate")
    now = node._configuration.now
    assert before.worker is None and now.worker is not None and now.words is not None
    results = []
    assert node._submitting.submit(before, standing_query("What is there?", before.settings), results.append) is None
    assert [result.status for result in results] == [Status.INACTIVE]
