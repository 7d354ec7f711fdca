"""A run of a suite: bags, workers, journal, scores."""
