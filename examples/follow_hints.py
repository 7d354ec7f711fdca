"""Follows hints: sets a goal, carries out each hinted step and reports the step, until the node says DONE.

For example: python examples/follow_hints.py "put the mug on the desk"
"""

import sys

import rclpy
from llava_ov_ros.msg import ActionHint
from my_robot import carry_out

from llava_ov_ros.clients import ClientError, HintClient

rclpy.init(args=sys.argv)
hints = HintClient(rclpy.create_node("follow_hints"))
try:
    turn = hints.set_goal(sys.argv[1]).wait().turn
    while (hint := hints.next_hint(turn).wait()).hint != ActionHint.DONE:
        if hint.hint == ActionHint.STEP and not hint.violations:
            succeeded = carry_out(hint.action, *hint.arguments)
            turn = (hints.report_done if succeeded else hints.report_failed)(hint).wait().turn
    hints.clear().wait()
except ClientError as error:
    sys.exit(str(error))
print("done")
