"""Asks a running node one question, and prints the answer.

For example: python examples/ask.py "Is there a mug?" --kind yes_no
"""

from __future__ import annotations

import argparse
import sys

import rclpy
from llava_ov_ros.msg import Answer

from llava_ov_ros.clients import AskClient, ClientError, NoNodeError


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
    client = AskClient(rclpy.create_node("ask_example"), options.node, wait_s=options.wait)
    try:
        answer = client.ask(options.question, kind=options.kind, choices=options.choice).wait()
    except ClientError as error:
        print(error)
        return 2 if isinstance(error, NoNodeError) else 1
    if answer.status != Answer.OK:
        print(f"no answer (status {answer.status}): {answer.message}")
        return 1
    print(f"{answer.text}  (confidence {answer.confidence:.2f}, from {len(answer.frames)} frames)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
