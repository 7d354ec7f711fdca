"""How test runs are kept apart and which tests they choose; bags written for one test; the real recordings."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from llava_ov_ros.share import shipped

NS_PER_S = 1_000_000_000
T0_NS = 1_700_000_000 * NS_PER_S
"""Second 0 of the stamps in written bags."""
RECORDED_NS = T0_NS + 100 * NS_PER_S
"""Second 0 of their record times: another clock."""

TESTS = Path(__file__).resolve().parent
RECORDINGS = TESTS.parents[1] / "shared" / "data" / "bags"
FIRST_DOMAIN, DOMAINS = 10, 80
"""ROS domains that a run chooses from; its workers count on from there."""
CHILDREN_ABOVE = 100
"""How far above a worker's domain the one lies in which its commands start nodes."""
LAST_DOMAIN = 232
"""Of DDS."""
MUG_ID = 375
"""Of the word ` mug` in models/rooms/tokenizer.json."""
FOLDER = pytest.StashKey[Path]()
MARKED = {"ros": ("node", "live", "launch"), "transformers": ("onevision",)}
"""Marks of all tests of a folder; single files elsewhere carry theirs themselves."""
SLOW_FOLDERS = ("cli", "docs", "live", "node", "onevision", "tools")
"""Handed out first, so that no worker ends with a long file alone."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds --no-skips."""
    parser.addoption(
        "--no-skips", action="store_true", help="a test that would be skipped fails: what it needs has to be there"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Gives this process and its children a ROS domain, folders and a share of the cores of their own.

    To be done before anything imports torch (threads) or starts rclpy (domain).
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        os.environ.setdefault("ROS_DOMAIN_ID", str(FIRST_DOMAIN + os.getpid() % DOMAINS))
    else:
        # The process that hands out the tests has chosen the first domain.
        number = int(worker.removeprefix("gw"))
        os.environ["ROS_DOMAIN_ID"] = str(int(os.environ["ROS_DOMAIN_ID"]) + number)
        # Workers that use all cores each wait for one another.
        cores = len(os.sched_getaffinity(0)) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores)))
    if int(os.environ["ROS_DOMAIN_ID"]) + CHILDREN_ABOVE > LAST_DOMAIN:
        most = LAST_DOMAIN - CHILDREN_ABOVE
        raise pytest.UsageError(
            f"ROS_DOMAIN_ID is {os.environ['ROS_DOMAIN_ID']}: commands of the tests start nodes {CHILDREN_ABOVE} above "
            f"it, and DDS has no domain above {LAST_DOMAIN}; unset it, or give one up to {most} less the workers"
        )
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    # A short path: sockets are made below it, whose names may have 107 characters.
    folder = config.stash[FOLDER] = Path(tempfile.mkdtemp(prefix="llava_ov_", dir="/tmp"))
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    os.environ["ROS_LOG_DIR"] = str(folder / "ros")
    # A command that crashes says where.
    os.environ["PYTHONFAULTHANDLER"] = "1"


def pytest_unconfigure(config: pytest.Config) -> None:
    """Removes the folders; a program that is still ending may write there meanwhile."""
    folder = config.stash.get(FOLDER, None)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of whole folders, and puts slow folders first."""

    def folder(item: pytest.Item) -> str:
        # A workspace may have the checkout as a link.
        return item.path.resolve().relative_to(TESTS).parts[0]

    for item in items:
        for mark, folders in MARKED.items():
            if folder(item) in folders:
                item.add_marker(mark)
    items.sort(key=lambda item: folder(item) not in SLOW_FOLDERS)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With --no-skips, makes a failure of a skip."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and item.config.getoption("--no-skips"):
        _, _, reason = report.longrepr
        report.outcome, report.longrepr = "failed", f"--no-skips: this test was skipped. {reason}"
    return report


def _write_video_bag(path: Path, topic: str, packets: Sequence[bytes], codec: str = "h264") -> Path:
    """A bag of foxglove_msgs/CompressedVideo, ten messages a second."""
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    from llava_ov_ros.replay.definitions import DEFINITIONS

    kind, store = "foxglove_msgs/msg/CompressedVideo", get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg(DEFINITIONS[kind], kind))
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection(topic, kind, typestore=store)
        for number, packet in enumerate(packets):
            at_ns = T0_NS + number * NS_PER_S // 10
            stamp = store.types["builtin_interfaces/msg/Time"](at_ns // NS_PER_S, at_ns % NS_PER_S)
            message = store.types[kind](stamp, "optical", np.frombuffer(packet, np.uint8), codec)
            writer.write(connection, at_ns, store.serialize_cdr(message, kind))
    return path


@dataclass(frozen=True)
class Shot:
    """One picture of a written bag.

    Attributes:
        topic: Where it is published; a name ending in /compressed makes it a JPEG.
        at_s: Its stamp, in seconds after T0_NS; None: the stamp is zero.
        recorded_s: Its record time, in seconds after RECORDED_NS; None: `at_s`.
        level: Grey level of the picture, 0 to 255.
        top: Greatest value of a mono16 picture of noise; 0: it is a picture of one level.
    """

    topic: str
    at_s: float | None
    recorded_s: float | None = None
    level: int = 0
    top: int = 0


def _message(types: dict[str, Any], shot: Shot) -> Any:
    stamp_ns = 0 if shot.at_s is None else T0_NS + round(shot.at_s * NS_PER_S)
    stamp = types["builtin_interfaces/msg/Time"](stamp_ns // NS_PER_S, stamp_ns % NS_PER_S)
    header_type = types["std_msgs/msg/Header"]
    fields = {"stamp": stamp, "frame_id": "optical"}
    header = header_type(**fields, seq=0) if "seq" in header_type.__dataclass_fields__ else header_type(**fields)
    if shot.top:
        values = np.random.default_rng(shot.top).integers(1, shot.top + 1, (24, 32)).astype("<u2")
        return types["sensor_msgs/msg/Image"](header, 24, 32, "mono16", 0, 64, values.view(np.uint8).ravel())
    picture = np.full((24, 32, 3), shot.level, dtype=np.uint8)
    if shot.topic.endswith("/compressed"):
        data = cv2.imencode(".jpg", picture)[1].ravel()
        return types["sensor_msgs/msg/CompressedImage"](header, "rgb8; jpeg compressed bgr8", data)
    return types["sensor_msgs/msg/Image"](header, 24, 32, "rgb8", 0, 96, picture.ravel())


def _moving_pictures(count: int, width: int = 320, height: int = 240) -> list[np.ndarray]:
    """Pictures of blocks of random colours with a white bar that moves, uint8 (height, width, 3)."""
    random = np.random.default_rng(11)
    pictures = []
    for i in range(count):
        blocks = random.integers(0, 256, (-(-height // 16), -(-width // 16), 3), dtype=np.uint8)
        picture = np.ascontiguousarray(blocks.repeat(16, 0).repeat(16, 1)[:height, :width])
        picture[:, i * 5 % width : i * 5 % width + 40] = 255
        pictures.append(picture)
    return pictures


def _encode_video(codec: str, pictures: Sequence[np.ndarray], key_every: int = 15, b_frames: int = 0) -> list[bytes]:
    import av

    context = av.CodecContext.create({"h264": "libx264", "h265": "libx265"}[codec], "w")
    context.height, context.width = pictures[0].shape[:2]
    context.pix_fmt, context.time_base, context.gop_size = "yuv420p", Fraction(1, 30), key_every
    context.max_b_frames = b_frames
    tune = {} if b_frames else {"tune": "zerolatency"}
    parameters = f"log-level=none:repeat-headers=1:keyint={key_every}:bframes={b_frames}"
    context.options = {"preset": "ultrafast", **tune, **({"x265-params": parameters} if codec == "h265" else {})}
    packets = []
    for number, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts = number
        packets += context.encode(frame)
    return [bytes(packet) for packet in [*packets, *context.encode(None)]]


def _decode_video(codec: str, packets: Sequence[bytes]) -> list[np.ndarray]:
    """All pictures, as av alone decodes them."""
    import av

    context = av.CodecContext.create({"h264": "h264", "h265": "hevc"}[codec], "r")
    frames = [frame for packet in packets for frame in context.decode(av.Packet(packet))]
    return [frame.to_ndarray(format="rgb24") for frame in [*frames, *context.decode(None)]]


def _write_bag(path: Path, shots: Sequence[Shot], storage: str = "mcap", others: Sequence[str] = ()) -> Path:
    # Not above: what comes from pip need not be there for the tests of messages and pictures (`colcon test`).
    from rosbags.rosbag1 import Writer as Writer1
    from rosbags.rosbag2 import StoragePlugin
    from rosbags.rosbag2 import Writer as Writer2
    from rosbags.typesys import Stores, get_typestore

    types = get_typestore(Stores.ROS1_NOETIC if storage == "ros1" else Stores.ROS2_JAZZY)
    if storage == "ros1":
        writer: Any = Writer1(path)
        serialize: Callable[..., Any] = types.serialize_ros1
    else:
        plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
        writer, serialize = Writer2(path, version=9, storage_plugin=plugin), types.serialize_cdr
    with writer:
        for topic in others:
            writer.add_connection(topic, "std_msgs/msg/String", typestore=types)
        connections: dict[str, Any] = {}
        for shot in shots:
            message = _message(types.types, shot)
            if shot.topic not in connections:
                connections[shot.topic] = writer.add_connection(shot.topic, message.__msgtype__, typestore=types)
            recorded_s = shot.at_s if shot.recorded_s is None else shot.recorded_s
            assert recorded_s is not None
            recorded_ns = RECORDED_NS + round(recorded_s * NS_PER_S)
            writer.write(connections[shot.topic], recorded_ns, serialize(message, message.__msgtype__))
    return path


@pytest.fixture(scope="session")
def domain_of_children() -> str:
    """A ROS domain that nobody else of this run uses: for commands that start nodes, or publish /clock."""
    return str(int(os.environ["ROS_DOMAIN_ID"]) + CHILDREN_ABOVE)


@pytest.fixture(scope="session")
def rooms() -> Path:
    """The shipped model's directory."""
    found = shipped("models/rooms")
    assert found is not None
    return found


def _changed(directory: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Changes a checkpoint's weights in place."""
    # Not above: what imports torch here would do so before the threads are set.
    from safetensors.torch import load_file, save_file

    tensors = load_file(directory / "model.safetensors")
    change(tensors)
    save_file(tensors, directory / "model.safetensors")
    return directory


@pytest.fixture(scope="session")
def changed() -> Callable[[Path, Callable[[dict[str, Any]], None]], Path]:
    """Changes a checkpoint's weights in place: `changed(directory, change)`, where `change` gets them by name."""
    return _changed


@pytest.fixture(scope="session")
def too_wide_for_float16(rooms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model, in float32 the very same function, with numbers between two layers that float16 has not."""

    def change(tensors: dict[str, Any]) -> None:
        for name, factor in (("up_proj", 2.0**17), ("down_proj", 2.0**-17)):
            tensors[f"language_model.model.layers.2.mlp.{name}.weight"] *= factor

    directory = tmp_path_factory.mktemp("wide") / "too_wide"
    shutil.copytree(rooms, directory)
    return _changed(directory, change)


@pytest.fixture(scope="session")
def mug_is_too_much(rooms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model that answers in float16, but for questions with the word `mug`: what follows it is not finite."""
    from llava_ov_ros.onevision.shapes import nano_config, write_random_checkpoint

    def change(tensors: dict[str, Any]) -> None:
        (embedding,) = (tensor for name, tensor in tensors.items() if name.endswith("embed_tokens.weight"))
        # As large as float16 allows, so that what the first layer adds to it does not fit any more.
        embedding[MUG_ID] = embedding[MUG_ID].sign() * 65408
        (first,) = (tensor for name, tensor in tensors.items() if name.endswith(".layers.0.self_attn.o_proj.weight"))
        first *= 512

    directory = tmp_path_factory.mktemp("mug") / "mug"
    write_random_checkpoint(nano_config(), rooms / "tokenizer.json", directory, seed=1)
    return _changed(directory, change)


@pytest.fixture(scope="session")
def write_bag() -> Callable[..., Path]:
    """Writes a bag: `write_bag(path, shots, storage="mcap" | "sqlite3" | "ros1", others=topics_of_strings)`."""
    return _write_bag


@pytest.fixture(scope="session")
def moving_pictures() -> Callable[..., list[np.ndarray]]:
    """Pictures to encode: `moving_pictures(count, width=320, height=240)`."""
    return _moving_pictures


@pytest.fixture(scope="session")
def encode_video() -> Callable[..., list[bytes]]:
    """One packet for each picture: `encode_video("h264" | "h265", pictures, key_every=15, b_frames=0)`."""
    return _encode_video


@pytest.fixture(scope="session")
def decode_video() -> Callable[..., list[np.ndarray]]:
    """All pictures as av alone decodes them: `decode_video("h264" | "h265", packets)`."""
    return _decode_video


@pytest.fixture(scope="session")
def write_video_bag() -> Callable[..., Path]:
    """Writes a bag of one video: `write_video_bag(path, topic, packets, codec="h264")`."""
    return _write_video_bag


@pytest.fixture(scope="session")
def shot() -> type[Shot]:
    """The class of one picture: `shot(topic, at_s, recorded_s=None, level=0, top=0)`."""
    return Shot


@pytest.fixture(scope="session")
def recording() -> Callable[[str], Path]:
    """Path of a real recording; skips the test where the recordings are not there."""

    def find(name: str) -> Path:
        path = RECORDINGS / name
        if not path.exists():
            pytest.skip(f"the recording {path} is not on this machine")
        return path

    return find
