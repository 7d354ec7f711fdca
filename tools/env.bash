# Source this for a shell in which the built node and `llava-ov` work:  source tools/env.bash [kilted]
# (On a robot with ROS 2 from packages, its setup.bash and the workspace's install/setup.bash do the same.)

_llava_ov_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
_llava_ov_suffix=""
[ "${1:-jazzy}" = jazzy ] || _llava_ov_suffix="-$1"
_llava_ov_venv="$_llava_ov_root/.venv$_llava_ov_suffix"

if [ ! -f "$_llava_ov_root/install$_llava_ov_suffix/setup.bash" ]; then
    echo "llava_ov_ros is not built here yet: run 'make setup' first" >&2
else
    # The ROS wheels' interpreter leaves this behind for its children; another environment must not inherit it.
    unset _ROS_WHEELS_BOOTSTRAP_COMPLETE
    export VIRTUAL_ENV="$_llava_ov_venv"
    export PATH="$_llava_ov_venv/bin:$PATH"
    if [ -d "$_llava_ov_venv/share/rclpy" ] || [ -d "$_llava_ov_venv/share/rcl_interfaces" ]; then
        export ROS_DISTRO="${1:-jazzy}"
        export AMENT_PREFIX_PATH="$_llava_ov_venv${AMENT_PREFIX_PATH:+:$AMENT_PREFIX_PATH}"
    fi
    source "$_llava_ov_root/install$_llava_ov_suffix/setup.bash"
fi
unset _llava_ov_root _llava_ov_suffix _llava_ov_venv
