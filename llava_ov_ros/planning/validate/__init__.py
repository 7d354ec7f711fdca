"""From plans to findings: steps simulated one by one, goals held against what is known."""
