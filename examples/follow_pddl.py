"""Plans in PDDL from what the camera shows; for example: python examples/follow_pddl.py mug desk shelf bed."""

import sys
from dataclasses import replace

import rclpy
from my_robot import carry_out
from unified_planning.shortcuts import OneshotPlanner, get_environment

from llava_ov_ros.clients import AskClient, HintClient
from llava_ov_ros.planning import Goal, find_vocabulary, load_vocabulary
from llava_ov_ros.planning.pddl import domain_of, instances_of, problem_of

thing, place, *others = rclpy.utilities.remove_ros_args(sys.argv)[1:]
rclpy.init(args=sys.argv)
node = rclpy.create_node("follow_pddl")
places = {f"on the {one}": one for one in (place, *others)}
seen = AskClient(node).ask(f"Where is the {thing}?", kind="choice", choices=list(places)).wait()
robot = load_vocabulary(find_vocabulary("alfred"))
strict = {name: replace(one, requires=one.requires + one.expects) for name, one in robot.actions.items()}
domain = domain_of(replace(robot, actions=strict, groups={**robot.groups, "place": frozenset(places.values())}))
known = instances_of(domain, dict.fromkeys((thing, place, *others), 1))
facts = [("found", known[thing][0], known[places[seen.text]][0])]
get_environment().credits_stream = None
with OneshotPlanner(name="fast-downward", params={"fast_downward_search_config": "astar(blind())"}) as planner:
    plan = planner.solve(problem_of(domain, Goal(thing, place), known, facts)).plan
steps = [(one.action.name, *(given.object().type.name for given in one.actual_parameters)) for one in plan.actions]
done = [" ".join(step) for step in steps if carry_out(*step)]
hint = HintClient(node).next_step(f"put the {thing} on the {place}", done).wait()
sys.exit(None if hint.hint == type(hint).DONE else f"not done: {hint.action} {' '.join(hint.arguments)}")
