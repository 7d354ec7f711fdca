"""Sends damaged, absurd and hostile pictures to the real node on three transports, and prints what became of them.

Run it as `python test/node/fuzz.py --messages 10000 --seed 1` in an environment in which the node works. Prints one
JSON object: for each camera what was sent and how the node counted it, the node's largest memory in megabytes, and
the status of a question that is asked at the end. Ends with code 1 where the node ends by itself or loses count.
"""

from __future__ import annotations

import argparse
import array
import io
import json
import os
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from llava_ov_ros.srv import Ask
from PIL import Image as Picture
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from tqdm import tqdm

from llava_ov_ros.frames import NS_PER_S
from llava_ov_ros.live.process import NodeProcess, use_large_segments
from llava_ov_ros.live.session import DiagnosticsReport, LiveError, Session
from llava_ov_ros.node.messages import to_stamp
from llava_ov_ros.questions import Status

CAMERAS = {"rgb": "raw", "jpeg": "compressed", "depth": "compressedDepth"}
AT_ONCE = 20
"""Messages of a camera that may be on their way: fewer than the middleware keeps, so that none is lost."""
BOMB_SHARE = 0.01
START_S, LOAD_S, ANSWER_S, COUNT_S = 60.0, 300.0, 120.0, 120.0
OUTCOMES = (
    "admitted", "not_due", "unchanged", "blurred", "malformed", "damaged", "future_stamps", "out_of_order"
)  # fmt: skip
ENCODINGS = (
    "rgb8", "bgr8", "rgba8", "mono8", "mono16", "bayer_rggb8", "yuv422", "nv12", "8UC3", "16UC1", "32FC1", "64FC4",
    "", "rgb99", "jpeg", "\N{PILE OF POO}" * 50, "8UC9999",
)  # fmt: skip
FORMATS = ("jpeg", "png", "rgb8; jpeg compressed bgr8", "tiff", "bayer_rggb16; png compressed ", "h264", "", "x" * 300)
DEPTH_FORMATS = ("16UC1; compressedDepth png", "16UC1; compressedDepth rvl", "32FC1; compressedDepth png", "jpeg", "")
EXTREMES = (0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 65_500)


def png_chunk(name: bytes, content: bytes) -> bytes:
    """One chunk of a PNG, with its check sum."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def one_colour_png(width: int, height: int, bits: int, colour: int, channels: int) -> bytes:
    """A valid PNG of zeros: a thousandth of the memory that its pixels take."""
    row = b"\0" + bytes(width * channels * bits // 8)
    pixels = zlib.compressobj(9)
    data = b"".join(pixels.compress(row) for _ in range(height)) + pixels.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")


def claiming(data: bytes, size: bytes, place: int) -> bytes:
    """A valid picture whose header declares another size."""
    return data[:place] + size + data[place + len(size) :]


def rvl_zeros(width: int, height: int) -> bytes:
    """A depth picture without a measurement in RVL: 16 bytes, whatever its size."""
    nibbles, zeros = [], width * height
    while zeros > 7:
        nibbles.append(zeros & 7 | 8)
        zeros >>= 3
    nibbles += [zeros, 0]
    nibbles += [0] * (16 - len(nibbles))
    words = [int("".join(f"{nibble:x}" for nibble in nibbles[i : i + 8]), 16) for i in (0, 8)]
    return struct.pack("<IIII", width, height, *words)


class Pictures:
    """Makes messages from a seed: whole ones, ones with damage, and bombs, which cost far more than they look."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        noise = self._random.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        depth = self._random.integers(300, 9000, (48, 64), dtype=np.uint16)
        self._raw = noise.tobytes()
        png, jpeg = self._file(noise, "PNG"), self._file(noise, "JPEG")
        self._files = [png, jpeg, *(self._file(noise, form) for form in ("TIFF", "WEBP", "JPEG2000", "BMP"))]
        done, depth_png = cv2.imencode(".png", depth)
        assert done
        config = struct.pack("<iff", 0, 100.0, -3.0)
        self._depths = [config + depth_png.tobytes(), config + rvl_zeros(64, 48)]
        start_of_frame = jpeg.index(b"\xff\xc0") + 5
        self._bombs = [
            claiming(png, struct.pack(">II", 65_500, 65_500), 16),
            claiming(jpeg, struct.pack(">HH", 65_500, 65_500), start_of_frame),
            claiming(jpeg, struct.pack(">HH", 7_900, 7_900), start_of_frame),
            # As large as the node allows, then larger.
            one_colour_png(4096, 2048, 16, 6, 4),
            one_colour_png(4096, 4096, 8, 2, 3),
            self._file(np.zeros((4096, 4096, 3), np.uint8), "WEBP"),
            self._file(np.zeros((4096, 2048, 3), np.uint8), "JPEG2000"),
            one_colour_png(4096, 4096, 16, 6, 4),
            one_colour_png(8000, 8000, 8, 0, 1),
            one_colour_png(8, 2_000_000, 1, 0, 1),
            self._file(np.zeros((16_000, 2, 3), np.uint8), "JPEG"),
            bytes(1_000_000),
        ]
        self._depth_bombs = [
            bytes(12) + rvl_zeros(8000, 8000),
            bytes(12) + rvl_zeros(4096, 4096),
            bytes(12) + struct.pack("<II", 1000, 1000) + b"\xff" * 400_000,
            bytes(12) + one_colour_png(4096, 4096, 16, 0, 1),
            bytes(12) + one_colour_png(8000, 8000, 16, 0, 1),
            bytes(12) + one_colour_png(30_000, 30_000, 1, 0, 1),
        ]

    def _file(self, pixels: np.ndarray, form: str) -> bytes:
        file = io.BytesIO()
        Picture.fromarray(pixels).save(file, form)
        return file.getvalue()

    def _one(self, items: Any) -> Any:
        return items[self._random.integers(len(items))]

    def _damaged(self, data: bytes) -> bytes:
        octets = bytearray(data)
        place = int(self._random.integers(len(octets)))
        match self._random.integers(6):
            case 0:
                for _ in range(self._random.integers(1, 9)):
                    octets[self._random.integers(len(octets))] ^= 1 << int(self._random.integers(8))
            case 1:
                del octets[place:]
            case 2:
                del octets[place : place + int(self._random.integers(1, 64))]
            case 3:
                octets[place:place] = octets[place // 2 : place]
            case 4:
                # Where the sizes are: in the beginning.
                place = int(self._random.integers(min(len(octets), 64)))
                octets[place : place + 4] = struct.pack(self._one("<>") + "I", self._one(EXTREMES))
            case 5:
                octets = bytearray(self._random.bytes(int(self._random.integers(0, 4096))))
        return bytes(octets)

    def _header(self, now_ns: int) -> Header:
        odd = self._random.random() < 0.05
        stamp = self._one((0, 1, now_ns - 3600 * NS_PER_S, now_ns + 3600 * NS_PER_S, (2**31 - 1) * NS_PER_S))
        frame_id = self._one(("optical", "", "\N{PILE OF POO}" * 2000))
        return Header(stamp=to_stamp(int(stamp) if odd else now_ns), frame_id=frame_id)

    def message(self, camera: str, now_ns: int) -> Image | CompressedImage:
        """The next message of a camera."""
        header, kind = self._header(now_ns), self._random.random()
        if camera == "rgb":
            return self._raw_message(header, kind)
        whole, bombs, formats = (
            (self._files, self._bombs, FORMATS)
            if camera == "jpeg"
            else (self._depths, self._depth_bombs, DEPTH_FORMATS)
        )
        data = self._one(bombs) if kind < BOMB_SHARE else self._one(whole)
        if kind > 0.2:
            data = self._damaged(data)
        usual = self._random.random() < 0.8
        text = formats[0] if usual else self._one(formats)
        if usual and camera == "depth" and data[12:16] != b"\x89PNG":
            text = formats[1]
        return CompressedImage(header=header, format=text, data=array.array("B", data))

    def _raw_message(self, header: Header, kind: float) -> Image:
        message = Image(header=header, height=48, width=64, encoding="rgb8", step=192)
        message.data = array.array("B", self._raw if kind < 0.9 else self._damaged(self._raw))
        if kind > 0.2:
            for _ in range(self._random.integers(1, 4)):
                field = self._one(("height", "width", "step", "encoding", "is_bigendian"))
                value: Any = int(self._one((*EXTREMES, 47, 49, 63, 65, 191, 193, 16, 128)))
                if field == "encoding":
                    value = self._one(ENCODINGS)
                setattr(message, field, value & 0xFF if field == "is_bigendian" else value)
        return message


def counted(values: dict[str, str]) -> int:
    """How many messages of a camera have an outcome, by the node's diagnostics."""
    return sum(int(values[name]) for name in OUTCOMES)


def peak_mb(pid: int) -> float:
    """The most memory that a process has had (VmHWM), in megabytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def send_all(session: Session, namespace: str, pictures: Pictures, messages: int) -> dict[str, dict[str, Any]]:
    """Send the messages, never more at once than the middleware keeps; returns the node's last counts."""
    node = session._node
    qos = QoSProfile(depth=2 * AT_ONCE, reliability=ReliabilityPolicy.RELIABLE)
    kinds = {name: Image if transport == "raw" else CompressedImage for name, transport in CAMERAS.items()}
    topics = {
        name: f"{namespace}/{name}" + ("" if transport == "raw" else f"/{transport}")
        for name, transport in CAMERAS.items()
    }
    publishers = {name: node.create_publisher(kinds[name], topic, qos) for name, topic in topics.items()}
    said: dict[str, dict[str, str]] = {}

    def hear(report: DiagnosticsReport) -> None:
        said.update({name: dict(report.cameras[topic]) for name, topic in topics.items() if topic in report.cameras})

    def all_say(key: str, value: object) -> Callable[[], bool]:
        return lambda: len(said) == len(topics) and all(one[key] == str(value) for one in said.values())

    sent = 0
    with session.diagnostics(hear, START_S):
        # With image_qos match a subscription is made anew when its publisher is met: what comes before is lost.
        session.wait_for(all_say("reliability", "reliable"), START_S, "the node has not met the publishers")
        session.wait_for(all_say("matched", 1), START_S, "the node has not met the publishers")
        session.wait_for(
            lambda: all(publisher.get_subscription_count() == 1 for publisher in publishers.values()),
            START_S,
            "the publishers have not met the node",
        )
        for batch in batches(messages // len(CAMERAS)):
            for _ in range(batch):
                for name, publisher in publishers.items():
                    publisher.publish(pictures.message(name, time.time_ns()))
            sent += batch
            session.wait_for(all_say("received", sent), COUNT_S, f"{sent} messages of each camera were not counted")
    return {
        name: {"sent": sent, "counted": counted(values), **{key: int(values[key]) for key in ("received", *OUTCOMES)}}
        for name, values in said.items()
    }


def batches(messages: int) -> Iterator[int]:
    """Messages to send at once, with a bar."""
    with tqdm(total=messages, unit="messages", desc="each camera", disable=None) as shown:
        for first in range(0, messages, AT_ONCE):
            count = min(AT_ONCE, messages - first)
            yield count
            shown.update(count)


def main() -> int:
    """Send the messages; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=9_999, help="on all cameras together (default 9999)")
    parser.add_argument("--seed", type=int, default=1, help="of the damage (default 1)")
    args = parser.parse_args()
    use_large_segments()
    namespace = f"/llava_ov_fuzz_{os.getpid()}"
    parameters = {
        "cameras": list(CAMERAS),
        "image_topics": [f"{namespace}/{name}" for name in CAMERAS],
        "image_transport": list(CAMERAS.values()),
        "image_qos": "match",
        "image_qos_depth": 2 * AT_ONCE,
        "admission_rate_hz": 0.0,
        "diagnostics_period_s": 0.1,
    }
    with tempfile.TemporaryDirectory() as folder:
        node = NodeProcess(namespace, parameters, Path(folder) / "node.log")
        try:
            with Session([], node.name, namespace=namespace, check=node.check) as session, node:
                session.wait_until_up(START_S)
                session.configure(LOAD_S)
                session.activate(START_S)
                loaded_mb = peak_mb(node.pid)
                cameras = send_all(session, namespace, Pictures(args.seed), args.messages)
                (answer,) = session.ask([Ask.Request(question="What is there?", cameras=["rgb"])], ANSWER_S)
                state, most_mb = session.state(), peak_mb(node.pid)
                code = node.end()
        except LiveError as error:
            print(f"{error}\nThe end of the node's log:\n{node.tail()}", file=sys.stderr)
            return 1
        traceback = "Traceback" in node.log.read_text(errors="replace")
    result = {
        "cameras": cameras,
        "peak_mb": round(most_mb),
        "peak_before_mb": round(loaded_mb),
        "state": state,
        "answer": Status(answer.status).name,
        "exit_code": code,
        "traceback": traceback,
    }
    print(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
