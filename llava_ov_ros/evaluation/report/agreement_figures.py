"""Reads what the node's shadow mode has written: how far the answers of two models agree."""
