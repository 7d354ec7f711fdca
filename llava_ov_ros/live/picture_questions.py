"""Ask the installed node about pictures: publish them as JPEG over DDS and ask `~/ask` about exactly these."""

from __future__ import annotations

import array
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import cv2
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from llava_ov_ros.msg import Answer
from llava_ov_ros.srv import Ask

from ..frames import NS_PER_S, Rgb, stamp_ns
from ..node.messages import to_stamp
from ..questions import Status
from ..replay import ImageTopic
from ..settings import Value
from .player import RECEIVES_ALL, staged_base
from .process import NodeProcess, use_large_segments
from .session import DiagnosticsReport, LiveError, Session

AnySession = TypeVar("AnySession", bound=Session)
CAMERA = "camera"
JPEG_QUALITY = 90
START_NS = 1_700_000_000 * NS_PER_S
FRAME_NS = NS_PER_S
# Between the newest frame of one clip and the oldest of the next.
BETWEEN_CLIPS_NS = 60 * NS_PER_S
TOPIC = ImageTopic(
    name="/camera/image_raw/compressed",
    type="sensor_msgs/msg/CompressedImage",
    transport="compressed",
    count=1,
    first_ns=START_NS,
    last_ns=START_NS,
    stamped=True,
)
# The ten messages that a service's queue holds must suffice.
QUESTIONS_AT_ONCE = 8
START_S = 60.0
LOAD_S = 600.0
ARRIVAL_S = 30.0
ANSWER_S = 120.0
ANSWER_GRACE_S = 60.0

# No frame may be passed over, refused or pushed out, and nothing be computed that is not asked for.
PARAMETERS: dict[str, Value] = {
    "use_sim_time": True,
    "cameras": [CAMERA],
    "image_transport": [TOPIC.transport],
    **RECEIVES_ALL,
    "admission_rate_hz": 0.0,
    "admission_min_change": 0.0,
    "admission_min_sharpness": 0.0,
    "future_tolerance_s": 3600.0,
    "prepare_ahead_s": 0.0,
    "evidence": False,
    "diagnostics_period_s": 0.1,
}


@contextmanager
def live_rooms(
    model: Mapping[str, Value],
    log: Path,
    *,
    mode: str = "video",
    max_new_tokens: int = 96,
) -> Iterator[LiveRooms]:
    """Run the installed node in a namespace of its own while the `with` block lasts.

    Args:
        model: Values of the node's parameters that name its model: `model`, `device`, `remote_model`, ...
        log: File that receives the node's output.
        mode: Visual mode: video, multi_image or image.
        max_new_tokens: Length of the longest answer in tokens; more than the node's default, as the plans of rooms are
            longer.

    Raises:
        LiveError: The node did not start, refused the model, or did not end with exit code 0; or the block raised
            LiveError. The text ends with the last lines of the node's log.
    """
    parameters = {**PARAMETERS, **model}
    with node_of_its_own(Session, parameters, log) as (session, reports):
        yield LiveRooms(session, reports, mode, max_new_tokens)


@contextmanager
def node_of_its_own(
    kind: type[AnySession], parameters: Mapping[str, Value], log: Path
) -> Iterator[tuple[AnySession, Sequence[DiagnosticsReport]]]:
    """Run the installed node with the camera TOPIC, in a namespace of its own, while the `with` block lasts.

    Args:
        kind: Class of the session that publishes for the node.
        parameters: Values of the node's parameters; `image_topics` is added.
        log: File that receives the node's output.

    Yields:
        The session, which the active node has discovered, and the node's diagnostics, the newest one last.

    Raises:
        LiveError: For the same reasons as `live_rooms`.
    """
    use_large_segments()
    namespace = f"/llava_ov_rooms_{os.getpid()}"
    values = {**parameters, "image_topics": [staged_base(TOPIC, namespace)]}
    node = NodeProcess(namespace, values, log, clock=f"{namespace}/clock")
    try:
        # The session first: its publisher must be there for `image_qos: match` to match it.
        with kind([TOPIC], node.name, namespace=namespace, check=node.check) as session, node:
            session.wait_until_up(START_S)
            session.configure(LOAD_S)
            session.activate(START_S)
            session.wait_until_heard(START_S)
            reports: deque[DiagnosticsReport] = deque(maxlen=1)
            with session.diagnostics(reports.append, START_S):
                yield session, reports
            if (code := node.end()) != 0:
                raise LiveError(f"the node ended with exit code {code}")
    except LiveError as error:
        raise LiveError(f"{error}\nThe end of the node's log:\n{node.tail()}") from None


class LiveRooms:
    """Answers questions about clips with a running node (an `Answerer` of `evaluation.rooms.accuracy`)."""

    def __init__(self, session: Session, reports: Sequence[DiagnosticsReport], mode: str, max_new_tokens: int) -> None:
        """Use a session that the node has discovered; `live_rooms` makes one.

        Args:
            session: Publishes TOPIC for the node.
            reports: The node's diagnostics; the last one is the newest.
            mode: Visual mode: video, multi_image or image.
            max_new_tokens: Length of the longest answer in tokens.
        """
        self._session = session
        self._reports = reports
        self._mode = mode
        self._max_new_tokens = max_new_tokens
        self._next_ns = START_NS

    def __call__(self, pictures: Sequence[Rgb], questions: Sequence[str]) -> list[str]:
        """Publish the frames of a clip and ask questions about them; see `show` and `ask`."""
        return self.ask(questions, self.show(pictures))

    def show(self, pictures: Sequence[Rgb]) -> list[int]:
        """Publish pictures as JPEG, stamped later than all earlier ones, and wait until the node has buffered them.

        Args:
            pictures: RGB pictures, oldest first, uint8 (height, width, 3) each.

        Returns:
            The stamps of the pictures in nanoseconds.

        Raises:
            LiveError: A picture did not arrive, or the node refused it.
        """
        stamps = [self._next_ns + i * FRAME_NS for i in range(len(pictures))]
        self._next_ns = stamps[-1] + BETWEEN_CLIPS_NS
        player = self._session.player
        player.jump_to(stamps[-1])
        for stamp, picture in zip(stamps, pictures, strict=True):
            player.send(TOPIC.name, jpeg_message(picture, stamp))
        sent = player.published[TOPIC.name]
        self._session.wait_for(
            lambda: self._count("received") >= sent,
            ARRIVAL_S,
            lambda: f"{self._count('received')} of {sent} pictures arrived at the node within {ARRIVAL_S:g} s",
        )
        if (admitted := self._count("admitted")) != sent:
            values = ", ".join(f"{key} {value}" for key, value in self._values().items())
            raise LiveError(f"the node took {admitted} of {sent} pictures; its diagnostics: {values}")
        return stamps

    def _values(self) -> dict[str, str]:
        """Values of the camera's newest diagnostics by key; empty before the first diagnostics arrive."""
        (topic,) = self._session.player.topics
        return dict(self._reports[-1].cameras[topic]) if self._reports else {}

    def _count(self, key: str) -> int:
        return int(self._values().get(key, 0))

    def ask(self, questions: Sequence[str], stamps: Sequence[int]) -> list[str]:
        """Ask several questions about published frames at once, so that the node answers them in one batch.

        Args:
            questions: Texts of the questions.
            stamps: Stamps of the clip's frames in nanoseconds, oldest first. The node has no other frames between the
                first and the last of them.

        Returns:
            Texts of the answers, in the order of the questions.

        Raises:
            LiveError: A question was not answered, or its answer rests on other frames.
        """
        requests = [
            Ask.Request(
                question=question,
                mode=self._mode,
                from_stamp=to_stamp(stamps[0]),
                to_stamp=to_stamp(stamps[-1]),
                max_frames=len(stamps),
                max_new_tokens=self._max_new_tokens,
                deadline_s=ANSWER_S,
            )
            for question in questions
        ]
        answers: list[Answer] = []
        for begin in range(0, len(requests), QUESTIONS_AT_ONCE):
            some = requests[begin : begin + QUESTIONS_AT_ONCE]
            answers += self._session.ask(some, ANSWER_S + ANSWER_GRACE_S)
        return [_checked(answer, stamps) for answer in answers]


def _checked(answer: Answer, stamps: Sequence[int]) -> str:
    """Return the text of an answer; raise LiveError if the answer does not rest on exactly these frames."""
    status = Status(answer.status)
    if status is not Status.OK:
        raise LiveError(f"no answer to {answer.question!r}: {status.name}: {answer.message}")
    used = [stamp_ns(frame.stamp_used) for frame in answer.frames]
    if used != list(stamps):
        raise LiveError(
            f"the answer to {answer.question!r} rests on other frames than asked for: stamps {used} instead of "
            f"{list(stamps)}"
        )
    text: str = answer.text
    return text


def jpeg_message(picture: Rgb, stamp: int) -> CompressedImage:
    """Encode a picture as the message that image_transport would publish.

    Args:
        picture: uint8 (height, width, 3), RGB.
        stamp: Stamp of the message in nanoseconds.
    """
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return CompressedImage(
        header=Header(stamp=to_stamp(stamp), frame_id=CAMERA),
        format="rgb8; jpeg compressed bgr8",
        # Any other sequence would be checked by rclpy byte for byte.
        data=array.array("B", data.tobytes()),
    )
