"""Published benchmarks: result rows, their scores, and runs."""
