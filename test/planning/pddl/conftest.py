"""Leaves these tests out where the extra `planner` is not installed."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("unified_planning") else ["test_*.py"]
