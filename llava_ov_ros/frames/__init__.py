"""Turns camera messages into frames and clips: decoding, admission, bounded buffers. Knows no model and no rclpy."""

from ..settings.allowed_values import StampSource
from .admission import AdmissionSettings
from .buffer import FrameBuffer, NoFramesError
from .camera import Camera, CameraSettings
from .contact_sheet import Line, contact_sheet
from .counts import CameraCounts, Outcome
from .decode import decode
from .decode_options import DecodeOptions
from .frame import NS_PER_S, Clip, Frame, Rgb, stamp_and_frame, stamp_ns
from .growing import GrowingClip, GrowthSettings
from .image_error import DamagedError, ImageError
from .message_decoder import MessageDecoder
from .message_head import SINGLE_PICTURE_TYPES, MessageHead, read_head

__all__ = [
    "NS_PER_S",
    "SINGLE_PICTURE_TYPES",
    "AdmissionSettings",
    "Camera",
    "CameraCounts",
    "CameraSettings",
    "Clip",
    "DamagedError",
    "DecodeOptions",
    "Frame",
    "FrameBuffer",
    "GrowingClip",
    "GrowthSettings",
    "ImageError",
    "Line",
    "MessageDecoder",
    "MessageHead",
    "NoFramesError",
    "Outcome",
    "Rgb",
    "StampSource",
    "contact_sheet",
    "decode",
    "read_head",
    "stamp_and_frame",
    "stamp_ns",
]
