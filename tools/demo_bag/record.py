"""Records a rendered room as a ROS 2 bag, with the questions that can be asked about it and their answers."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
from render import HEIGHT, WIDTH, Room, camera_picture, make_room
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from llava_ov_ros.rooms.record import CAMERA_QOS, FORMAT

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DEMO_ROOM = Path(__file__).resolve().parents[2] / "examples" / "demo_room"
# Of the rooms 0 to 399, models/rooms answers all ten questions in 133, and 87 % of all questions. This is one
# of the 133, taken for its looks and because further questions about it are answered as well.
SEED = 273

TOPIC = "/camera/image_raw/compressed"
CAMERA = "camera"
FRAME_ID = "camera_optical_frame"
RATE_HZ = 5
FRAMES = 61
LAST_S = (FRAMES - 1) / RATE_HZ
FIRST_STAMP_NS = 1_700_000_000_000_000_000
NS_PER_S = 1_000_000_000
# With this, most rooms fit into 1 MB.
JPEG_QUALITY = 50

# Asked while all rests, after the whole move was seen, and when all has rested again.
BEFORE_S, ACROSS_S, AFTER_S = 4.4, 9.6, 11.4
REST_WINDOW_S, ACROSS_WINDOW_S = 3.0, 6.0

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six")


@dataclass(frozen=True)
class Question:
    """A question, its answer, and the stretch of the recording that it is about.

    The clip ends at `at_s` seconds from the first frame and is `window_s` seconds long.
    """

    ask: str
    truth: str
    kind: str
    at_s: float
    window_s: float


def questions(room: Room) -> list[Question]:
    """What is asked about a room in order of time, answered from the room itself."""
    mover = room.things[room.move.thing]
    doubled = room.things[0].kind
    single = next(t for i, t in enumerate(room.things) if i != room.move.thing and t.kind != doubled)
    home, goal = mover.receptacle, room.move.receptacle
    number = sum(t.kind == doubled for t in room.things)
    plural = "knives" if doubled == "knife" else f"{doubled}s"
    at_goal = f"Is there {with_article(mover.kind)} {place(goal)}?"
    carry_back = f"GotoLocation {goal}; PickupObject {mover.kind}; GotoLocation {home}; PutObject {mover.kind} {home}"

    before, across, after = (BEFORE_S, REST_WINDOW_S), (ACROSS_S, ACROSS_WINDOW_S), (AFTER_S, REST_WINDOW_S)
    return [
        Question(f"What colour is the {single.kind}?", single.colour, "colour", *before),
        Question(f"How many {plural} are there?", NUMBERS[number], "counting", *before),
        Question(f"Where is the {mover.kind}?", place(home), "place", *before),
        Question(at_goal, "no", "presence", *before),
        Question("Which object moved?", f"the {mover.name}", "motion", *across),
        Question(f"Where was the {mover.name} before?", place(home), "before", *across),
        Question(f"Where is the {mover.name} now?", place(goal), "place", *across),
        Question(at_goal, "yes", "presence", *after),
        Question("Which object moved?", "nothing", "motion", *after),
        Question(f"put the {mover.name} {place(home)}", carry_back, "plan", *after),
    ]


def with_article(noun: str) -> str:
    """The noun after `a` or `an`."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def place(receptacle: str) -> str:
    """Where a thing is that a receptacle carries, such as `in the sink`."""
    return f"{'in' if receptacle in ('sink', 'fridge') else 'on'} the {receptacle}"


def truth(room: Room) -> dict[str, object]:
    """What is true of the recording of a room, ready for JSON."""
    mover, move = room.things[room.move.thing], room.move
    home, goal = place(mover.receptacle), place(move.receptacle)
    carried = f"the {mover.name} is carried from the {mover.receptacle} to the {move.receptacle}"
    return {
        "what": f"a rendered room, {WIDTH}x{HEIGHT} at {RATE_HZ} Hz for {LAST_S:g} s: {carried}",
        "origin": f"rendered by tools/demo_bag/record.py --seed {room.seed}; licence Apache-2.0",
        "note": "The shipped room is one in which the shipped model answers every question: it demonstrates the "
        "model and does not measure it.",
        "topic": TOPIC,
        "camera": CAMERA,
        "events": [
            [0.0, move.start_s, f"all rests, the {mover.name} is {home}"],
            [move.start_s, move.end_s, carried],
            [move.end_s, LAST_S, f"all rests, the {mover.name} is {goal}"],
        ],
        "questions": [asdict(question) for question in questions(room)],
    }


def write_bag(folder: Path, room: Room) -> None:
    """Write the recording of a room as a rosbag2 folder (mcap, metadata version 9).

    Args:
        folder: The bag; it must not exist yet.
        room: What the camera sees.
    """
    store = get_typestore(Stores.ROS2_JAZZY)
    image_type = store.types["sensor_msgs/msg/CompressedImage"]
    header_type = store.types["std_msgs/msg/Header"]
    time_type = store.types["builtin_interfaces/msg/Time"]
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as bag:
        camera = bag.add_connection(TOPIC, image_type.__msgtype__, typestore=store, offered_qos_profiles=[CAMERA_QOS])
        for frame in range(FRAMES):
            stamp_ns = FIRST_STAMP_NS + frame * NS_PER_S // RATE_HZ
            header = header_type(time_type(*divmod(stamp_ns, NS_PER_S)), FRAME_ID)
            message = image_type(header, FORMAT, jpeg(camera_picture(room, frame / RATE_HZ, frame)))
            bag.write(camera, stamp_ns, store.serialize_cdr(message, image_type.__msgtype__))


def jpeg(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture, uint8 (height, width, 3), as the bytes of a JPEG file, uint8 (n,)."""
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    return cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)[1]


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=f"{__doc__.splitlines()[0]} The same seed gives the same bytes. The new folder holds the bag "
        "and truth.json: the topic, what happens when, and questions with their answers and the seconds of the "
        "recording that each is about."
    )
    parser.add_argument("--seed", type=int, default=SEED, help="which room (default: %(default)s, the shipped one)")
    parser.add_argument("--out", type=Path, default=DEMO_ROOM, help="folder to create (default: examples/demo_room)")
    arguments = parser.parse_args()
    if arguments.seed < 0:
        parser.error(f"--seed is {arguments.seed}: give 0 or more")
    if arguments.out.exists():
        print(f"{arguments.out} exists already: remove it, or name another folder with --out", file=sys.stderr)
        return 1
    room = make_room(arguments.seed)
    write_bag(arguments.out, room)
    text = json.dumps(truth(room), indent=1) + "\n"
    (arguments.out / "truth.json").write_text(text)
    size_kb = sum(file.stat().st_size for file in arguments.out.iterdir()) / 1000
    print(f"{arguments.out}: {FRAMES} frames, {size_kb:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
