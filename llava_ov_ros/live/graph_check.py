"""The checks of `llava-ov doctor` that need ROS 2, run in a process of their own.

A middleware that fails can take its whole process down.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict

from ..checks import Check, Level
from ..fastdds import named_profile
from ..frames import NS_PER_S

_CLOCKS = (
    "synchronise the clocks of both machines (chrony), set use_sim_time where the time is simulated, or set the node's "
    "parameter stamp_source to arrival for this camera"
)


def check_graph(seconds: float) -> list[Check]:
    """Join the ROS graph and compare its image topics with this machine's clock and the size of its shared memory.

    Args:
        seconds: How long to listen.

    Returns:
        The findings.
    """
    import rclpy
    from rclpy.context import Context
    from rclpy.signals import SignalHandlerOptions

    from ..settings import Settings
    from .camera_check import advice, watch_cameras
    from .process import middleware

    context = Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    try:
        found = [Check("middleware", Level.OK, f"{middleware()}, domain {os.environ.get('ROS_DOMAIN_ID') or 0}")]
        topics = watch_cameras(seconds, context=context)
        node = rclpy.create_node("llava_ov_doctor", context=context)
        simulated = bool(node.get_publishers_info_by_topic("/clock"))
        node.destroy_node()
    finally:
        rclpy.try_shutdown(context=context)
    if not topics:
        text = f"no image topic is published within {seconds:g} s"
        return [*found, Check("cameras", Level.NOTE, text, "start the camera's driver in the same ROS_DOMAIN_ID")]
    usual = Settings()
    for topic in topics:
        ages_s = [age / NS_PER_S for age, stamp in zip(topic.ages_ns, topic.stamps_ns, strict=True) if stamp]
        if simulated or not ages_s:
            continue
        age_s = statistics.median(ages_s)
        name = f"clock of {topic.name}"
        if -usual.future_tolerance_s <= age_s <= usual.max_frame_age_s:
            found.append(Check(name, Level.OK, f"stamps are {age_s:.2f} s old when they arrive"))
        else:
            side = f"{-age_s:.1f} s in the future" if age_s < 0 else f"{age_s:.1f} s old when they arrive"
            found.append(Check(name, Level.FAIL, f"stamps are {side}: the node would refuse all frames", _CLOCKS))
    hints = advice(
        [topic for topic in topics if topic.received] or topics,
        named_profile(),
    )
    if hints:
        # Of a camera that sends nothing just now, nobody can tell whether it should.
        level = Level.FAIL if any(topic.received for topic in topics) else Level.WARN
        text, remedy = hints[0].replace(" (below)", ""), " ".join(" ".join(hints[1:]).split())
        found.append(Check("cameras", level, text, remedy or "llava-ov cameras tells more"))
    else:
        found.append(Check("cameras", Level.OK, f"{len(topics)} image topics, and their frames arrive"))
    return found


def main(words: Sequence[str]) -> int:
    """Print the findings as JSON; the only command-line argument is the number of seconds to listen."""
    print(json.dumps([asdict(check) for check in check_graph(float(words[0]))]))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
