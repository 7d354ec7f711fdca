"""The error of a bag that cannot be read, which names the repair tool for the kind of file."""

from __future__ import annotations

from pathlib import Path

_MAGIC = {".mcap": b"\x89MCAP0\r\n", ".db3": b"SQLite format 3\x00", ".bag": b"#ROSBAG V2.0"}
_KIND = {".mcap": "an MCAP file", ".db3": "an SQLite database", ".bag": "a bag of ROS 1"}
_REPAIR = {
    ".mcap": "mcap recover {file} -o {new}",
    ".db3": 'sqlite3 {file} ".recover" | sqlite3 {new}',
    ".bag": "rosbag reindex {file}",
}
_TOOL = {
    ".mcap": "mcap is at https://mcap.dev/guides/cli",
    ".db3": "sqlite3 is in the package of that name",
    ".bag": "rosbag is part of ROS 1",
}


class BagError(Exception):
    """A bag cannot be used as asked; the text names the bag, the reason and the remedy."""


def unreadable(path: Path, error: Exception) -> BagError:
    """Make the error of a file that a reader cannot read.

    Readers raise errors of struct, zstd, sqlite, failed assertions and their own. The text names a repair tool only if
    the file begins with the first bytes of its format: repair tools save the undamaged records after an undamaged
    beginning, and cannot help with an empty file or a file of another format.

    Args:
        path: A .mcap, .db3 or .bag file.
        error: The error that the reader raised.
    """
    if isinstance(error, OSError) and error.strerror:
        return BagError(f"{path}: not readable ({error.strerror})")
    if not path.stat().st_size:
        return BagError(f"{path} is empty: nothing was recorded, or the copy failed")
    magic = _MAGIC[path.suffix]
    with path.open("rb") as stream:
        begins_well = stream.read(len(magic)) == magic
    if not begins_well:
        return BagError(f"{path} is not {_KIND[path.suffix]}, by its first bytes: give the file as it was recorded")
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    repair = _REPAIR[path.suffix].format(file=path.name, new=f"repaired{path.suffix}")
    return BagError(
        f"{path} is damaged or incomplete ({reason}); `{repair}` keeps what can be read ({_TOOL[path.suffix]})"
    )
