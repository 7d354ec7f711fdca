"""Ticks a behaviour tree: if the camera shows the thing, the hints are followed until the node says DONE.

For example: python examples/follow_tree.py "put the mug on the desk" mug
"""

import sys

import rclpy
from my_robot import carry_out
from py_trees.common import Status
from py_trees.composites import Sequence
from py_trees.display import unicode_tree

from llava_ov_ros.clients import AskClient, HintClient
from llava_ov_ros.trees import AskChoice, FollowHints

goal, thing = sys.argv[1:3]
rclpy.init(args=sys.argv)
node = rclpy.create_node("follow_tree")
seen = AskChoice("seen", AskClient(node), f"Is there a {thing}?", expects="yes", confidence=0.5)
follow = FollowHints("follow", HintClient(node), goal, lambda hint: carry_out(hint.action, *hint.arguments))
tree = Sequence("goal", memory=True, children=[seen, follow])
while tree.status in (Status.INVALID, Status.RUNNING):
    tree.tick_once()
    rclpy.spin_once(node, timeout_sec=0.1)
print(unicode_tree(tree, show_status=True))
sys.exit(tree.status is not Status.SUCCESS)
