"""Writes the progress of a run to disk line by line, so that the run can be killed at any time and continued."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .answer_scores import Row
from .bag_answers import Ended, RowsAnswered
from .identity import differences

RUN, JOURNAL, FRAMES, LOCK = "run.json", "journal.jsonl", "frames", ".lock"
RESULTS = ("results.jsonl", "summary.json", "timing.json", "comparison.json", "report.html")
_ROW_FIELDS = frozenset(
    ("bag", "number", "question", "kind", "category", "at_s", "stamp_ns", "window_s", "status", "message", "text")
) | {"confidence", "gold", "frames", "new_tokens"}


class FolderError(ValueError):
    """A run cannot use a folder; the text says why, and what to do."""


class WriteError(RuntimeError):
    """A folder cannot be written any more, as on a full disk; the text says why. Earlier answers are kept."""


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn errors of writing to a folder into a `WriteError`."""
    try:
        yield
    except OSError as error:
        raise WriteError(f"{folder} cannot be written: {error.strerror or error}") from None


class Journal:
    """The folder of a run, while the `with` block lasts.

    Attributes:
        folder: Path of the folder.
        rows: Answers so far, by number of the bag and of the trial.
        timings: Times of these answers, by the same numbers.
        remarks: Remarks on the finished bags, by number of the bag.
        delivery: Numbers of pictures per camera in a live run, by number of the bag.
        damaged: Numbers, from 1, of journal lines that could not be read; these lines were removed.
    """

    def __init__(self, folder: Path, identity: dict[str, Any], restart: bool) -> None:
        """Check the folder without changing it.

        Args:
            folder: Folder of the run; need not exist.
            identity: The identity of the run, from `identity`.
            restart: Whether to throw away a run that the folder holds.

        Raises:
            FolderError: The folder holds something other than a run, or it holds another run and `restart` is false.
        """
        self.folder = folder
        self._identity = identity
        self.rows: dict[tuple[int, int], Row] = {}
        self.timings: dict[tuple[int, int], dict[str, Any]] = {}
        self.remarks: dict[int, tuple[str, ...]] = {}
        self.delivery: dict[int, list[dict[str, Any]]] = {}
        self.damaged: list[int] = []
        self._anew = restart
        if folder.exists() and not folder.is_dir():
            raise FolderError(f"{folder} is no folder")
        run = folder / RUN
        if run.exists():
            changes = self._changes(run)
            if changes and not restart:
                raise FolderError(
                    f"{folder} holds a run of something else: {'; '.join(changes)}. "
                    "Give --restart to throw it away, or another --out"
                )
            self._anew = restart
        elif folder.is_dir() and any(path.name not in _BEGUN for path in folder.iterdir()):
            raise FolderError(f"{folder} is not empty and holds no run: give another --out")

    def _changes(self, run: Path) -> list[str]:
        try:
            before = json.loads(run.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            return [f"{run} cannot be read ({error})"]
        if not isinstance(before, dict):
            return [f"{run} cannot be read (it holds no mapping)"]
        return differences(before, json.loads(json.dumps(self._identity)))

    def __enter__(self) -> Self:
        """Lock the folder, and read the journal that it holds.

        Raises:
            FolderError: Another run is writing to the folder, or the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = (self.folder / LOCK).open("w")
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._lock.close()
                raise FolderError(f"another run is writing to {self.folder}") from None
            if self._anew:
                for name in (JOURNAL, RUN, *RESULTS):
                    (self.folder / name).unlink(missing_ok=True)
                shutil.rmtree(self.folder / FRAMES, ignore_errors=True)
            for name in _PARTS:
                (self.folder / name).unlink(missing_ok=True)
            write_whole(self.folder / RUN, json.dumps(self._identity, indent=1, ensure_ascii=False) + "\n")
            self._read()
            self._file = (self.folder / JOURNAL).open("ab")
        except OSError as error:
            raise FolderError(f"{self.folder} cannot be written: {error.strerror or error}") from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        # A failed write was reported already, and closing the file would try it again.
        with suppress(OSError):
            self._file.close()
        self._lock.close()

    def _read(self) -> None:
        """Read the journal; cut off an unfinished last line, and remove damaged lines."""
        path = self.folder / JOURNAL
        if not path.exists():
            return
        whole = 0
        kept: list[bytes] = []
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                if (said := _said(line)) is None:
                    self.damaged.append(number)
                else:
                    kept.append(line)
                    self._note(said)
        if self.damaged:
            write_bytes_whole(path, b"".join(kept))
        else:
            os.truncate(path, whole)

    def _note(self, line: dict[str, Any]) -> None:
        shard = line["shard"]
        if "remarks" in line:
            self.remarks[shard] = tuple(line["remarks"])
            self.delivery[shard] = line["delivery"]
            return
        for row, timing in zip(line["rows"], line["timings"], strict=True):
            self.rows[shard, row["number"]] = row
            self.timings[shard, row["number"]] = timing

    def take(self, event: RowsAnswered | Ended) -> None:
        """Write an event to the journal; answers of one event are written together or not at all.

        Raises:
            WriteError: The disk is full, or the folder cannot be written any more.
        """
        line: dict[str, Any] = {"shard": event.shard}
        if isinstance(event, RowsAnswered):
            # Pictures are written first, so that every row in the journal has its pictures.
            self.keep(event.pictures)
            line |= {"rows": list(event.rows), "timings": list(event.timings)}
        else:
            line |= {"remarks": list(event.remarks), "delivery": list(event.delivery)}
        with writing(self.folder):
            self._file.write((json.dumps(line, ensure_ascii=False) + "\n").encode())
            self._file.flush()
        # Note the line as read back from JSON, so that a continued run gives the same results.
        self._note(json.loads(json.dumps(line)))

    def keep(self, pictures: Mapping[str, bytes]) -> None:
        """Write small pictures, by their `picture_name`.

        Raises:
            WriteError: The pictures cannot be written.
        """
        with writing(self.folder):
            for name, data in pictures.items():
                path = self.folder / FRAMES / name
                path.parent.mkdir(parents=True, exist_ok=True)
                write_bytes_whole(path, data)

    def done(self) -> dict[int, frozenset[int]]:
        """Numbers of the answered trials, by number of the bag."""
        found: dict[int, set[int]] = defaultdict(set)
        for shard, number in self.rows:
            found[shard].add(number)
        return {shard: frozenset(numbers) for shard, numbers in found.items()}


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    write_bytes_whole(path, text.encode())


def write_bytes_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        OSError: The file cannot be written; its earlier content is unchanged.
    """
    beside = path.with_name(_part(path.name))
    try:
        beside.write_bytes(data)
        beside.replace(path)
    except OSError:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise


def _part(name: str) -> str:
    return f".{name}.part"


_PARTS = tuple(_part(name) for name in (RUN, JOURNAL, *RESULTS))
_BEGUN = frozenset((LOCK, *_PARTS))
"""Names of the files that a run leaves if it ends before its first file is whole."""


def _said(line: bytes) -> dict[str, Any] | None:
    """The content of a journal line; None if `Journal.take` cannot have written it."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not isinstance(said.get("shard"), int):
        return None
    if "remarks" in said:
        whole = _is_list(said["remarks"], str) and _is_list(said.get("delivery"), dict)
        return said if whole else None
    rows: Any = said.get("rows")
    timings: Any = said.get("timings")
    whole = (
        _is_list(rows, dict)
        and _is_list(timings, dict)
        and len(rows) == len(timings)
        and all(row.keys() >= _ROW_FIELDS and _is_list(row["frames"], dict) for row in rows)
        and all(timing.keys() >= {"number", "first_token_s", "total_s"} for timing in timings)
    )
    return said if whole else None


def _is_list(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(one, kind) for one in value)
