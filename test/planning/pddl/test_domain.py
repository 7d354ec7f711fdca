"""Vocabularies in PDDL: what unified-planning writes, reads and simulates of them, and what cannot be expressed."""

from __future__ import annotations

from random import Random

import pytest
from unified_planning.engines import UPSequentialSimulator
from unified_planning.io import PDDLReader, PDDLWriter

from llava_ov_ros.planning import Goal, find_vocabulary, load_vocabulary
from llava_ov_ros.planning.pddl import NoCounterpartError, domain_of, instances_of, pddl_verdict, problem_of
from llava_ov_ros.planning.plan_steps import split_line

HEAD = "max_steps: 9\nstates: [open, wet]\nclasses: {box: [], mug: [], door: [], at: [], Open: []}\n"
ACTIONS = """\
actions:
  Go: {arguments: {to: door}, effects: [{go_to: to}]}
  Open: {arguments: {door: door}, requires: [{is_not: [door, open]}], effects: [{set: [door, open]}]}
  Turn: {arguments: {door: door}, effects: [{flip: [door, open]}, {flip: [door, wet]}, {flip: [door, wet]}]}
  Grab: {arguments: {thing: item}, requires: [hand_free], effects: [{pick_up: thing}]}
  Drop: {arguments: {thing: item, into: box}, requires: [{holding: thing}], effects: [{put: [thing, into]}]}
  Home: {effects: [{go_to: at}]}
  Wave: {}
"""
GROUPS = "groups: {item: [box, mug]}\n"


def robot(tmp_path, text=HEAD + GROUPS + ACTIONS):
    file = tmp_path / "robot.yaml"
    file.write_text(text)
    return load_vocabulary(file)


# It calls its parser by names that are going out of use.
@pytest.mark.filterwarnings("ignore::DeprecationWarning:unified_planning")
@pytest.mark.parametrize("name", ["alfred", "delivery"])
def test_what_is_written_can_be_read(name, tmp_path):
    domain = domain_of(load_vocabulary(find_vocabulary(name)))
    kinds = list(domain.types)[:4]
    problem = problem_of(domain, Goal(kinds[0], kinds[3]), instances_of(domain, dict.fromkeys(kinds, 1)))
    writer = PDDLWriter(problem)
    writer.write_domain(str(tmp_path / "domain.pddl"))
    writer.write_problem(str(tmp_path / "problem.pddl"))
    again = PDDLReader().parse_problem(str(tmp_path / "domain.pddl"), str(tmp_path / "problem.pddl"))
    assert len(again.actions) == len(domain.vocabulary.actions)
    assert len(again.all_objects) == len(problem.all_objects)


@pytest.mark.parametrize("which", ["alfred", "robot"])
def test_states_are_those_of_unified_planning(which, tmp_path):
    """Random walks: the same actions are possible as in its simulator, and they lead to the same states."""
    vocabulary = load_vocabulary(find_vocabulary("alfred")) if which == "alfred" else robot(tmp_path)
    domain = domain_of(vocabulary)
    counts = {"mug": 2, "box": 1, "apple": 1, "knife": 1, "microwave": 1, "desklamp": 1, "door": 1}
    instances = instances_of(domain, {kind: count for kind, count in counts.items() if kind in domain.types})
    names = [name for some in instances.values() for name in some]
    facts = [("found", name, place) for name in names for place in [*names, domain.start.name]]
    problem = problem_of(domain, None, instances, facts)
    simulator = UPSequentialSimulator(problem)
    types = {"item": [*names, domain.start.name], "fixed": [], "movable": []}
    for one in problem.all_objects:
        types[one.type.father.name if one.type.father.name != "item" else one.type.name].append(one.name)
    objects = {name: tuple(some) for name, some in types.items()} | {
        domain.types[kind].name: some for kind, some in instances.items()
    }
    done = 0
    for seed in range(3):
        rng, theirs = Random(seed), simulator.get_initial_state()
        ours = frozenset(atoms(problem, theirs))
        for _ in range(25):
            name = rng.choice(list(domain.actions))
            action, ground = problem.action(domain.actions[name].name), domain.grounded[name]
            chosen = [
                rng.choice([o for o in problem.all_objects if one.type in o.type.ancestors])
                for one in action.parameters
            ]
            binding = {one.name: value.name for one, value in zip(action.parameters, chosen, strict=True)}
            possible = ground.possible(ours, binding, objects)
            assert possible == simulator.is_applicable(theirs, action, tuple(chosen)), (name, binding)
            # Once it has ended, a walk goes nowhere.
            if possible and not vocabulary.actions[name].ends:
                theirs, ours = simulator.apply(theirs, action, tuple(chosen)), ground.after(ours, binding, objects)
                assert ours == frozenset(atoms(problem, theirs)), (name, binding)
                done += 1
    assert done > 10


def atoms(problem, state):
    """Atoms that are true in a state of unified-planning."""
    manager = problem.environment.expression_manager
    everything = [manager.ObjectExp(one) for one in problem.all_objects]
    for fluent in problem.fluents:
        ways = [()]
        for _ in fluent.signature:
            ways = [(*way, one) for way in ways for one in everything]
        for way in ways:
            if state.get_value(manager.FluentExp(fluent, way)).is_true():
                yield (fluent.name, *map(str, way))


def test_words_that_mean_something_in_pddl(tmp_path):
    """A class with the name of a condition, an action with that of a class, no effect, a class in an effect."""
    vocabulary = robot(tmp_path)
    assert pddl_verdict(vocabulary, None, split_line("Home; Open door; Turn door; Open door; Wave").steps).accepted
    assert pddl_verdict(vocabulary, None, split_line("Open door; Turn door; Turn door; Open door").steps).step == 4
    assert pddl_verdict(vocabulary, Goal("mug", "box"), split_line("Grab mug; Drop mug box").steps).accepted


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ("effects: [{put: [thing, box]}]", "an effect names the class 'box', of which there can be several things"),
        (
            "effects: [{set: [thing, open]}, {clear: [other, open]}]",
            "actions.Mix.effects: thing and other may be the same thing, and open is changed for both",
        ),
    ],
)
def test_what_cannot_be_expressed(action, message, tmp_path):
    text = f"{HEAD}{GROUPS}{ACTIONS}  Mix: {{arguments: {{thing: item, other: item}}, {action}}}\n"
    with pytest.raises(NoCounterpartError, match=message):
        domain_of(robot(tmp_path, text))


def test_more_hands_than_can_be_expressed(tmp_path):
    with pytest.raises(NoCounterpartError, match="hands is 4: PDDL is written for at most 3 hands"):
        domain_of(robot(tmp_path, "hands: 4\n" + HEAD + GROUPS + ACTIONS))
