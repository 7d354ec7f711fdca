"""Options shared by the commands about recorded bags, and what the commands make of them: topics, clips, cameras."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..settings import DEFAULTS, nanoseconds, parameter
from ..settings.allowed_values import ROTATIONS_DEG
from ..settings.value_range import DEFAULT
from .errors import USAGE, CommandError
from .model_options import add_device, add_model_name, add_number_format, add_server
from .options import count, not_negative, not_negative_s, positive_s, value_range, whole

if TYPE_CHECKING:
    from tqdm import tqdm

    # Only for annotations: these bring numpy and OpenCV, which --help does without.
    from ..frames import Camera
    from ..replay import BagMessage, ImageTopic, MalformedMessage, ReplaySettings, TimedQuestion
    from ..replay.recorder import Recorder

T = TypeVar("T")


def add_bag(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the recording, and the option for its topics."""
    parser.add_argument("bag", metavar="BAG", type=Path, help="folder of a ROS 2 bag, or a .mcap, .db3 or .bag file")
    parser.add_argument(
        "--topic",
        action="append",
        default=[],
        help="image topic; repeat it for several cameras. Needed where the bag has more than one",
    )


def add_model(parser: argparse.ArgumentParser) -> Any:
    """Add the options of the model, also of one on a server, and return the group of the first."""
    model = parser.add_argument_group("model")
    add_model_name(model)
    add_device(model)
    add_number_format(model)
    model.add_argument(
        "--mode",
        default=DEFAULTS.visual_mode,
        choices=parameter("visual_mode").choices,
        help="video: a clip; multi_image: its frames in more detail; image: the newest frame in most detail "
        "(default: %(default)s)",
    )
    add_server(parser)
    return model


def add_clip(parser: argparse.ArgumentParser) -> None:
    """Add the options of clips and cameras."""
    clip = parser.add_argument_group("clip")
    clip.add_argument(
        "--frames",
        type=count,
        default=DEFAULTS.clip_frames,
        metavar="N",
        help="most frames of a camera in a clip, as the parameter clip_frames (default: %(default)s)",
    )
    clip.add_argument(
        "--window",
        type=not_negative_s,
        metavar="S",
        help="ask about the last S seconds before the newest frame (default: about the growing clip, as the node does)",
    )
    clip.add_argument(
        "--rate-hz",
        type=not_negative,
        default=DEFAULTS.admission_rate_hz,
        metavar="HZ",
        help="frames per second that are decoded and kept; 0: every frame (default: %(default)g)",
    )
    clip.add_argument(
        "--max-age",
        type=positive_s,
        default=DEFAULTS.max_frame_age_s,
        metavar="S",
        help="a camera whose newest frame is older is STALE and not asked (default: %(default)g)",
    )
    clip.add_argument(
        "--frozen-after",
        type=not_negative_s,
        default=DEFAULTS.frozen_after_s,
        metavar="S",
        help="a camera with an identical picture for so long is FROZEN and not asked; 0: never (default: %(default)g)",
    )
    clip.add_argument(
        "--rotate",
        type=whole,
        action="append",
        choices=ROTATIONS_DEG,
        default=[],
        help="clockwise turn of the pictures: once for all cameras, or once per --topic in their order",
    )
    add_value_range(clip)


def add_value_range(parser: Any) -> None:
    """Add the option for the range of values in which pictures of one channel with more than 8 bits are shown."""
    parser.add_argument(
        "--value-range",
        action="append",
        type=value_range,
        default=[],
        metavar="RANGE",
        help="stored values shown darkest and brightest, of pictures of one channel with more than 8 bits: default, "
        "auto, or two numbers such as 0..4095; once for all cameras, or once per --topic in their order",
    )


def per_camera(flag: str, given: Sequence[T], count: int, default: T) -> list[T]:
    """Return one value per camera of an option that is given once for all cameras or once for each.

    Raises:
        CommandError: The option is given another number of times.
    """
    if len(given) not in (0, 1, count):
        raise CommandError(
            f"{flag} is given {len(given)} times: give it once, or for each of the {count} cameras", USAGE
        )
    return list(given) if len(given) == count else [given[0] if given else default] * count


def duration_ns(topics: Sequence[ImageTopic]) -> int:
    """Return the nanoseconds from the first to the last picture of some topics; 0 if they have no pictures."""
    recorded = [topic for topic in topics if topic.count]
    first_ns = min((topic.first_ns for topic in recorded), default=0)
    return max(0, max((topic.last_ns for topic in recorded), default=0) - first_ns)


def check_times(bag: Path, topics: Sequence[ImageTopic], questions: Sequence[TimedQuestion]) -> None:
    """Check that no question is asked after the end of the recording.

    Raises:
        CommandError: A question's time is later than the end of the recording, both by stamps and by record times.
    """
    from ..frames import NS_PER_S
    from ..replay import ROUNDING_NS, contents

    def later_than(end_ns: int) -> list[int]:
        return sorted({question.at_ns for question in questions if question.at_ns > end_ns + ROUNDING_NS})

    end_ns = duration_ns(topics)
    if not later_than(end_ns):
        return
    # Stamps of a looped recording jump back; its record times go on. They take another look into the bag.
    end_ns = max(end_ns, contents(bag).duration_ns)
    if late := later_than(end_ns):
        times = ", ".join(f"{at_ns / NS_PER_S:g}" for at_ns in late)
        raise CommandError(
            f"{bag} lasts {end_ns / NS_PER_S:.1f} s, and a question is asked at {times} s: give an earlier time", USAGE
        )


def make_cameras(args: argparse.Namespace, topics: Sequence[ImageTopic], longest_s: float = 0.0) -> dict[str, Camera]:
    """Make a camera for each topic, with the settings of the node's cameras.

    Args:
        args: The options of `add_clip`.
        topics: The topics.
        longest_s: Length in seconds of the longest window of any question; the buffer holds such a window at the
            admission rate.

    Raises:
        CommandError: A value of --rotate, --value-range or --rate-hz cannot be used.
    """
    from ..frames import Camera
    from ..frames.camera_settings import recording_settings
    from ..replay import camera_names

    rotations = per_camera("--rotate", args.rotate, len(topics), 0)
    ranges = per_camera("--value-range", args.value_range, len(topics), DEFAULT)
    if 0 < args.rate_hz * args.max_age < 1:
        raise CommandError(
            f"--rate-hz {args.rate_hz:g} keeps a frame every {1 / args.rate_hz:g} s, longer than --max-age "
            f"{args.max_age:g}: most answers would be STALE; raise one of the two",
            USAGE,
        )
    names = camera_names([topic.name for topic in topics])
    return {
        topic.name: Camera(
            names[topic.name],
            recording_settings(
                max_frames=args.frames,
                rate_hz=args.rate_hz,
                rotate_deg=rotation,
                value_range=shown,
                # Without a rate only the bound in bytes holds.
                kept_frames=math.ceil(longest_s * args.rate_hz) + 2 if args.rate_hz else 1_000_000,
            ),
        )
        for topic, rotation, shown in zip(topics, rotations, ranges, strict=True)
    }


def replay_settings(args: argparse.Namespace) -> ReplaySettings:
    """Return the settings of a replay that the options of `add_clip` and --mode give."""
    from ..replay import ReplaySettings

    return ReplaySettings(
        mode=args.mode,
        window_ns=None if args.window is None else nanoseconds(args.window),
        max_frames=args.frames,
        max_age_ns=nanoseconds(args.max_age),
        frozen_after_ns=nanoseconds(args.frozen_after),
    )


def progress(
    bag: Path, topics: Sequence[ImageTopic], cameras: Mapping[str, Camera], recorder: Recorder | None = None
) -> tqdm[BagMessage]:
    """Yield the messages of some topics in order and show a progress bar if reading takes longer than a second.

    Malformed messages are not yielded; the camera of their topic counts them. A recorder writes all of them.
    """
    from tqdm import tqdm

    from ..replay import counted_by, read_messages

    count = counted_by(cameras)

    def on_malformed(message: MalformedMessage) -> None:
        count(message)
        if recorder is not None:
            recorder.malformed(message)

    messages = read_messages(bag, [topic.name for topic in topics], on_malformed=on_malformed)
    return tqdm(
        messages if recorder is None else recorder.passing(messages),
        total=sum(topic.count for topic in topics),
        unit="msg",
        disable=None,
        delay=1.0,
    )
