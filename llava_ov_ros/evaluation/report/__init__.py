"""What a run comes to: figures, comparison, page."""
