"""A run of a suite: answers about its bags, workers, journal, scores."""
