"""Run the installed node as a process of its own, in the same way as `ros2 run`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from rclpy.utilities import get_rmw_implementation_identifier

from ..fastdds import PROFILE_VARIABLES, shipped_profile
from ..settings import Value
from ..share import PACKAGE
from .session import LiveError

EXECUTABLE = "llava_ov_node"
END_S = 40.0


def use_large_segments() -> None:
    """Make this process and its children use the shipped Fast DDS profile, unless the user has chosen one."""
    profile = shipped_profile()
    if profile is not None and not any(os.environ.get(name) for name in PROFILE_VARIABLES):
        os.environ.update(dict.fromkeys(PROFILE_VARIABLES, str(profile)))


def middleware() -> str:
    """Return the name of the middleware in use, such as rmw_fastrtps_cpp."""
    name: str = get_rmw_implementation_identifier()
    return name


def executable() -> Path:
    """Return the path of the node's installed executable.

    Raises:
        LiveError: The package is not built, or its workspace is not sourced.
    """
    try:
        path = Path(get_package_prefix(PACKAGE)) / "lib" / PACKAGE / EXECUTABLE
    except PackageNotFoundError:
        raise LiveError(f"the package {PACKAGE} is not found: build it and source its install/setup.bash") from None
    if not path.exists():
        raise LiveError(f"{path} is missing: build the package again (colcon build)")
    return path


@contextmanager
def _signals_later() -> Iterator[None]:
    """Handle signals that come during the `with` block when the block ends: a process being started is not lost."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for noted in dict.fromkeys(came):
        signal.raise_signal(noted)


class NodeProcess:
    """The node in a process of its own; leaving the `with` block ends the process with SIGINT.

    Attributes:
        name: Fully qualified name of the node.
        log: File that receives the node's output.
    """

    def __init__(
        self,
        namespace: str,
        parameters: Mapping[str, Value],
        log: Path,
        clock: str = "/clock",
        command: Sequence[str] | None = None,
    ) -> None:
        """Prepare the process; entering the `with` block starts it.

        Args:
            namespace: Namespace of the node.
            parameters: Values of the parameters that differ from their defaults.
            log: File to write the node's output to.
            clock: Topic of the simulated time.
            command: Command to run instead of the installed executable.
        """
        self.name = f"{namespace}/llava_ov"
        self.log = log
        start = [str(executable())] if command is None else list(command)
        remappings = ["-r", f"__ns:={namespace}", "-r", f"/clock:={clock}"]
        # JSON is YAML, and quotes what YAML would take for something else.
        values = [part for name, value in parameters.items() for part in ("-p", f"{name}:={json.dumps(value)}")]
        self._command = [*start, "--ros-args", *remappings, *values]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self.log.open("wb") as log, _signals_later():
                # In a session of its own a Ctrl-C in the terminal does not reach it beside the signal sent here.
                self._process = subprocess.Popen(
                    self._command,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
        except BaseException:
            if self._process is not None:
                self.end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.end()

    @property
    def pid(self) -> int:
        """Id of the running process."""
        assert self._process is not None, "there is no process outside the with block"
        return self._process.pid

    def check(self) -> None:
        """Raise LiveError if the process has ended by itself."""
        code = self._process.poll() if self._process is not None else None
        if code is not None:
            raise LiveError(f"the node has ended by itself (exit code {code})")

    def end(self) -> int:
        """End the process and return its exit code; 0 means that the node ended in order."""
        assert self._process is not None, "end() belongs into the with block"
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        return self._process.wait()

    def tail(self, lines: int = 25) -> str:
        """Return the last lines of the node's output."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
