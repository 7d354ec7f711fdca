"""Asks suites and benchmarks, scores the answers and writes reports; needs no robot and no ROS."""
