"""Drive or watch a running node: sessions, players of bags, the node's process."""
