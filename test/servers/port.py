"""A port that can be closed and opened again: passes connections on to another address, in a process of its own.

Run as `python port.py HOST PORT TARGET_PORT`; the lines `close` and `open` on standard input close and open the port,
and the end of standard input ends the process. Closing resets all connections, as the end of a server's process does.
"""

from __future__ import annotations

import asyncio
import sys


async def passed_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Pass bytes on until the source ends, then end the target."""
    try:
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    except ConnectionError:
        pass
    finally:
        target.close()


async def main(host: str, port: int, target_port: int) -> None:
    """Serve until standard input ends."""
    open_now: set[asyncio.StreamWriter] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_now.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target_port)
        except OSError:
            writer.transport.abort()
        else:
            await asyncio.gather(passed_on(reader, far_writer), passed_on(far_reader, writer))
        finally:
            open_now.discard(writer)

    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    server = await asyncio.start_server(connected, host, port)
    print("open", flush=True)
    while line := await lines.readline():
        if line.strip() == b"close":
            server.close()
            for writer in list(open_now):
                writer.transport.abort()
        else:
            server = await asyncio.start_server(connected, host, port)
        print(line.decode().strip(), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
