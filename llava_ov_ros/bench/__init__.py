"""Measures the engine and the node."""
