# Source this for a shell in which the built node and `llava-ov` work:  source tools/env.bash
# The variable LLAVA_OV_WHEELS (jazzy by default, or kilted) says which of the built environments. Arguments are not
# looked at: a script that sources this file without any passes on its own.
# (On a robot with ROS 2 from packages, its setup.bash and the workspace's install/setup.bash do the same.)

# The setup.bash of ROS 2 reads variables that are not set; a caller's `set -u` holds again behind it.
case $- in *u*) _llava_ov_unset=u ;; *) _llava_ov_unset="" ;; esac
set +u
_llava_ov_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
_llava_ov_wheels="${LLAVA_OV_WHEELS:-jazzy}"
_llava_ov_suffix=""
[ "$_llava_ov_wheels" = jazzy ] || _llava_ov_suffix="-$_llava_ov_wheels"
_llava_ov_venv="$_llava_ov_root/.venv$_llava_ov_suffix"

if [ ! -f "$_llava_ov_root/install$_llava_ov_suffix/setup.bash" ]; then
    echo "llava_ov_ros is not built here for LLAVA_OV_WHEELS=$_llava_ov_wheels yet:" \
        "run 'make setup WHEELS=$_llava_ov_wheels' first" >&2
else
    # The ROS wheels' interpreter leaves this behind for its children; another environment must not inherit it.
    unset _ROS_WHEELS_BOOTSTRAP_COMPLETE
    export VIRTUAL_ENV="$_llava_ov_venv"
    export PATH="$_llava_ov_venv/bin:$PATH"
    if [ -d "$_llava_ov_venv/share/rclpy" ] || [ -d "$_llava_ov_venv/share/rcl_interfaces" ]; then
        export ROS_DISTRO="$_llava_ov_wheels"
        export AMENT_PREFIX_PATH="$_llava_ov_venv${AMENT_PREFIX_PATH:+:$AMENT_PREFIX_PATH}"
    fi
    source "$_llava_ov_root/install$_llava_ov_suffix/setup.bash"
fi
[ -z "$_llava_ov_unset" ] || set -u
unset _llava_ov_unset _llava_ov_root _llava_ov_wheels _llava_ov_suffix _llava_ov_venv
