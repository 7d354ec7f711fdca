"""From a goal to a plan: prompts, grammar, repair, results."""
