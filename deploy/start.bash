# Loads ROS 2 and the built package, then becomes the command: a signal reaches the node itself.
source /opt/ros/jazzy/setup.bash
source /opt/llava_ov/venv/bin/activate
source /opt/llava_ov/install/setup.bash
exec "$@"
