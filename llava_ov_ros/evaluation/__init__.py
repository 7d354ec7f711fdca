"""Scores what models answer: metrics of published benchmarks, and evaluations that need no robot."""
