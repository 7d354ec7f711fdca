"""A slow browser gets fewer events and pictures and no more memory; the others get everything."""

from __future__ import annotations

import asyncio
import json
import threading

from llava_ov_ros.web.browsers import MOST_EVENTS, Browsers
from llava_ov_ros.web.handover import MOST_WAITING, Handover


def state(dropped):
    return {"event": "state", "dropped": dropped}


def test_a_slow_browser_gets_the_state_anew_and_only_the_newest_pictures():
    async def watch():
        browsers = Browsers(2, lambda is_watched: None)
        slow, quick = browsers.enter(), browsers.enter()
        assert browsers.enter() is None, "there may be two"
        assert json.loads(await slow.next(state)) == state(0)
        await quick.next(state)
        total = 3 * MOST_EVENTS
        for number in range(total):
            browsers.tell({"event": "answer", "number": number})
            browsers.show("front", b"front %d" % number)
            browsers.show("rear", b"rear %d" % number)
            assert json.loads(await quick.next(state))["number"] == number
        assert len(slow._events) <= MOST_EVENTS
        assert len(slow._pictures) == 2
        assert json.loads(await slow.next(state)) == state(total)
        assert [await slow.next(state) for _ in range(2)] == [b"front %d" % (total - 1), b"rear %d" % (total - 1)]
        assert {await quick.next(state), await quick.next(state)} == {
            b"front %d" % (total - 1),
            b"rear %d" % (total - 1),
        }
        browsers.tell({"event": "answer", "number": -1})
        assert json.loads(await slow.next(state)) == {"event": "answer", "number": -1}
        browsers.leave(slow)
        assert browsers.enter() is not None

    asyncio.run(watch())


def test_pictures_are_wanted_while_a_visible_page_watches():
    async def watch():
        told = []
        browsers = Browsers(4, told.append)
        one, other = browsers.enter(), browsers.enter()
        one.wants_pictures = False
        browsers.look()
        browsers.show("front", b"picture")
        assert (one._pictures, other._pictures) == ({}, {"front": b"picture"})
        browsers.leave(other)
        assert told == [True, True, True, False]

    asyncio.run(watch())


def test_threads_hand_over_in_order_and_a_busy_event_loop_drops_the_oldest():
    async def run():
        taken, pictures = [], []
        handover = Handover(
            asyncio.get_running_loop(), lambda *one: taken.append(one), lambda *one: pictures.append(one)
        )
        total = MOST_WAITING + 500

        def put():
            for number in range(total):
                handover.put("answer", number)
                handover.put_picture("front", b"%d" % number)

        # The loop stands still meanwhile.
        thread = threading.Thread(target=put)
        thread.start()
        thread.join()
        await asyncio.sleep(0)
        assert taken == [("answer", number) for number in range(500, total)]
        assert pictures == [("front", b"%d" % (total - 1))]
        assert handover.dropped == 500

    asyncio.run(run())
