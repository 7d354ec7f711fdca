"""Rules between several parameters, checked at configure and, on a configured node, with every change.

The rules are not checked before configure: `ros2 param set` and `ros2 param load` set one parameter after the other, so
a user who goes from one camera to two has two cameras and one topic for a moment.
"""

from __future__ import annotations

from ..bounds import quoted
from ..checkpoints import is_address
from ..missing_module import PDDL_PACKAGES, PLANNER_PACKAGES, planner_missing
from .allowed_values import CERTIFIED
from .described import ParameterError
from .parameters import Settings


def check_together(settings: Settings) -> None:
    """Check that the values of several parameters fit together.

    Raises:
        ParameterError: The values do not fit together; the text names the parameters, their values and the remedy.
    """
    cameras = len(settings.cameras)
    if len(settings.image_topics) != cameras:
        raise ParameterError(
            f"image_topics has {len(settings.image_topics)} entries and cameras {cameras}: give one topic per camera"
        )
    for name in ("image_transport", "stamp_source", "rotations_deg", "value_range"):
        entries = len(getattr(settings, name))
        if entries not in (1, cameras):
            raise ParameterError(
                f"{name} has {entries} entries: give one for all cameras, or one for each of the {cameras}"
            )
    if not settings.clip_min_frames <= settings.clip_frames <= settings.buffer_frames:
        raise ParameterError(
            f"clip_min_frames {settings.clip_min_frames}, clip_frames {settings.clip_frames} and buffer_frames "
            f"{settings.buffer_frames} must not become less in this order: change them together"
        )
    if 0 < settings.admission_rate_hz * settings.max_frame_age_s < 1:
        raise ParameterError(
            f"admission_rate_hz {settings.admission_rate_hz} lets a frame in every "
            f"{1 / settings.admission_rate_hz:g} s, longer than max_frame_age_s {settings.max_frame_age_s}: "
            "every answer would be STALE; raise one of them"
        )
    if settings.fallback_model and not is_address(settings.model):
        raise ParameterError(
            f"fallback_model is {quoted(settings.fallback_model)}, and model {quoted(settings.model)} is no address of "
            "a server: a fallback answers where a server does not; leave it empty"
        )
    if "simulation" not in settings.plan_validators:
        raise ParameterError(
            f"plan_validators is {quoted(', '.join(settings.plan_validators))}: simulation must be one of them: "
            "it finds the reasons that steps are given"
        )
    if settings.needs_planner:
        searches = settings.plan_decoding == CERTIFIED
        wants = f"plan_decoding {CERTIFIED}" if searches else "plan_validators with pddl"
        if missing := planner_missing(wants, PLANNER_PACKAGES if searches else PDDL_PACKAGES):
            raise ParameterError(missing)
    if settings.diagnostics_window_s < settings.diagnostics_period_s:
        raise ParameterError(
            f"diagnostics_window_s {settings.diagnostics_window_s} is less than diagnostics_period_s "
            f"{settings.diagnostics_period_s}: what happens between two messages would not be told; raise it"
        )
