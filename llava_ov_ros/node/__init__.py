"""The ROS 2 node: the only layer that imports rclpy."""
