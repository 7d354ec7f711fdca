"""The message types that carry pictures or video, and what names of topics say of them."""

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
"""All that can be decoded."""
VIDEO_TYPES = (FFMPEG_PACKET, COMPRESSED_VIDEO)
"""Those of them that carry nothing but video; COMPRESSED_IMAGE may, as its format says."""
TRANSPORTS = {
    "raw": IMAGE,
    "compressed": COMPRESSED_IMAGE,
    "compressedDepth": COMPRESSED_IMAGE,
    "ffmpeg": FFMPEG_PACKET,
    "foxglove": COMPRESSED_VIDEO,
}
"""Message types of the transports of image_transport, all but raw with a topic that ends in the transport's name."""
NAMED_IN_FULL = tuple(kind for kind in IMAGE_TYPES if kind != IMAGE)
"""Message types that stand for a transport where a topic is named in full."""
NO_THEORA = "Theora is not decoded: publish compressed, or H.264 (foxglove, ffmpeg)"


def transport_of(topic: str, kind: str) -> str:
    """How a topic is to be subscribed to: the transport that its type and name belong to, else the type itself.

    Args:
        topic: The topic's whole name.
        kind: One of IMAGE_TYPES.
    """
    if kind == IMAGE:
        return "raw"
    last = topic.rpartition("/")[2]
    return last if "/" in topic and TRANSPORTS.get(last) == kind else kind


def topic_base(topic: str, transport: str) -> str:
    """A topic's name without the transport, which `transport_of` has found for it."""
    return topic.removesuffix(f"/{transport}") if appends(transport) else topic


def appends(transport: str) -> bool:
    """Whether a transport's topics end in its name."""
    return transport in TRANSPORTS and transport != "raw"
