"""Nodes, clients and models for the tests of this folder."""

from __future__ import annotations

from fixtures.nodes import endless as endless
from fixtures.nodes import nano as nano
from fixtures.nodes import peer as peer
from fixtures.nodes import rig as rig
from fixtures.nodes import scripted as scripted
from fixtures.nodes import wait_until as wait_until
