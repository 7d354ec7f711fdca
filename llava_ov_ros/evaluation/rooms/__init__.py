"""Measures how often a model is right about rendered rooms."""
