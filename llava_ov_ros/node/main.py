"""Runs the node as a process: executor threads, shutdown and exit code."""

from __future__ import annotations

import argparse
import faulthandler
import sys
import threading
import traceback
from collections.abc import Callable

import rclpy
from rclpy.exceptions import InvalidHandle, NameValidationException, ParameterException
from rclpy.executors import Executor, ExternalShutdownException, MultiThreadedExecutor, ShutdownException
from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

from ..missing_module import MODEL_MODULES, require
from ..settings import ParameterError
from ..settings.parameters import MOST_TOGETHER, MOST_WAITING
from .bring_up import bring_up
from .node import LlavaOvNode
from .signals import StopSignals
from .transitions import RCLError

# The executor makes threads when they are needed: one for each request that waits or is being answered, the others for
# refusals, images, parameters, cancels and timers.
EXECUTOR_THREADS = MOST_WAITING + MOST_TOGETHER + 64
# A stopped container or launch kills its processes after 10 s or more; the node ends before that, whatever hangs.
END_WITHIN_S = 9.0
EXECUTOR_END_S = 1.0
EXAMPLES = """\
examples:
  llava_ov_node --autostart --ros-args -p "cameras:=[front]" -p "image_topics:=[/front/image_raw]"
  llava_ov_node --ros-args --params-file llava_ov.yaml -r __ns:=/robot1

`llava-ov parameters` lists the parameters; docs/interfaces.md says what the node offers.
"""


def spin(executor: Executor, log: RcutilsLogger, stopping: Callable[[], bool] = lambda: False) -> None:
    """Run callbacks until the executor or its context is shut down.

    rclpy's own loop ends with the first callback that raises; the node would then react to nothing.

    Args:
        executor: The executor that holds the node.
        log: Logger for the errors of callbacks.
        stopping: Returns whether the executor is being shut down. Errors are then logged as debug messages, because
            the executor's own loop can raise during its shutdown.
    """
    while True:
        try:
            executor.spin()
            return
        except (ExternalShutdownException, ShutdownException):
            return
        except InvalidHandle:
            # Another thread destroyed an entity after the entity became ready and before its callback ran.
            continue
        except Exception as error:  # noqa: BLE001 - one failed callback must not end the others
            failed = "a callback failed: " + "".join(traceback.format_exception(error))
            if stopping():
                log.debug(failed)
            else:
                log.error(failed)


def main(signals: StopSignals) -> int:
    """Spin the node until it is told to stop.

    Args:
        signals: The stop signals, whose handlers are installed already.

    Returns:
        0 after SIGINT, SIGTERM or SIGHUP, also while the model is loading or answering; 1 if `--autostart` could not
        activate the node; 2 if a parameter or argument given at start cannot be used. Threads that load or compute may
        be left. If the node does not end within 9 s, the process exits with 1, and the standard error shows what each
        thread was doing.

    Raises:
        ModuleNotFoundError: A module that the node needs for loading a model is not installed.
    """
    if signals.told:
        return 0
    try:
        autostart: bool = _parser().parse_args(remove_ros_args(sys.argv)[1:]).autostart
        require(MODEL_MODULES)
        # rclpy's own handlers end the context at once; no client could then be told that its request is cancelled.
        rclpy.init(args=sys.argv, signal_handler_options=SignalHandlerOptions.NO)
    except RCLError as error:
        return _refuse(error)
    try:
        node = LlavaOvNode()
    except (ParameterError, ParameterException, NameValidationException) as error:
        rclpy.try_shutdown()
        return _refuse(error)
    executor = MultiThreadedExecutor(num_threads=EXECUTOR_THREADS)
    executor.add_node(node)
    stopping = threading.Event()

    def spin_until_shutdown() -> None:
        spin(executor, node.get_logger(), stopping.is_set)
        signals.tell()

    spinner = threading.Thread(target=spin_until_shutdown, name="llava_ov_executor", daemon=True)
    spinner.start()
    failures: list[str] = []

    def start() -> None:
        failure = bring_up(node.get_fully_qualified_name(), lambda: signals.told)
        if failure:
            node.get_logger().error(failure)
            failures.append(failure)
            signals.tell()

    if autostart:
        threading.Thread(target=start, name="llava_ov_autostart", daemon=True).start()
    else:
        name = node.get_fully_qualified_name()
        node.get_logger().info(
            f"unconfigured: ros2 lifecycle set {name} configure, then ros2 lifecycle set {name} activate; "
            "--autostart does both"
        )
    signals.wait()
    # faulthandler runs in C, so that it works while the model keeps Python from running.
    faulthandler.dump_traceback_later(END_WITHIN_S, exit=True)
    node.get_logger().info("stopping")
    node.finish()
    stopping.set()
    # The executor ends before the node's entities: rclpy would wait for an action server that is destroyed, and raise.
    executor.shutdown(timeout_sec=EXECUTOR_END_S)
    spinner.join(timeout=EXECUTOR_END_S)
    node.destroy_node()
    rclpy.try_shutdown()
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments that are not ROS arguments; help or a wrong argument ends the process."""
    parser = argparse.ArgumentParser(
        prog="llava_ov_node",
        usage="llava_ov_node [-h] [--autostart] [--ros-args -p NAME:=VALUE --params-file FILE -r OLD:=NEW ...]",
        description="Runs the node that answers questions about camera streams, until SIGINT or SIGTERM.\n"
        "It is a managed node: it answers once it has been configured and activated,\n"
        "by a launch file, by Nav2, by hand, or by itself (--autostart).",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--autostart", action="store_true", help="configure and activate the node at once; exit code 1 where that fails"
    )
    return parser


def _refuse(error: Exception) -> int:
    """Print in one line why the node does not start, because there is no logger yet; return the exit code 2."""
    print(f"llava_ov_node: {' '.join(str(error).split())}", file=sys.stderr)  # noqa: T201
    return 2
