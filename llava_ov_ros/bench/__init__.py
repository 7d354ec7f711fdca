"""Measurements of the engine and of the node."""
