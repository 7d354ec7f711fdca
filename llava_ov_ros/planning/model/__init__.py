"""Asks a model for plans and next steps: prompts, grammar, repair, results."""
