"""LLaVA-OneVision on ROS 2: from camera messages to stamped answers."""
