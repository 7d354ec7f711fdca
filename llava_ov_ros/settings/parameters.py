"""The one table of parameters: each field of `Settings` has a default, a description and often a range or choices."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from ..bounds import shown
from ..checkpoints import ADDRESS_FORM, MODEL_FORMS
from ..message_types import NAMED_IN_FULL, NO_THEORA, TRANSPORTS
from ..modes import MODES
from .allowed_values import (
    CERTIFIED,
    DECODINGS,
    ON_DAMAGED,
    PLAN_DECODING,
    REFUSE,
    ROTATIONS_DEG,
    VALIDATORS,
    StampSource,
)
from .described import Described, ParameterError, about, check_value, described
from .value_range import DEFAULT, check_value_range

MOST_WAITING, MOST_TOGETHER = 100, 64
"""Largest allowed values of queue_size and batch_size."""


@dataclass(frozen=True)
class Settings:
    """The values of all parameters at one moment; each value is allowed by itself.

    `consistency.check_together` checks that the values fit together. The node checks that ROS accepts the topic names.

    Raises:
        ParameterError: A value is not allowed; the text names the parameter, the value and what is allowed.
    """

    model: str = described("rooms", f"Checkpoint: {MODEL_FORMS}; or {ADDRESS_FORM}")
    device: str = described("auto", "Where the model runs: auto, cpu, cuda, cuda:0, ...")
    dtype: str = described(
        "auto",
        "Number format of the weights; auto: bfloat16 on CUDA, and for large models on CPUs that compute in it",
        choices=("auto", "float32", "bfloat16", "float16"),
    )
    attention: str = described("sdpa", "Attention implementation", choices=("sdpa", "eager"))
    quantize: str = described(
        "none",
        "Weights of the language model: int8 on a CPU with VNNI; int8 or int4 on CUDA, through torchao. Answers may be "
        "others than without",
        choices=("none", "int8", "int4"),
    )
    remote_model: str = described("", "Name of the model on the server; empty: the only one there")
    remote_image_px: int = described(
        384, "Frames of clips are sent to the server as squares of so many pixels a side", low=16, high=1024
    )
    remote_image_format: str = described(
        "jpeg", "Format of the pictures that are sent; png changes no pixel", choices=("jpeg", "png")
    )
    remote_jpeg_quality: int = described(90, "Quality of JPEG pictures that are sent", low=1, high=100)
    remote_requests: int = described(4, "Most requests that are with the server at once", low=1, high=64)
    remote_connect_s: float = described(2.0, "Longest time to connect to the server, in seconds", low=0.01, high=600.0)
    remote_silence_s: float = described(
        10.0,
        "Longest silence of the server, before its response or within it, in seconds",
        low=0.01,
        high=3600.0,
    )
    remote_retries: int = described(
        2, "How often a request is sent again as long as nothing of its answer has come", low=0, high=10
    )
    remote_key_file: str = described(
        "", "File with a line `ADDRESS KEY` for each server that asks for an API key; empty: no key is sent"
    )
    remote_ca_file: str = described(
        "", "File of the certificates (PEM) by which the server's certificate is checked; empty: the usual ones"
    )
    fallback_model: str = described("", "Checkpoint that answers where the server does not; empty: none")
    shadow_model: str = described(
        "", "Checkpoint or server that answers the same questions, only to be compared; empty: none"
    )
    shadow_remote_model: str = described("", "Name of shadow_model on its server; empty: the only one there")
    cameras: list[str] = described(["camera"], "Names of the cameras, as questions use them")
    image_topics: list[str] = described(["/camera/image_raw"], "Image topic of each camera, without the transport")
    image_transport: list[str] = described(
        ["raw"],
        "Transport, one for all cameras or one for each; or the message type of a topic that is named in full",
        choices=(*TRANSPORTS, *NAMED_IN_FULL),
    )
    stamp_source: list[str] = described(
        [StampSource.HEADER.value],
        "Time of a frame, one for all cameras or one for each: header (header.stamp of its message), or arrival (the "
        "node's clock then, for drivers that stamp since boot or by another clock)",
        choices=tuple(StampSource),
    )
    image_qos: str = described(
        "sensor_data",
        "sensor_data: best effort, never waits for a publisher; match: as reliable as the publisher is",
        choices=("sensor_data", "match"),
    )
    image_qos_depth: int = described(5, "Messages kept by the middleware per camera", low=1, high=1000)
    rotations_deg: list[int] = described(
        [0], "Clockwise turn of the pictures, one for all cameras or one for each", choices=ROTATIONS_DEG
    )
    value_range: list[str] = described(
        [DEFAULT],
        "Stored values shown darkest and brightest, of pictures of one channel with more than 8 bits, one for all "
        "cameras or one for each: default (mono16 0..65535, depth 10 m to 0.3 m), auto (found for each clip), or two "
        "numbers such as 0..4095",
    )
    max_image_pixels: int = described(
        4096 * 4096, "Larger pictures (width * height) are refused as malformed", low=1, high=1_000_000_000
    )
    on_damaged: str = described(REFUSE, "A JPEG of which parts are damaged: refuse or use it", choices=ON_DAMAGED)
    admission_rate_hz: float = described(
        2.0, "Frames per second that enter a buffer, by stamp; 0: every frame", low=0.0, high=1000.0
    )
    admission_min_change: float = described(
        0.0, "Least mean change to the frame before, in grey levels; 0: off", low=0.0, high=255.0
    )
    admission_min_sharpness: float = described(
        0.0, "Least variance of the Laplacian at 160 px width; 0: off", low=0.0, high=1e6
    )
    buffer_frames: int = described(32, "Frames kept per camera", low=1, high=10_000)
    buffer_mb: int = described(256, "Megabytes of pictures kept per camera", low=1, high=1_000_000)
    future_tolerance_s: float = described(
        0.5, "Frames stamped later than the clock by more than this many seconds are refused", low=0.0, high=3600.0
    )
    jump_back_s: float = described(
        1.0, "Stamps earlier than the newest by more than this many seconds start the buffer anew", low=0.0, high=1e6
    )
    clip_frames: int = described(
        4,
        "Most frames of one camera in a clip; the clip that stands for now grows up to it",
        low=1,
        high=128,
        live=True,
    )
    clip_min_frames: int = described(
        2, "Newest frames that a clip which is full begins anew with", low=1, high=128, live=True
    )
    clip_spacing_s: float = described(
        1.5,
        "Least seconds between the frames of a growing clip, its newest excepted; 0: every admitted frame stays",
        low=0.0,
        high=1e6,
        live=True,
    )
    clip_window_s: float = described(
        8.0, "Length of the clip in seconds, back from the newest frame", low=0.0, high=1e6, live=True
    )
    visual_mode: str = described(
        "video",
        "video: 196 tokens per frame; multi_image: 730 per frame; image: the newest frame in most detail",
        choices=MODES,
        live=True,
    )
    max_frame_age_s: float = described(
        2.0, "A camera whose newest frame is older than this many seconds is STALE", low=0.01, high=1e6, live=True
    )
    frozen_after_s: float = described(
        5.0,
        "A camera that sends an identical picture for this many seconds is FROZEN; 0: off (noise-free simulation)",
        low=0.0,
        high=1e6,
        live=True,
    )
    queue_size: int = described(8, "Requests that may wait", low=1, high=MOST_WAITING)
    queue_policy: str = described(
        "reject",
        "A request that finds the queue full is refused (reject) or pushes out the oldest (drop_oldest)",
        choices=("reject", "drop_oldest"),
        live=True,
    )
    batch_size: int = described(
        16, "Most waiting questions about one clip that are answered together", low=1, high=MOST_TOGETHER
    )
    memory_mb: int = described(
        0,
        "Megabytes that model, caches, buffered frames and pictures for a server may take together, beside the "
        "libraries' own; 0: no limit but the caches' and buffers' own",
        low=0,
        high=1_000_000,
    )
    feature_cache_mb: int = described(
        -1, "Megabytes of frames' features kept; -1: what the clips need, 0: none", low=-1, high=1_000_000
    )
    prefix_cache_mb: int = described(
        -1, "Megabytes of keys and values of clips kept; -1: what the clips need, 0: none", low=-1, high=1_000_000
    )
    prepare_ahead_s: float = described(
        30.0,
        "New frames are encoded before anybody asks, for so many seconds after the last question; 0: never",
        low=0.0,
        high=1e6,
        live=True,
    )
    idle_unload_s: float = described(
        0.0,
        "Seconds without a question after which the model's memory is given back until the next one; 0: never",
        low=0.0,
        high=1e6,
        live=True,
    )
    max_new_tokens: int = described(64, "Longest answer in tokens", low=1, high=4096, live=True)
    deadline_s: float = described(
        30.0,
        "An answer not finished so many seconds after its request arrived is cut off",
        low=0.01,
        high=1e5,
        live=True,
    )
    standing_questions: list[str] = described(
        [""], "Questions asked again and again, their answers go to ~/answers; one empty text: none", live=True
    )
    standing_period_s: float = described(
        5.0, "Seconds (of the node's clock) between two rounds of standing questions", low=0.05, high=1e6, live=True
    )
    prompts: str = described(
        "plain",
        "How the model is asked: a shipped set (plain, llava_onevision, alfred, zh), else a file (docs/answers.md)",
    )
    actions: str = described(
        "alfred", "What plans may say: a shipped vocabulary (alfred, delivery), else a file (docs/planning.md)"
    )
    plan_decoding: str = described(
        PLAN_DECODING,
        "Plans and hints are held to the vocabulary's grammar (constrained), read from free text (free), or held to "
        "the grammar and, where they are not accepted, found by a planner (certified; needs the extra planner)",
        choices=DECODINGS,
        live=True,
    )
    plan_repairs: int = described(
        1, "How often a plan that cannot be done is given back to the model to correct it", low=0, high=5, live=True
    )
    plan_grounding: bool = described(
        True, "Ask of the things that a plan names whether they are there, and flag those that are not", live=True
    )
    plan_validators: list[str] = described(
        ["simulation"],
        "Judges that must all accept a plan: simulation, which is always there, and pddl (needs the extra planner)",
        choices=VALIDATORS,
        live=True,
    )
    plan_search_s: float = described(
        10.0,
        "With certified decoding: longest search of the planner, in seconds; never beyond the request's deadline",
        low=0.1,
        high=600.0,
        live=True,
    )
    hint_period_s: float = described(
        2.0, "Seconds (of the node's clock) between two hints while a goal is set", low=0.05, high=1e6, live=True
    )
    hint_confidence: float = described(0.5, "A hint less probable than this is UNSURE", low=0.0, high=1.0, live=True)
    evidence: bool = described(True, "Publish the contact sheet of the frames used on ~/evidence/compressed", live=True)
    diagnostics_period_s: float = described(
        1.0, "Seconds between two messages on /diagnostics", low=0.1, high=60.0, live=True
    )
    diagnostics_window_s: float = described(
        30.0,
        "Warnings on /diagnostics are about what happened in the last so many seconds",
        low=0.1,
        high=3600.0,
        live=True,
    )

    def __post_init__(self) -> None:
        if "theora" in self.image_transport:
            raise ParameterError(f"image_transport has 'theora': {NO_THEORA}")
        for entry in fields(self):
            check_value(entry, getattr(self, entry.name))
        if not self.cameras or len(set(self.cameras)) != len(self.cameras) or "" in self.cameras:
            raise ParameterError(f"cameras is {shown(str(self.cameras))}: give each camera a name of its own")
        for text in self.value_range:
            try:
                check_value_range(text)
            except ValueError as error:
                raise ParameterError(shown(str(error))) from None

    @property
    def max_frame_age_ns(self) -> int:
        """The parameter `max_frame_age_s` in nanoseconds."""
        return nanoseconds(self.max_frame_age_s)

    @property
    def frozen_after_ns(self) -> int:
        """The parameter `frozen_after_s` in nanoseconds."""
        return nanoseconds(self.frozen_after_s)

    @property
    def needs_planner(self) -> bool:
        """Whether plans or hints need the extra `planner`."""
        return self.plan_decoding == CERTIFIED or "pddl" in self.plan_validators

    def questions(self) -> list[str]:
        """Return the standing questions that are not empty."""
        return [question for question in self.standing_questions if question.strip()]

    def standing_fault(self) -> str:
        """Return why the queue cannot hold all standing questions, or an empty text if it can."""
        count = len(set(self.questions()))
        if count <= self.queue_size:
            return ""
        return (
            f"standing_questions has {count} questions, more than the {self.queue_size} of queue_size that may wait: "
            "some would be refused in every round; ask fewer, or raise queue_size"
        )

    def per_camera(self, name: str) -> list[Any]:
        """Return the entries of a list parameter, one per camera; a single entry is repeated for all cameras."""
        values: list[Any] = getattr(self, name)
        return values * len(self.cameras) if len(values) == 1 else values


DEFAULTS = Settings()
"""Default of every parameter. Arguments and options with the meaning of a parameter take their defaults from here."""


def parameter(name: str) -> Described:
    """Return the description, range and choices of one parameter.

    Raises:
        KeyError: The table has no parameter of this name.
    """
    return {entry.name: about(entry) for entry in fields(Settings)}[name]


def nanoseconds(seconds: float) -> int:
    """Convert seconds to whole nanoseconds, the unit of stamps."""
    return round(seconds * 1_000_000_000)
