"""One name, one meaning: no two public classes and no two modules of the package share one."""

import ast
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "llava_ov_ros"
EVERY_FOLDER = {"__init__"}
SAME_ON_PURPOSE = {
    "main": "the entry points of the two executables, llava_ov_node and llava-ov",
    "parameters": "cli/parameters.py is the command `llava-ov parameters`, which lists settings/parameters.py",
}
"""Names of several modules, each with the reason."""


def public_names(path: Path) -> set[str]:
    """Classes and type aliases that other modules may import from a file."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    # Constants are in capitals throughout.
    return {name for name in names if name[0].isupper() and any(letter.islower() for letter in name)}


def repeated(places_of: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: places for name, places in places_of.items() if len(places) > 1}


def test_every_public_class_has_a_name_of_its_own():
    places = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for name in public_names(path):
            places[name].append(str(path.relative_to(PACKAGE)))
    assert len(places) > 200
    assert repeated(places) == {}


def test_every_module_has_a_name_of_its_own():
    places = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.stem not in EVERY_FOLDER:
            places[path.stem].append(str(path.relative_to(PACKAGE)))
    assert set(repeated(places)) <= set(SAME_ON_PURPOSE), repeated(places)
