"""The message types that carry pictures or video, and the transports that topic names tell."""

from __future__ import annotations

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
FFMPEG_PACKET = "ffmpeg_image_transport_msgs/msg/FFMPEGPacket"
COMPRESSED_VIDEO = "foxglove_msgs/msg/CompressedVideo"
FOXGLOVE_COMPRESSED_IMAGE = "foxglove_msgs/msg/CompressedImage"
FOXGLOVE_RAW_IMAGE = "foxglove_msgs/msg/RawImage"
THEORA = "theora_image_transport/msg/Packet"

IMAGE_TYPES = (
    IMAGE,
    COMPRESSED_IMAGE,
    FFMPEG_PACKET,
    COMPRESSED_VIDEO,
    FOXGLOVE_COMPRESSED_IMAGE,
    FOXGLOVE_RAW_IMAGE,
)
"""All message types that can be decoded."""
ANSWER = "llava_ov_ros/msg/Answer"
"""The message type of a node's answers."""
VIDEO_TYPES = (FFMPEG_PACKET, COMPRESSED_VIDEO)
"""The message types that carry nothing but video; COMPRESSED_IMAGE carries video if its format names a video codec."""
TRANSPORTS = {
    "raw": IMAGE,
    "compressed": COMPRESSED_IMAGE,
    "compressedDepth": COMPRESSED_IMAGE,
    "ffmpeg": FFMPEG_PACKET,
    "foxglove": COMPRESSED_VIDEO,
}
"""Message type of each transport of image_transport. A topic ends in its transport's name, except for raw."""
NAMED_IN_FULL = tuple(kind for kind in IMAGE_TYPES if kind != IMAGE)
"""Message types that a user may give in place of a transport; the topic is then named in full."""
NO_THEORA = "Theora is not decoded: publish compressed, or H.264 (foxglove, ffmpeg)"


def transport_of(topic: str, kind: str) -> str:
    """The transport with which to subscribe to a topic: the one that its type and name match, else the type itself.

    Args:
        topic: The topic's whole name.
        kind: One of IMAGE_TYPES.
    """
    if kind == IMAGE:
        return "raw"
    last = topic.rpartition("/")[2]
    return last if "/" in topic and TRANSPORTS.get(last) == kind else kind


def topic_base(topic: str, transport: str) -> str:
    """The topic's name without its transport, as found by `transport_of`."""
    return topic.removesuffix(f"/{transport}") if appends(transport) else topic


def appends(transport: str) -> bool:
    """Whether the topics of a transport end in the transport's name."""
    return transport in TRANSPORTS and transport != "raw"
