"""Nodes and rooms for the tests of this folder."""

from __future__ import annotations

from fixtures.mug_episode import mug_robot as mug_robot
from fixtures.nodes import rig as rig
from fixtures.nodes import scripted as scripted
