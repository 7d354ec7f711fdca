"""Passes what the layers without ROS log to the node's log."""

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
        """Pass one record on; rclpy wants each severity at a line of its own."""
        if record.levelno >= logging.WARNING:
            self._logger.warning(record.getMessage())
        else:
            self._logger.info(record.getMessage())


@contextmanager
def passed_on(logger: Any) -> Iterator[None]:
    """While it is open, the package's log records (info and above) go to an rclpy logger too.

    Several may be open at once, one for each node of a process; all hear the same.
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
