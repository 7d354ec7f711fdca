"""One part of tools/check_gpu.sh: checks on a device, each a line of JSON as soon as it is known."""

from __future__ import annotations

import argparse
import copy
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from llava_ov_ros.bench.engine_goals import engine_benchmark
from llava_ov_ros.bench.measuring import camera_frames, clip_of
from llava_ov_ros.bench.plain_path import plain_generate, plain_inputs
from llava_ov_ros.onevision import Ask, Engine, EngineSettings, load_engine
from llava_ov_ros.onevision.checkpoint import Checkpoint
from llava_ov_ros.onevision.graphs import Capture, Graphs
from llava_ov_ros.onevision.int8 import why_no_int8
from llava_ov_ros.onevision.language import language_model
from llava_ov_ros.onevision.loading import place_and_dtype
from llava_ov_ros.onevision.memory import GIB
from llava_ov_ros.onevision.quantise import quantised_language_model
from llava_ov_ros.onevision.shapes import random_checkpoint
from llava_ov_ros.onevision.steps import StaticSteps
from llava_ov_ros.onevision.tower import packed_tower
from llava_ov_ros.share import shipped

# The most telling goals first: time may run out.
GOALS = ("P1", "P4", "P2", "P3", "P9", "P7", "P6", "P8", "P5")
REPEATS = 3
NEW_TOKENS = 24
# Of two logits in float32: which is greater is decided by rounding.
NEAR_TIE = 1e-5
QUESTIONS = ("What stands on the table?", "Is the door open?", "Where is the red mug?", "What moved?", "Why?")


@dataclass(frozen=True)
class Check:
    """What was found. `ok` is None for what is only reported."""

    check: str
    ok: bool | None
    detail: Any = ""


@dataclass(frozen=True)
class Place:
    """Where checks run, and on a model of what shape."""

    device: torch.device
    shape: str

    @property
    def on_cuda(self) -> bool:
        """Whether this is the real thing and no rehearsal."""
        return self.device.type == "cuda"

    def checkpoint(self, dtype: torch.dtype) -> Checkpoint:
        """A model with random weights."""
        return random_checkpoint(self.shape, tokenizer(), device=self.device, dtype=dtype, seed=3)


def tokenizer() -> Path:
    """The shipped tokenizer.json."""
    found = shipped("models/rooms/tokenizer.json")
    if found is None:
        raise SystemExit("models/rooms is missing")
    return found


def rounded(checkpoint: Checkpoint) -> Checkpoint:
    """The same weights in bfloat16. Buffers, such as the frequencies of the position embedding, stay as they are."""
    checkpoint.fill_modules()
    model = copy.deepcopy(checkpoint.model)
    for parameter in model.parameters():
        parameter.data = parameter.data.bfloat16()
    return replace(checkpoint, model=model, language=language_model(model), tower=packed_tower(model))


def with_steps(checkpoint: Checkpoint, capture: Capture | None) -> Engine:
    """An engine whose steps have fixed shapes, captured or computed as they are."""
    engine = Engine(checkpoint, EngineSettings(static_steps=True, clip_frames=4))
    state = engine._loaded()
    state.static_steps = StaticSteps(state.language, GIB, capture)
    return engine


def asks() -> list[Ask]:
    """Questions together, whose answers end one after the other."""
    return [Ask(question, NEW_TOKENS - 4 * number) for number, question in enumerate(QUESTIONS)]


def tokens_of(engine: Engine, seed: int, mode: str = "video") -> list[list[int]]:
    """Tokens of the answers to all questions about a clip."""
    clip = clip_of(camera_frames(2 + seed % 3, seed))
    return [list(answer.token_ids) for answer in engine.answer_many([clip], asks(), mode=mode)]


def differences(ours: Sequence[list[int]], theirs: Sequence[list[int]]) -> list[tuple[int, int]]:
    """Row and step at which rows first differ."""
    pairs = enumerate(zip(ours, theirs, strict=True))
    return [
        (row, next((step for step, both in enumerate(zip(a, b, strict=False)) if both[0] != both[1]), -1))
        for row, (a, b) in pairs
        if a != b
    ]


def first_logits(engine: Engine, seed: int) -> torch.Tensor:
    """Logits of the first token of an answer."""
    seen: list[torch.Tensor] = []

    def look(_: Sequence[int], logits: torch.Tensor) -> torch.Tensor:
        seen.append(logits.clone())
        return logits

    engine.answer_many([clip_of(camera_frames(2, seed))], [Ask(QUESTIONS[0], 1, hook=look)])
    return seen[0]


def gap(engine: Engine, seed: int, mode: str, row: int, step: int) -> float:
    """How far apart the two best logits are at one step of one answer that is computed alone and eagerly."""
    gaps: list[float] = []

    def look(_: Sequence[int], logits: torch.Tensor) -> torch.Tensor:
        first, second = logits.topk(2).values.tolist()
        gaps.append(first - second)
        return logits

    clip = clip_of(camera_frames(2 + seed % 3, seed))
    engine.answer_many([clip], [replace(asks()[row], hook=look)], mode=mode)
    return gaps[step]


def identity(place: Place) -> Iterator[Check]:
    """Tokens of eager, fixed and captured steps and of `generate`: the same in float32, in bfloat16 but for ties."""
    exact = place.checkpoint(torch.float32)
    noise = 0.0
    for checkpoint, dtype in ((exact, "float32"), (rounded(exact), "bfloat16")):
        eager = Engine(checkpoint, EngineSettings(static_steps=False, clip_frames=4))
        others = {"fixed": with_steps(checkpoint, None)}
        if place.on_cuda:
            others["captured"] = with_steps(checkpoint, Graphs(place.device).capture)
        if dtype == "bfloat16":
            wide = Engine(exact, EngineSettings(static_steps=False))
            noise = max(float((first_logits(eager, s) - first_logits(wide, s)).abs().max()) for s in range(3))
        for seed in range(4):
            mode = "multi_image" if seed == 3 else "video"
            ours = tokens_of(eager, seed, mode)
            found = {name: tokens_of(engine, seed, mode) for name, engine in others.items()}
            if mode == "video":
                clip = clip_of(camera_frames(2 + seed % 3, seed))
                found["generate"] = [
                    plain_generate(eager, plain_inputs(eager, clip, ask.question), ask.max_new_tokens) for ask in asks()
                ]
            for name, tokens in found.items():
                apart = [(at, gap(eager, seed, mode, *at)) for at in differences(ours, tokens)]
                ok = all(distance < (2 * noise if dtype == "bfloat16" else NEAR_TIE) for _, distance in apart)
                yield Check(f"{dtype} {name} {seed}", ok, {"differences": apart, "noise": noise})
        for name, engine in others.items():
            counters = engine.counters()
            yield Check(
                f"{dtype} {name} shapes", counters.step_shapes > 0 and not counters.step_shortage, str(counters)
            )


def index(place: Place) -> Iterator[Check]:
    """A device by its index answers as the device by its kind, also where another one is current."""
    given = [f"cuda:{number}" for number in range(torch.cuda.device_count())] if place.on_cuda else ["cpu"]
    expected = tokens_of(load_engine("rooms", device=place.device.type), 1)
    for name in given:
        yield Check(name, tokens_of(load_engine("rooms", device=name), 1) == expected)
    if len(given) == 1:
        yield Check("a second device", None, "there is none")


def limited(place: Place, spare: int) -> None:
    """Let this process have no more of the device than it holds now, and so much."""
    torch.cuda.synchronize(place.device)
    torch.cuda.empty_cache()
    whole = torch.cuda.get_device_properties(place.device).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved(place.device) + spare) / whole, place.device)


def memory(place: Place) -> Iterator[Check]:
    """Memory that runs out during an answer: it rests on fewer frames, or is refused; and then all is well again."""
    engine = with_steps(place.checkpoint(torch.float32), Graphs(place.device).capture if place.on_cuda else None)
    clip = clip_of(camera_frames(12, 5))
    whole = engine.answer([clip], QUESTIONS[0], max_new_tokens=8)
    engine.drop_caches()
    if place.on_cuda:
        limited(place, 0)
        limits = [mebibytes * 2**20 for mebibytes in (16, 48, 96, 160)]
    else:
        limits = [1, 4, 7, 10]
    states = engine._loaded()
    get = states.prefixes.get

    def scarce(most: int) -> Callable[[Any], Any]:
        def wrapped(chunks: Any, before_each: Callable[[], None]) -> Any:
            if len(chunks) > most:
                raise torch.OutOfMemoryError("rehearsed")
            return get(chunks, before_each)

        return wrapped

    short = 0
    for limit in limits:
        if place.on_cuda:
            limited(place, limit)
        else:
            states.prefixes.get = scarce(limit)
        ((_, outcome),) = engine.stream([clip], [Ask(QUESTIONS[0], 8)])
        told = repr(outcome) if isinstance(outcome, Exception) else outcome.remark or "all frames"
        fine = isinstance(outcome, MemoryError) or not isinstance(outcome, Exception)
        short += told != "all frames"
        yield Check(f"with {limit} {'bytes' if place.on_cuda else 'chunks'}", fine, told)
        engine.drop_caches()
    yield Check("memory did run out", short > 0, f"in {short} of {len(limits)} tries")
    if place.on_cuda:
        torch.cuda.set_per_process_memory_fraction(1.0, place.device)
    else:
        states.prefixes.get = get
    again = engine.answer([clip], QUESTIONS[0], max_new_tokens=8)
    yield Check("as before", again.token_ids == whole.token_ids and not again.remark)


def capture(place: Place) -> Iterator[Check]:
    """Memory that runs out during a capture: steps are eager, that is said, and later ones are captured again."""
    checkpoint = place.checkpoint(torch.float32)
    expected = tokens_of(Engine(checkpoint, EngineSettings(static_steps=False)), 1)
    graphs = Graphs(place.device).capture if place.on_cuda else lambda compute: compute

    def failing_before(compute: Callable[[], None]) -> Callable[[], None]:
        if not place.on_cuda:
            raise torch.OutOfMemoryError("rehearsed")
        limited(place, 0)
        try:
            return graphs(compute)
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, place.device)

    def failing_within(compute: Callable[[], None]) -> Callable[[], None]:
        def greedy() -> None:
            compute()
            if torch.cuda.is_current_stream_capturing():
                # More than any device has.
                torch.empty(2**50, dtype=torch.uint8, device=place.device)

        return graphs(greedy)

    moments = {"before": failing_before, "within": failing_within} if place.on_cuda else {"before": failing_before}
    for moment, failing in moments.items():
        engine = with_steps(checkpoint, failing)
        yield Check(f"tokens while it fails {moment}", tokens_of(engine, 1) == expected)
        said = engine.counters().step_shortage
        yield Check(f"it is said {moment}", said.startswith("memory ran out"), said)
    engine._loaded().static_steps = StaticSteps(engine._loaded().language, GIB, graphs)
    yield Check("tokens after it", tokens_of(engine, 1) == expected and engine.counters().step_shapes > 0)
    # Captures amid answers, with questions that were captured for before, all from one pool of memory.
    yield Check("the same again", all(tokens_of(engine, 1) == expected for _ in range(3)))


def quantised(place: Place, quantisation: str) -> Iterator[Check]:
    """Quantised weights answer, in captured steps too, in less memory; a CPU refuses what it cannot compute."""
    if not place.on_cuda:
        refusal = ""
        try:
            load_engine("rooms", device="cpu", quantize=quantisation)
        except ValueError as error:
            refusal = str(error)
        yield Check(
            "a CPU refuses what it cannot compute",
            bool(refusal) == (quantisation == "int4" or why_no_int8() != ""),
            refusal,
        )
        return
    plain = load_engine("rooms", device=str(place.device), dtype="bfloat16")
    small = load_engine("rooms", device=str(place.device), dtype="bfloat16", quantize=quantisation)
    pairs = list(zip(tokens_of(plain, 1), tokens_of(small, 1), strict=True))
    yield Check(
        "rooms answers", all(tokens for _, tokens in pairs), f"{sum(a == b for a, b in pairs)} answers the same"
    )
    checkpoint = place.checkpoint(torch.bfloat16)
    before = torch.cuda.memory_allocated(place.device)
    language = quantised_language_model(checkpoint.model, quantisation, place.device)
    checkpoint = replace(checkpoint, language=language)
    torch.cuda.empty_cache()
    after = torch.cuda.memory_allocated(place.device)
    yield Check("less memory", after < before, {"before": before, "after": after})
    eager = Engine(checkpoint, EngineSettings(static_steps=False))
    captured = with_steps(checkpoint, Graphs(place.device).capture)
    apart = differences(tokens_of(eager, 1), tokens_of(captured, 1))
    yield Check("captured steps", captured.counters().step_shapes > 0, {"differences to eager": apart})


def bench(place: Place) -> Iterator[Check]:
    """P1 to P9 of `llava-ov bench engine`; ratios are reported, tokens in bfloat16 may differ at ties."""
    device, dtype = place_and_dtype(str(place.device), "auto")
    goals = engine_benchmark(
        place.shape, tokenizer(), device=device, dtype=dtype, repeats=REPEATS, goals=GOALS, note=lambda text: None
    )
    for goal in goals:
        yield Check(goal.goal, None, asdict(goal))


def joined(parts: Path, device: str) -> dict[str, Any]:
    """All parts in one."""
    sections = {
        file.name.partition("-")[2]: [json.loads(line) for line in file.read_text().splitlines()]
        for file in sorted(parts.iterdir())
    }
    failed = [
        f"{name}: {line['check']}" for name, lines in sections.items() for line in lines if line["ok"] is False
    ] + [f"{name}: nothing was checked" for name, lines in sections.items() if not lines]
    on_cuda = torch.cuda.is_available() and device != "cpu"
    return {
        "device": torch.cuda.get_device_name(device) if on_cuda else device,
        "torch": torch.__version__,
        "failed": failed,
        "sections": sections,
    }


PARTS: dict[str, Callable[[Place], Iterator[Check]]] = {
    "identity": identity,
    "index": index,
    "memory": memory,
    "capture": capture,
    "int8": lambda place: quantised(place, "int8"),
    "int4": lambda place: quantised(place, "int4"),
    "bench": bench,
}


def main() -> int:
    """Run one part, or join them; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=(*PARTS, "join"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--shape", default="slice")
    parser.add_argument("--parts", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    if args.part == "join":
        result = joined(args.parts, args.device)
        args.out.write_text(json.dumps(result, indent=1) + "\n")
        print(f"{args.out}: " + (f"FAILED {', '.join(result['failed'])}" if result["failed"] else "all is well"))
        return 1 if result["failed"] else 0
    device, _ = place_and_dtype(args.device, "auto")
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())
    with args.out.open("a") as file:
        begun_s = time.monotonic()
        try:
            for check in PARTS[args.part](Place(device, args.shape)):
                line = {**asdict(check), "at_s": round(time.monotonic() - begun_s, 2)}
                print(json.dumps(line, default=str), file=file, flush=True)
        except Exception as error:
            line = {**asdict(Check("error", False, repr(error))), "at_s": round(time.monotonic() - begun_s, 2)}
            print(json.dumps(line), file=file, flush=True)
            raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
