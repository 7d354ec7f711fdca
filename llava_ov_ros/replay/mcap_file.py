"""Reads MCAP files by their summary, or by scanning their data if the summary is incomplete."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from lz4.frame import decompress as decompress_lz4  # type: ignore[import-untyped]
from mcap.exceptions import McapError
from mcap.reader import SeekingReader
from mcap.records import Channel, Chunk, McapRecord, Message, Schema
from mcap.stream_reader import StreamReader, breakup_chunk
from mcap.summary import Summary

from .storage import RecordedTopic, add_topic, full_type
from .zstandard import zstd


@dataclass(frozen=True)
class _ChunkPlace:
    """Position of a chunk in bytes, its first and last record time, and its channels (None: the index lists none)."""

    offset: int
    first_ns: int
    last_ns: int
    channels: Set[int] | None


class McapFile:
    """One open MCAP file. Its profile is ignored, because `mcap merge` and other tools leave the profile empty."""

    def __init__(self, path: Path, opened: Path) -> None:
        """Open the file and read its topics and its first and last record time.

        Args:
            path: The file as the user knows it.
            opened: The file to read: the same file, or a readable copy.

        Raises:
            Exception: Whatever the reader raises for a damaged file.
        """
        self.path = path
        self._opened = opened
        self._channels: dict[int, Channel] = {}
        self._schemas: dict[int, Schema] = {}
        self._counts: Counter[int] = Counter()
        self._chunks: list[_ChunkPlace] = []
        self._has_loose_messages = False
        self.span_ns: tuple[int, int] | None = None
        self._stream = opened.open("rb")
        try:
            self._learn()
        except BaseException:
            self._stream.close()
            raise
        self.topics: dict[str, RecordedTopic] = {}
        for number, channel in self._channels.items():
            schema = self._schemas.get(channel.schema_id)
            name = full_type(schema.name) if schema else "no schema"
            add_topic(self.topics, channel.topic, RecordedTopic(name, channel.message_encoding, self._counts[number]))

    def _learn(self) -> None:
        summary = SeekingReader(self._stream).get_summary()
        if summary is None or not _tells_counts_and_chunks(summary):
            self._scan()
            return
        statistics = summary.statistics
        assert statistics is not None
        self._channels, self._schemas = dict(summary.channels), dict(summary.schemas)
        self._counts = Counter(statistics.channel_message_counts)
        self._chunks = [
            _ChunkPlace(
                index.chunk_start_offset,
                index.message_start_time,
                index.message_end_time,
                index.message_index_offsets.keys() or None,
            )
            for index in summary.chunk_indexes
        ]
        self._has_loose_messages = not self._chunks
        if statistics.message_count:
            self.span_ns = statistics.message_start_time, statistics.message_end_time
        self._find_definitions(max(statistics.channel_count, len(self._counts)))

    def _find_definitions(self, channels: int) -> None:
        """Read the channels and schemas that the summary does not repeat; each is stored before its first message."""
        if self._has_definitions(channels):
            return
        with self._opened.open("rb") as stream:
            for record in _records(stream):
                self._note_definition(record)
                if isinstance(record, Chunk):
                    for inner in _inside(record):
                        self._note_definition(inner)
                if self._has_definitions(channels):
                    return

    def _has_definitions(self, channels: int) -> bool:
        return len(self._channels) >= channels and all(
            channel.schema_id == 0 or channel.schema_id in self._schemas for channel in self._channels.values()
        )

    def _note_definition(self, record: McapRecord) -> None:
        if isinstance(record, Channel):
            self._channels[record.id] = record
        elif isinstance(record, Schema):
            self._schemas[record.id] = record

    def _scan(self) -> None:
        """Read channels, schemas, counts and chunks from the data, because the summary is incomplete."""
        with self._opened.open("rb") as stream:
            offset = stream.tell()
            for record in _records(stream):
                if isinstance(record, Chunk):
                    inside = _inside(record)
                    for inner in inside:
                        self._note_definition(inner)
                    messages = _in_time(inside)
                    if messages:
                        span = messages[0].log_time, messages[-1].log_time
                        self._chunks.append(_ChunkPlace(offset, *span, {message.channel_id for message in messages}))
                    self._note_messages(messages)
                elif isinstance(record, Message):
                    self._has_loose_messages = True
                    self._note_messages([record])
                else:
                    self._note_definition(record)
                offset = stream.tell()

    def _note_messages(self, messages: list[Message]) -> None:
        for message in messages:
            self._counts[message.channel_id] += 1
            first_ns, last_ns = self.span_ns or (message.log_time, message.log_time)
            self.span_ns = min(first_ns, message.log_time), max(last_ns, message.log_time)

    def messages(self, topic: str, start_ns: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Yield the messages of a topic in order of record time; with messages outside of chunks, in the file's order.

        Args:
            topic: Name of the topic.
            start_ns: Record time in nanoseconds from which on messages are wanted; None: all messages.

        Yields:
            Record time in nanoseconds and bytes of each message.
        """
        numbers = {number for number, channel in self._channels.items() if channel.topic == topic}
        found = self._in_file_order() if self._has_loose_messages else self._in_time_order(numbers, start_ns)
        for message in found:
            if message.channel_id in numbers and (start_ns is None or message.log_time >= start_ns):
                yield message.log_time, message.data

    def _in_file_order(self) -> Iterator[Message]:
        with self._opened.open("rb") as stream:
            for record in _records(stream):
                if isinstance(record, Chunk):
                    yield from _in_time(_inside(record))
                elif isinstance(record, Message):
                    yield record

    def _in_time_order(self, numbers: Set[int], start_ns: int | None) -> Iterator[Message]:
        """Yield the messages of some channels in order of record time; memory holds only chunks whose times overlap."""
        waiting: list[tuple[int, int, Message]] = []
        taken = 0
        for place in sorted(self._chunks, key=lambda place: place.first_ns):
            if start_ns is not None and place.last_ns < start_ns:
                continue
            if place.channels is not None and not numbers & place.channels:
                continue
            while waiting and waiting[0][0] < place.first_ns:
                yield heapq.heappop(waiting)[2]
            for message in _in_time(_inside(self._chunk(place))):
                if message.channel_id in numbers:
                    heapq.heappush(waiting, (message.log_time, taken, message))
                    taken += 1
        while waiting:
            yield heapq.heappop(waiting)[2]

    def _chunk(self, place: _ChunkPlace) -> Chunk:
        self._stream.seek(place.offset)
        record = next(StreamReader(self._stream, skip_magic=True, emit_chunks=True).records)
        if not isinstance(record, Chunk):
            raise McapError(f"no chunk at byte {place.offset}, where the index has one")
        return record

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def _tells_counts_and_chunks(summary: Summary) -> bool:
    """Whether the summary has the parts that the format makes optional: statistics, counts, an index of every chunk."""
    statistics = summary.statistics
    return (
        statistics is not None
        and sum(statistics.channel_message_counts.values()) == statistics.message_count
        and len(summary.chunk_indexes) == statistics.chunk_count
    )


def _records(stream: IO[bytes]) -> Iterator[McapRecord]:
    return StreamReader(stream, emit_chunks=True).records


def _in_time(records: list[McapRecord]) -> list[Message]:
    found = [record for record in records if isinstance(record, Message)]
    return sorted(found, key=lambda message: message.log_time)


def _inside(chunk: Chunk) -> list[McapRecord]:
    """Return the records of a chunk, and verify the chunk's checksum if there is one."""
    if chunk.compression == "zstd":
        data = zstd.decompress(chunk.data)
    elif chunk.compression == "lz4":
        data = decompress_lz4(chunk.data)
    elif chunk.compression == "":
        data = chunk.data
    else:
        raise McapError(f"chunks are compressed with {chunk.compression!r}: known are zstd and lz4")
    if len(data) != chunk.uncompressed_size:
        raise McapError(f"a chunk has {len(data)} bytes instead of {chunk.uncompressed_size}")
    return breakup_chunk(replace(chunk, compression="", data=data), validate_crc=True)
