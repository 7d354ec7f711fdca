"""A suite's file, and what is asked of its bags."""
