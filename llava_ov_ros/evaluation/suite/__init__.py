"""A suite's file, the check against its bags, and the questions about each bag."""
