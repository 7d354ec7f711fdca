"""The fixtures of nodes and servers that the tests of this folder share."""

from __future__ import annotations

from fixtures.nodes import peer as peer
from fixtures.nodes import rig as rig
from fixtures.nodes import wait_until as wait_until
from fixtures.servers import endless_vllm as endless_vllm
