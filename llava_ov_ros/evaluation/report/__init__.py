"""The results of a run: figures, comparison with another run, page."""
