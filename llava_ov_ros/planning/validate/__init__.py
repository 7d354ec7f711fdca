"""Validates plans: simulates their steps, and checks whether a goal is reached."""
