"""Drives or watches a running node."""
