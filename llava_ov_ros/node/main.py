"""Runs the node as a process: threads, ending, exit code."""

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
from .allocator import keep_large_blocks
from .bring_up import bring_up
from .node import LlavaOvNode
from .signals import StopSignals
from .transitions import RCLError

# Threads are made when they are needed: one for each request that waits or is being answered, the rest for refusals,
# images, parameters, cancels, timers.
EXECUTOR_THREADS = MOST_WAITING + MOST_TOGETHER + 64
# Whoever stops a container or a launch kills what is there after 10 s and more: whatever hangs, this ends before.
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

    rclpy's loop ends with the first callback that raises, which would leave a node that hears nothing any more.

    Args:
        executor: Holds the node.
        log: Is told of callbacks that raise.
        stopping: Whether the executor is being shut down, in the middle of which its own loop can raise.
    """
    while True:
        try:
            executor.spin()
            return
        except (ExternalShutdownException, ShutdownException):
            return
        except InvalidHandle:
            # Something was destroyed in another thread between becoming ready and being run.
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
        signals: Installed already.

    Returns:
        0 after SIGINT or SIGTERM, also while a model is loaded or asked; 1 where the node was to start active and
        could not; 2 where a parameter or argument given at start cannot be used. Threads may be left that load or
        compute. A node that does not end by itself ends the process with 1, and the standard error says what its
        threads were doing.

    Raises:
        ModuleNotFoundError: A module is not installed that the node needs once it loads a model.
    """
    keep_large_blocks()
    if signals.told:
        return 0
    try:
        autostart: bool = _parser().parse_args(remove_ros_args(sys.argv)[1:]).autostart
        require(MODEL_MODULES)
        # rclpy's own handlers end the context at once, and then nobody could be told that the answer is cancelled.
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
    # In C, so that it works where the model keeps Python from running.
    faulthandler.dump_traceback_later(END_WITHIN_S, exit=True)
    node.get_logger().info("stopping")
    node.finish()
    stopping.set()
    # Before the entities go: rclpy waits for an action server that was destroyed meanwhile, and raises.
    executor.shutdown(timeout_sec=EXECUTOR_END_S)
    spinner.join(timeout=EXECUTOR_END_S)
    node.destroy_node()
    rclpy.try_shutdown()
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    """The arguments besides those of ROS; printing the help or a wrong argument ends the process."""
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
    """Say in one line why the node does not start; there is no node yet to log with."""
    print(f"llava_ov_node: {' '.join(str(error).split())}", file=sys.stderr)  # noqa: T201
    return 2
