"""Runs the node as a process: signals, threads, exit code."""

from __future__ import annotations

import signal
import sys
import threading
import time
import traceback
from types import FrameType

import rclpy
from rclpy.exceptions import InvalidHandle, NameValidationException, ParameterException
from rclpy.executors import Executor, ExternalShutdownException, MultiThreadedExecutor, ShutdownException
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.signals import SignalHandlerOptions

from .allocator import keep_large_blocks
from .node import LlavaOvNode
from .parameters import MOST_TOGETHER, MOST_WAITING, ParameterError

RCLError = rclpy_implementation.RCLError
# Threads are made when they are needed: one for each request that waits or is being answered, the rest for refusals,
# images, parameters, cancels, timers.
EXECUTOR_THREADS = MOST_WAITING + MOST_TOGETHER + 64
# A terminal and a launch file may each pass on one and the same Ctrl-C.
SAME_SIGNAL_S = 1.0
TURN_S = 0.25


def spin(executor: Executor, log: RcutilsLogger) -> None:
    """Run callbacks until the executor or its context is shut down.

    rclpy's loop ends with the first callback that raises, which would leave a node that hears nothing any more.

    Args:
        executor: Holds the node.
        log: Is told of callbacks that raise.
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
            log.error("a callback failed: " + "".join(traceback.format_exception(error)))


def wait_for(told_to_stop: threading.Event) -> None:
    """Wait in the main thread until a signal's handler has set the event.

    In short turns: handlers run in the main thread only, and a signal that the kernel gives to another thread (DDS and
    torch have many) does not wake it.
    """
    while not told_to_stop.wait(TURN_S):
        pass


def main() -> int:
    """Spin the node until it is told to stop.

    Returns:
        0 after SIGINT or SIGTERM, also in mid-answer; 2 where a parameter or argument given at start cannot be used.
    """
    keep_large_blocks()
    try:
        # rclpy's own handlers end the context at once, and then nobody could be told that the answer is cancelled.
        rclpy.init(args=sys.argv, signal_handler_options=SignalHandlerOptions.NO)
    except RCLError as error:
        return _refuse(error)
    told_to_stop = threading.Event()
    told_at_s = 0.0

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal told_at_s
        if not told_to_stop.is_set():
            told_at_s = time.monotonic()
            told_to_stop.set()
        elif time.monotonic() - told_at_s > SAME_SIGNAL_S:
            # A second Ctrl-C ends the process even where the model hangs.
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    try:
        node = LlavaOvNode()
    except (ParameterError, ParameterException, NameValidationException) as error:
        rclpy.try_shutdown()
        return _refuse(error)
    executor = MultiThreadedExecutor(num_threads=EXECUTOR_THREADS)
    executor.add_node(node)

    def spin_until_shutdown() -> None:
        spin(executor, node.get_logger())
        told_to_stop.set()

    spinner = threading.Thread(target=spin_until_shutdown, name="llava_ov_executor", daemon=True)
    spinner.start()
    wait_for(told_to_stop)
    node.get_logger().info("stopping")
    node.destroy_node()
    executor.shutdown(timeout_sec=5.0)
    rclpy.try_shutdown()
    spinner.join(timeout=5.0)
    return 0


def _refuse(error: Exception) -> int:
    """Say in one line why the node does not start; there is no node yet to log with."""
    print(f"llava_ov_node: {' '.join(str(error).split())}", file=sys.stderr)  # noqa: T201
    return 2
