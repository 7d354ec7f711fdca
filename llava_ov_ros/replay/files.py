"""Opens the files of a recording; a file that cannot be read in place is copied first."""

from __future__ import annotations

import heapq
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import yaml

from .bag_error import BagError, unreadable
from .mcap_file import McapFile
from .storage import RosbagsFile, Storage
from .zstandard import zstd

_ROS2_SUFFIXES = (".mcap", ".db3")
_SUFFIXES = (*_ROS2_SUFFIXES, ".bag")
_COMPRESSED = ".zstd"
_METADATA = "metadata.yaml"
MOST_NAMED = 12
"""Most bags of a folder that an error message names."""
_LOGS = ("-wal", "-journal")
"""Endings of the files that SQLite leaves beside a database that was not closed: changes to apply or to roll back."""


@contextmanager
def opened(path: Path) -> Iterator[list[Storage]]:
    """Open all files of a bag, and close them when the context ends.

    Args:
        path: The bag: a folder, or a .mcap, .db3 or .bag file, each perhaps compressed as a whole (.zstd).

    Raises:
        BagError: The bag does not exist, or one of its files cannot be read.
    """
    storages: list[Storage] = []
    with ExitStack() as stack:
        for file in _files(path):
            try:
                plain = _readable(file)
                storage: Storage = (McapFile if plain.suffix == ".mcap" else RosbagsFile)(file, plain)
            except BagError:
                raise
            except Exception as error:  # noqa: BLE001 - see unreadable
                raise _unreadable(file, error) from None
            stack.callback(storage.close)
            storages.append(storage)
        yield storages


def raw_messages(storages: Sequence[Storage], topic: str, start_ns: int | None) -> Iterator[tuple[int, bytes]]:
    """Yield the messages of a topic from all files, in order of record time.

    Only files whose times overlap are read at the same time, which bounds the memory.

    Args:
        storages: The files.
        topic: Name of the topic.
        start_ns: Record time in nanoseconds from which on messages are wanted; None: all messages.

    Yields:
        Record time in nanoseconds and bytes of each message.

    Raises:
        BagError: A file is damaged.
    """
    holding = [(storage.span_ns, storage) for storage in storages if storage.span_ns and topic in storage.topics]
    together: list[Storage] = []
    end_ns = 0
    for (first_ns, last_ns), storage in sorted(holding, key=lambda one: one[0]):
        if together and first_ns > end_ns:
            yield from _merged(together, topic, start_ns)
            together, end_ns = [], 0
        together.append(storage)
        end_ns = max(end_ns, last_ns)
    yield from _merged(together, topic, start_ns)


def _merged(storages: Sequence[Storage], topic: str, start_ns: int | None) -> Iterator[tuple[int, bytes]]:
    return heapq.merge(*(_of_file(storage, topic, start_ns) for storage in storages), key=lambda message: message[0])


def _of_file(storage: Storage, topic: str, start_ns: int | None) -> Iterator[tuple[int, bytes]]:
    try:
        yield from storage.messages(topic, start_ns)
    except Exception as error:  # noqa: BLE001 - see unreadable
        raise _unreadable(storage.path, error) from None


def _files(path: Path) -> list[Path]:
    """Return the files to open for a path: the file itself, or the files of a folder."""
    if not path.exists():
        raise BagError(f"{path}: no such file or folder")
    if path.is_file():
        if _plain_name(path.name).endswith(_SUFFIXES):
            return [path]
        raise BagError(f"{path} is not a bag: give a folder with {_METADATA}, or a .mcap, .db3 or .bag file")
    if (path / _METADATA).exists():
        return _listed(path)
    files = sorted(file for file in path.iterdir() if _plain_name(file.name).endswith(_ROS2_SUFFIXES))
    if not files:
        bags = sorted(file.name for file in path.iterdir() if file.suffix == ".bag" or _is_ros2_folder(file))
        shown = ", ".join(bags[:MOST_NAMED]) + (", ..." if len(bags) > MOST_NAMED else "")
        reason = f"give one of the bags in it: {shown}" if bags else f"neither {_METADATA} nor a .mcap or .db3 file"
        raise BagError(f"{path} is not a ROS 2 bag ({reason})")
    return files


def _is_ros2_folder(path: Path) -> bool:
    """Whether a path is a folder with the files of a ROS 2 bag."""
    try:
        names = [one.name for one in path.iterdir()] if path.is_dir() else []
    except OSError:
        return False
    return _METADATA in names or any(_plain_name(name).endswith(_ROS2_SUFFIXES) for name in names)


def _listed(folder: Path) -> list[Path]:
    """Return the files that metadata.yaml lists; all other facts are read from the files themselves."""
    metadata = folder / _METADATA
    try:
        content = yaml.safe_load(metadata.read_text(encoding="utf-8"))
        # Old recorders write the folder's name before the file's name.
        names = [PurePosixPath(name).name for name in content["rosbag2_bagfile_information"]["relative_file_paths"]]
    except OSError as error:
        raise BagError(f"{metadata}: not readable ({error.strerror})") from None
    except (ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise BagError(
            f"{metadata} does not list the bag's files ({type(error).__name__}: {reason}); "
            f"`ros2 bag reindex {folder.name}` writes it anew"
        ) from None
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise BagError(f"{folder} lacks {', '.join(missing)}, which its {_METADATA} lists: copy the whole folder")
    unknown = [name for name in names if not _plain_name(name).endswith(_ROS2_SUFFIXES)]
    if unknown:
        raise BagError(f"{metadata} lists {', '.join(unknown)}: only .mcap and .db3 files can be read")
    return [folder / name for name in names]


def _plain_name(name: str) -> str:
    return name.removesuffix(_COMPRESSED)


def _unreadable(file: Path, error: Exception) -> BagError:
    if file.suffix == _COMPRESSED:
        return BagError(f"{file} cannot be decompressed or read ({type(error).__name__}: {error}): copy it again")
    return unreadable(file, error)


def _readable(file: Path) -> Path:
    """Return the file itself if it can be read in place, or a readable copy, which is kept until the process ends."""
    logs = [log for end in _LOGS if (log := file.with_name(file.name + end)).exists() and log.stat().st_size]
    if file.suffix != _COMPRESSED and not logs:
        return file
    state = [(one, one.stat().st_size, one.stat().st_mtime_ns) for one in (file, *logs)]
    return Path(_copied(tuple(state)).name, _plain_name(file.name))


@cache
def _copied(state: tuple[tuple[Path, int, int], ...]) -> TemporaryDirectory[str]:
    """Make a folder with a decompressed copy of a file, or with a copy of a database that includes its logs.

    The original stays unchanged; opening the original would make SQLite write into the recording's folder.

    Args:
        state: Path, size in bytes and time of change in nanoseconds, first of the file and then of its logs. Size and
            time are part of the cache's key, so that a file that has grown is copied again.
    """
    folder = TemporaryDirectory(prefix="llava_ov_bag_")
    file, *logs = [path for path, _, _ in state]
    copy = Path(folder.name, _plain_name(file.name))
    if file.suffix == _COMPRESSED:
        with file.open("rb") as raw, zstd.open(raw, "rb") as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target)
        return folder
    for one in (file, *logs):
        shutil.copyfile(one, Path(folder.name, one.name))
    with closing(sqlite3.connect(copy)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.execute("PRAGMA journal_mode=DELETE")
    return folder
