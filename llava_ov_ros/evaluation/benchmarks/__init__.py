"""Published benchmarks: rows, scores, runs."""
