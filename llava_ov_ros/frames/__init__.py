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

__all__ = [
    "NS_PER_S",
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
    "NoFramesError",
    "Outcome",
    "Rgb",
    "StampSource",
    "contact_sheet",
    "decode",
    "stamp_and_frame",
    "stamp_ns",
]
