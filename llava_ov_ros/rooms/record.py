"""Records a rendered room as a ROS 2 bag, and writes its truth file beside the bag."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import cv2
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from ..frames import NS_PER_S
from .script import Script, frame_count, make_episode_script, make_script, told
from .truth import TimedTruth, ask_about, episode_truth, what_happens
from .view import View, make_view, picture

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FIRST_STAMP_NS = 1_700_000_000 * NS_PER_S
IMAGE = "sensor_msgs/msg/CompressedImage"
FORMAT = "bgr8; jpeg compressed bgr8"
FOREVER = QosTime(9_223_372_036, 854_775_807)
CAMERA_QOS = Qos(
    history=QosHistory.KEEP_LAST,
    depth=10,
    reliability=QosReliability.RELIABLE,
    durability=QosDurability.VOLATILE,
    deadline=FOREVER,
    lifespan=FOREVER,
    liveliness=QosLiveliness.AUTOMATIC,
    liveliness_lease_duration=FOREVER,
    avoid_ros_namespace_conventions=False,
)

ONE_CAMERA = "camera"
# For each of several cameras the side to which it looks, and its zoom unless that is drawn.
SEVERAL_CAMERAS: dict[str, tuple[int, float | None]] = {
    "front": (0, None),
    "left": (-1, None),
    "right": (1, None),
    "rear": (0, 0.84),
}
# Without noise, a resting camera would send identical pictures, which count as frozen; more noise makes larger files.
NOISE = (1.0, 3.0)
NOTE = "Rendered: it shows how a model reads such pictures, and says nothing of real rooms."


@dataclass(frozen=True)
class RecordingSettings:
    """RecordingSettings of a recording.

    Attributes:
        seed: Seed of all random choices.
        seconds: Length in seconds; None for an episode, whose plan determines the length.
        episode: Whether a plan is executed.
        cameras: Number of cameras, 1 to 4.
        rate_hz: Frames per second of each camera.
        width: Width of the pictures in pixels.
        height: Height of the pictures in pixels.
        jpeg_quality: JPEG quality, 1 to 100.
        questions: Most questions in the truth file.
        drawn: Whether all questions are drawn; otherwise the first move has the same questions in every recording.
        note: A remark for the truth file.
    """

    seed: int = 0
    seconds: float | None = 30.0
    episode: bool = False
    cameras: int = 1
    rate_hz: float = 5.0
    width: int = 640
    height: int = 480
    jpeg_quality: int = 80
    questions: int = 12
    drawn: bool = False
    note: str = NOTE

    @property
    def as_typed(self) -> str:
        """The options of `llava-ov rooms record` that make this recording."""
        length = "--episode" if self.episode else f"--seconds {self.seconds:g}"
        return (
            f"{length} --seed {self.seed} --cameras {self.cameras} --rate {self.rate_hz:g} "
            f"--size {self.width}x{self.height} --jpeg-quality {self.jpeg_quality}"
        )


@dataclass(frozen=True)
class RoomCamera:
    """A camera of a recording.

    Attributes:
        name: The camera's name in `llava-ov replay`.
        view: Size, direction, lens and sensor of the camera.
    """

    name: str
    view: View

    @property
    def topic(self) -> str:
        """Topic of the camera's pictures."""
        return f"/{self.name}/image_raw/compressed"


@dataclass(frozen=True)
class Recording:
    """A recording before it is rendered.

    Attributes:
        settings: Settings of the recording.
        script: Room and events of the recording.
        cameras: The cameras.
        frames: Number of pictures of each camera.
        questions: Questions about the recording with their right answers.
    """

    settings: RecordingSettings
    script: Script
    cameras: tuple[RoomCamera, ...]
    frames: int
    questions: tuple[TimedTruth, ...]


def plan_recording(settings: RecordingSettings) -> Recording:
    """Draw the room, the events, the cameras and the questions of a recording, without rendering it.

    Raises:
        ValueError: An episode has a length, or another recording has none.
    """
    if settings.episode != (settings.seconds is None):
        raise ValueError(f"seconds is {settings.seconds}: an episode takes None, any other recording a length")
    # Separate generators, so that more cameras or fewer questions do not change the room.
    key = f"record/{settings.seed}"
    if settings.seconds is None:
        script = make_episode_script(Random(key), settings.rate_hz)
        frames = round(script.last_s * settings.rate_hz) + 1
    else:
        frames = frame_count(settings.seconds, settings.rate_hz)
        script = make_script(Random(key), (frames - 1) / settings.rate_hz)
    cameras = _make_cameras(Random(f"{key}/cameras"), settings)
    asked = ask_about(script, Random(f"{key}/questions"), settings.questions, drawn=settings.drawn)
    return Recording(settings, script, cameras, frames, asked)


def _make_cameras(rng: Random, settings: RecordingSettings) -> tuple[RoomCamera, ...]:
    if settings.cameras == 1:
        return (RoomCamera(ONE_CAMERA, _view(rng, settings)),)
    cameras = []
    for name, (side, zoom) in list(SEVERAL_CAMERAS.items())[: settings.cameras]:
        view = _view(rng, settings)
        across = view.shift[0] if side == 0 else side * abs(view.shift[0])
        cameras.append(RoomCamera(name, replace(view, shift=(across, view.shift[1]), zoom=zoom or view.zoom)))
    return tuple(cameras)


def _view(rng: Random, settings: RecordingSettings) -> View:
    """A camera on a tripod; its pictures are compressed as JPEG only when they are written."""
    view = make_view(rng, moving=0.0, sizes=((settings.width, settings.height),))
    return replace(view, shake=0.0, noise=rng.uniform(*NOISE), jpeg_quality=None)


def truth(recording: Recording) -> dict[str, object]:
    """The truth file of a recording, ready for JSON; `llava-ov replay --questions` reads its questions."""
    settings, script, cameras = recording.settings, recording.script, recording.cameras
    size = f"{settings.width}x{settings.height} at {settings.rate_hz:g} Hz for {script.last_s:g} s"
    about: dict[str, object] = {
        "what": f"a rendered room, {size}: {what_happens(script)}",
        "origin": f"rendered by llava-ov rooms record {settings.as_typed}; licence Apache-2.0",
        "note": settings.note,
        "topic": cameras[0].topic,
        "camera": cameras[0].name,
        "topics": [camera.topic for camera in cameras],
        "cameras": [camera.name for camera in cameras],
        "events": [[event.start_s, event.end_s, told(script.room, event)] for event in script.events],
        "questions": [question.as_dict() for question in recording.questions],
    }
    return about if script.episode is None else {**about, "episode": episode_truth(script)}


def truth_path(out: Path) -> Path:
    """Path of the truth file: beside an .mcap file, or within the folder of a bag."""
    return out.with_suffix(".truth.json") if out.suffix == ".mcap" else out / "truth.json"


def write_recording(recording: Recording, out: Path, on_frame: Callable[[], object] = lambda: None) -> None:
    """Render a recording, and write the bag with its truth file.

    Files get their final names only when all are complete, so an interrupted recording leaves nothing behind.

    Args:
        recording: The recording.
        out: A name that ends in .mcap gives one file and `OUT.truth.json` beside it; any other name gives a rosbag2
            folder that contains `truth.json`. The parent folder must exist.
        on_frame: Called after each picture.

    Raises:
        FileExistsError: A file or folder of that name exists.
        OSError: The files cannot be written.
    """
    for path in (out, truth_path(out)):
        if path.exists():
            raise FileExistsError(f"{path} exists already")
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as beside:
        folder = Path(beside, out.stem if out.suffix == ".mcap" else out.name)
        _write_bag(recording, folder, on_frame)
        text = json.dumps(truth(recording), indent=1, ensure_ascii=False) + "\n"
        (folder / "truth.json").write_text(text, encoding="utf-8")
        if out.suffix == ".mcap":
            (folder / "truth.json").replace(truth_path(out))
            (folder / f"{folder.name}.mcap").replace(out)
        else:
            folder.replace(out)


def _write_bag(recording: Recording, folder: Path, on_frame: Callable[[], object]) -> None:
    """Write a rosbag2 folder (mcap, metadata version 9)."""
    store = get_typestore(Stores.ROS2_JAZZY)
    image_type, header_type = store.types[IMAGE], store.types["std_msgs/msg/Header"]
    time_type = store.types["builtin_interfaces/msg/Time"]
    settings, script = recording.settings, recording.script
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as bag:
        topics = [
            bag.add_connection(camera.topic, IMAGE, typestore=store, offered_qos_profiles=[CAMERA_QOS])
            for camera in recording.cameras
        ]
        for frame in range(recording.frames):
            moment = script.at(frame / settings.rate_hz)
            stamp_ns = FIRST_STAMP_NS + round(frame * NS_PER_S / settings.rate_hz)
            for camera, topic in zip(recording.cameras, topics, strict=True):
                rng = Random(f"record/{settings.seed}/{camera.name}/{frame}")
                data = jpeg(picture(script.room, moment, camera.view, rng), settings.jpeg_quality)
                header = header_type(time_type(*divmod(stamp_ns, NS_PER_S)), f"{camera.name}_optical_frame")
                bag.write(topic, stamp_ns, store.serialize_cdr(image_type(header, FORMAT, data), IMAGE))
                on_frame()


def jpeg(rgb: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Encode a picture, RGB uint8 (height, width, 3), as a JPEG file, uint8 (n,)."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    data: NDArray[np.uint8] = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)[1]
    return data.ravel()
