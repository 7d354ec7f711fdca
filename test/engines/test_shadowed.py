"""The shadow: the same questions, afterwards, and nothing of its answers reaches a caller."""

import json
import threading
import time

from llava_ov_ros.asking import Ask
from llava_ov_ros.engines import ShadowedEngine
from llava_ov_ros.engines.agreement import MOST_FILE_BYTES, AgreementLog, compared
from llava_ov_ros.engines.shadowed import MOST_WAITING
from llava_ov_ros.onevision import load_engine


def asked(engine, clip, *asks):
    """The outcomes in the order in which they came."""
    return [outcome for _, outcome in engine.stream([clip], asks, mode="video")]


def lines(file):
    """The lines of a file of comparisons."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_answers_are_compared_and_only_the_first_engine_is_heard(engine, given, clip, tmp_path, wait_until):
    file = tmp_path / "new" / "shadow.jsonl"
    heard = []

    def say(ask):
        ask.on_text("shadow speaks")
        return "no" if ask.choices else "a red mug"

    shadow = engine("new", say)
    both = ShadowedEngine(engine("old", lambda ask: "yes" if ask.choices else "a red mug"), shadow, AgreementLog(file))
    first, second = asked(both, clip, Ask("What?", on_text=heard.append), Ask("Is it?", choices=("yes", "no")))
    assert (first.text, second.text, heard) == ("a red mug", "yes", [])
    wait_until(lambda: both.counted()["shadow_compared"] == 2, "both questions are compared")
    assert shadow.asked == ["What?", "Is it?"]
    counted = both.counted()
    assert (counted["shadow_same_text"], counted["shadow_choices"], counted["shadow_same_choice"]) == (1, 1, 0)
    both.close()
    one, other = lines(file)
    assert one["frames"] == {"front": [0, 1]}
    assert (one["model"], one["shadow"], one["same_text"], one["same_choice"]) == ("old", "new", True, None)
    assert (other["text"], other["shadow_text"], other["same_choice"]) == ("yes", "no", False)
    # Both are sure of their own: 1 / (1 + exp(-3)), and its complement.
    assert abs(other["probability_difference"] - 0.9051) < 1e-3


def test_a_shadow_on_this_machine_waits_and_gives_way(engine, clip, wait_until):
    """While the first engine is asked, the shadow does not begin; what it had begun it gives up, and begins again."""
    log, release = [], threading.Event()

    def slow(ask):
        log.append(f"shadow: {ask.question}")
        while not release.wait(0.01):
            if ask.should_stop() is not None:
                log.append("shadow gives way")
                break
        return "late"

    def first(ask):
        if ask.question == "second":
            wait_until(lambda: log[-1] == "shadow gives way", "the shadow gives way")
            # Time to begin again, which it must not take.
            time.sleep(0.1)
            log.append("answered: second")
        return "now"

    both = ShadowedEngine(engine("old", first), engine("new", slow, memory=1), AgreementLog(None))
    asked(both, clip, Ask("first"))
    wait_until(lambda: log, "the shadow begins")
    asked(both, clip, Ask("second"))
    release.set()
    wait_until(lambda: both.counted()["shadow_compared"] == 2, "both are compared in the end")
    assert log == ["shadow: first", "shadow gives way", "answered: second", "shadow: first", "shadow: second"]
    both.close()


def test_a_shadow_that_fails_disturbs_nobody(engine, clip, wait_until):
    def fails(ask):
        if ask.question == "raise":
            raise RuntimeError("the shadow has a fault")
        return RuntimeError("the shadow cannot answer")

    both = ShadowedEngine(engine("old", lambda ask: "fine"), engine("new", fails), AgreementLog(None))
    assert [answer.text for answer in asked(both, clip, Ask("raise"), Ask("yield"))] == ["fine", "fine"]
    wait_until(lambda: both.counted()["shadow_failed"] == 2, "both failures are counted")
    assert [answer.text for answer in asked(both, clip, Ask("again"))] == ["fine"]
    both.close()


def test_questions_that_wait_for_the_shadow_are_bounded(engine, clip, wait_until):
    release = threading.Event()
    shadow = engine("new", lambda ask: "x" if release.wait(60) else "late")
    both = ShadowedEngine(engine("old", lambda ask: "x"), shadow, AgreementLog(None))
    asked(both, clip, Ask("held"))
    wait_until(lambda: shadow.asked == ["held"], "the shadow is busy")
    asked(both, clip, *(Ask(f"question {number}") for number in range(MOST_WAITING + 5)))
    assert both.counted()["shadow_skipped"] == 5
    release.set()
    wait_until(lambda: both.counted()["shadow_compared"] == MOST_WAITING + 1, "the others are compared")
    both.close()


def test_closing_does_not_wait_for_the_shadow(engine, given, clip):
    begun = threading.Event()

    def endless(ask):
        begun.set()
        while ask.should_stop() is None:
            pass
        return given("", ask)

    first, shadow = engine("old", lambda ask: "x"), engine("new", endless)
    both = ShadowedEngine(first, shadow, AgreementLog(None))
    asked(both, clip, Ask("What?"))
    assert begun.wait(60)
    both.close()
    assert (first.closed, shadow.closed) == (1, 1)


def test_answers_that_were_cut_off_are_not_compared(engine, clip):
    shadow = engine("new", lambda ask: "x")
    both = ShadowedEngine(engine("old", lambda ask: "x"), shadow, AgreementLog(None))
    asked(both, clip, Ask("What?", should_stop=lambda: "deadline"))
    both.close()
    assert shadow.asked == []


def test_the_file_is_bounded_and_a_folder_that_cannot_be_written_is_no_fault(given, clip, tmp_path, caplog):
    ask = Ask("What is there? " * 400)
    pair = compared(ask, [clip], "video", ("old", "new"), given("a", ask), given("b", ask))
    log = AgreementLog(tmp_path / "shadow.jsonl")
    for _ in range(3 * MOST_FILE_BYTES // 6500):
        log.add(pair)
    log.close()
    sizes = {file.name: file.stat().st_size for file in tmp_path.iterdir()}
    assert sorted(sizes) == ["shadow.jsonl", "shadow.jsonl.1"]
    assert max(sizes.values()) <= MOST_FILE_BYTES
    (tmp_path / "a file").touch()
    log = AgreementLog(tmp_path / "a file" / "shadow.jsonl")
    log.add(pair)
    assert "only counted" in caplog.text
    assert (log.counted()["shadow_compared"], log.counted()["shadow_file"]) == (1, "")


def test_two_real_models_agree_as_their_answers_do(rooms, clip, wait_until):
    """The shipped model in the shadow of itself: every text is the same, and every probability to the bit."""
    both = ShadowedEngine(load_engine(str(rooms)), load_engine(str(rooms)), AgreementLog(None))
    asks = [Ask("What is on the table?"), Ask("Is there a mug?", choices=("yes", "no", "cannot tell"))]
    assert len(asked(both, clip, *asks)) == 2
    wait_until(lambda: both.counted()["shadow_compared"] == 2, "both are compared")
    counted = both.counted()
    assert (counted["shadow_same_text"], counted["shadow_same_choice"]) == (2, 1)
    assert counted["shadow_largest_difference"] == "0.0000"
    both.close()
