"""The web page of a running node: a process of its own, a ROS client of the node, and a server for browsers."""
