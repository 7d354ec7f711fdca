#!/usr/bin/env python3
"""Measures what browsers cost: the node's answer times with and without 20 of them, and the web process's memory.

`OMP_NUM_THREADS=1 python test/web/load.py --minutes 5`; blocks with and without browsers take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil
import websockets

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fixtures.web_page import RoomCameras, WebProcess, node_of

CAMERAS = ("front", "left", "right", "rear")
CLIENTS = 20
ASKS = 20
BLOCKS = 6
MIB = 2**20


def ask_times(cameras: RoomCameras, count: int) -> list[float]:
    """Seconds from each question to its answer, at the service, one after the other."""
    from llava_ov_ros.srv import Ask

    times = []
    for number in range(count):
        began_s = time.monotonic()
        answer = cameras.call(Ask, "ask", Ask.Request(question=f"What colour is the bed? {number}")).answer
        times.append(time.monotonic() - began_s)
        assert answer.status == answer.OK, answer.message
    return times


async def browsers(address: str, leave: asyncio.Event, counts: list[int]) -> None:
    """Watch with 20 clients until told to leave; counts their pictures."""

    async def watch(number: int) -> None:
        async with websockets.connect(
            f"{address.replace('http', 'ws')}/api/events", proxy=None, compression=None
        ) as one:
            while not leave.is_set():
                message = await one.recv()
                counts[number] += isinstance(message, bytes)

    await asyncio.gather(*(watch(number) for number in range(CLIENTS)))


async def measure(cameras: RoomCameras, web: WebProcess, minutes: float) -> None:
    """Ask in blocks with and without browsers, then watch the memory."""
    process = psutil.Process(web.process.pid)
    found: dict[bool, list[float]] = {True: [], False: []}
    counts = [0] * CLIENTS
    until_s = time.monotonic() + 60 * minutes
    block = 0
    while block < BLOCKS or time.monotonic() < until_s:
        watched = block % 2 == 1
        leave = asyncio.Event()
        clients = asyncio.create_task(browsers(web.address, leave, counts)) if watched else None
        await asyncio.sleep(2)
        before_s, began_s = sum(process.cpu_times()[:2]), time.monotonic()
        times = await asyncio.to_thread(ask_times, cameras, ASKS)
        share = (sum(process.cpu_times()[:2]) - before_s) / (time.monotonic() - began_s)
        found[watched] += times
        if clients is not None:
            leave.set()
            await clients
        rss = process.memory_info().rss / MIB
        label = "20 browsers" if watched else "no browser "
        counted = f"rss {rss:.1f} MiB, {process.num_threads()} threads, {process.num_fds()} fds"
        print(
            f"{block}: {label} {1000 * statistics.median(times):.0f} ms, cpu {100 * share:.0f} %, {counted}", flush=True
        )
        block += 1
    for watched, times in found.items():
        p95 = statistics.quantiles(times, n=20)[18]
        name = "20 browsers" if watched else "no browser"
        print(f"{name}: n {len(times)}, median {1000 * statistics.median(times):.1f} ms, p95 {1000 * p95:.1f} ms")
    print(f"pictures for each browser: {min(counts)} to {max(counts)}")


def main() -> None:
    """Start everything, measure, end everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="least time to measure (default: %(default)g)")
    minutes = parser.parse_args().minutes
    cameras = RoomCameras(CAMERAS)
    with tempfile.TemporaryDirectory() as folder, node_of(cameras, Path(folder) / "node.log") as node:
        web = WebProcess(node.name, Path(folder) / "web.log")
        try:
            while not web.state()["node"]["up"] or {one["state"] for one in web.state()["diagnostics"]["cameras"]} != {
                "ok"
            }:
                time.sleep(0.5)
            asyncio.run(measure(cameras, web, minutes))
        finally:
            web.end()
            cameras.close()


if __name__ == "__main__":
    main()
