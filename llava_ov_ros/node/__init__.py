"""The managed ROS 2 node: parameters, cameras, servers, worker and diagnostics."""
