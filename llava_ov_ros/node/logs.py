"""Passes the log records of the layers without ROS to the node's log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _ToNode(logging.Handler):
    def __init__(self, logger: Any) -> None:
        super().__init__(logging.INFO)
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one record on; rclpy requires that each line of code logs with one severity."""
        if record.levelno >= logging.WARNING:
            self._logger.warning(record.getMessage())
        else:
            self._logger.info(record.getMessage())


@contextmanager
def passed_on(logger: Any) -> Iterator[None]:
    """Pass the package's log records (info and above) also to an rclpy logger, while the context is open.

    Several contexts may be open at once, one for each node of a process; each logger gets all records.
    """
    package = logging.getLogger(__name__.partition(".")[0])
    handler = _ToNode(logger)
    if package.level == logging.NOTSET:
        package.setLevel(logging.INFO)
    package.addHandler(handler)
    try:
        yield
    finally:
        package.removeHandler(handler)
