"""Definitions of public picture messages that rosbags does not define.

Names and fields are those of the originals, without their comments. Bags embed definitions only since ROS 2 Iron, and
not every recorder embeds them. Later releases add fields at the end of a message, where the reader ignores them.

- foxglove_msgs: https://github.com/foxglove/foxglove-sdk (schemas/ros2, as of release 3.2), MIT
- ffmpeg_image_transport_msgs: https://github.com/ros-misc-utilities/ffmpeg_image_transport_msgs, Apache-2.0
"""

from __future__ import annotations

from ..message_types import COMPRESSED_VIDEO, FFMPEG_PACKET, FOXGLOVE_COMPRESSED_IMAGE, FOXGLOVE_RAW_IMAGE

_COMPRESSED = """\
builtin_interfaces/Time timestamp
string frame_id
uint8[] data
string format
"""

DEFINITIONS = {
    COMPRESSED_VIDEO: _COMPRESSED,
    FOXGLOVE_COMPRESSED_IMAGE: _COMPRESSED,
    FOXGLOVE_RAW_IMAGE: """\
builtin_interfaces/Time timestamp
string frame_id
uint32 width
uint32 height
string encoding
uint32 step
uint8[] data
""",
    FFMPEG_PACKET: """\
std_msgs/Header header
int32 width
int32 height
string encoding
uint64 pts
uint8 flags
bool is_bigendian
uint8[] data
""",
}
"""Definition of each message type, in the form of a .msg file."""
