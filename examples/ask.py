"""Asks a running node one question through its service `ask`, and prints the answer.

For example: python examples/ask.py "Is there a mug?" --kind yes_no
"""

from __future__ import annotations

import argparse
import sys

import rclpy
from llava_ov_ros.msg import Answer
from llava_ov_ros.srv import Ask


def main() -> int:
    """Ask the question and print the answer; return 0 if the node answered, 1 if it refused, 2 if no node was found."""
    parser = argparse.ArgumentParser(description="Ask a running llava_ov node one question.")
    parser.add_argument("question")
    parser.add_argument("--kind", default="text", help="text (default), phrase, yes_no, change, choice or count")
    parser.add_argument("--choice", action="append", default=[], help="an answer to choose from, with --kind choice")
    parser.add_argument("--node", default="/llava_ov", help="fully qualified name of the node")
    parser.add_argument("--wait", type=float, default=10.0, metavar="S", help="how long to wait for the node")
    options = parser.parse_args()

    rclpy.init()
    node = rclpy.create_node("ask_example")
    try:
        client = node.create_client(Ask, f"{options.node}/ask")
        if not client.wait_for_service(options.wait):
            print(f"no node {options.node} within {options.wait:g} s: start it, or give its name by --node")
            return 2
        request = Ask.Request(question=options.question, kind=options.kind, choices=options.choice)
        future = client.call_async(request)
        rclpy.spin_until_future_complete(node, future)
        answer = future.result().answer
    finally:
        node.destroy_node()
        rclpy.shutdown()
    if answer.status != Answer.OK:
        print(f"no answer (status {answer.status}): {answer.message}")
        return 1
    print(f"{answer.text}  (confidence {answer.confidence:.2f}, from {len(answer.frames)} frames)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
