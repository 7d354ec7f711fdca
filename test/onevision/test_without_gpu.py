"""All work of a model on a CUDA device that is not there: tensors have shape, number format and device, but no data.

What would fail on a real device, or make the host wait for it, fails here: tensors of two devices or formats together,
copies from memory that is not pinned, numbers that are read back, and any of these in what is captured as a graph.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from llava_ov_ros.frames import Clip
from llava_ov_ros.onevision import Ask, Engine, EngineSettings, decoding, devices, engine, fixed_step, key_values
from llava_ov_ros.onevision.checkpoint import assembled
from llava_ov_ros.onevision.memory import GIB
from llava_ov_ros.onevision.prompt import DEFAULT_STYLE, PROMPT_STYLES
from llava_ov_ros.onevision.shapes import END_ID, SHAPES, tensor_shapes
from llava_ov_ros.onevision.steps import StaticSteps
from llava_ov_ros.onevision.tokens import PromptTokenizer

DTYPE = torch.bfloat16
PRODUCTS = {getattr(torch.ops.aten, name) for name in ("mm", "bmm", "addmm", "baddbmm", "convolution")}
# Places of c10::DeviceType (c10/core/DeviceType.h).
CUDA, META = 1, 14


class FaultError(Exception):
    """What a real device would not do, or would do late."""


class Device(TorchDispatchMode):
    """A CUDA device without data.

    Attributes:
        current: Index of the current device.
        waits: What made the host wait for the device.
        capturing: Whether a graph is being captured: nothing may wait, or touch another device, then.
    """

    def __init__(self, index: int) -> None:
        super().__init__()
        self.device = torch.device("cuda", index)
        self.current = 0
        self.waits: list[str] = []
        self.capturing = False
        self.captures = 0
        self.watching = False
        self._pinned: list[torch.Tensor] = []

    def wait(self, what: str) -> None:
        """Note that the host waits."""
        if self.capturing:
            raise FaultError(f"{what} waits for the device in what is captured")
        self.waits.append(what)

    def numbers(self, tensor: torch.Tensor) -> Any:
        """What `tolist` gives, after one wait."""
        self.wait("reading numbers")
        return _zeros(tuple(tensor.shape))

    def capture(self, compute: Callable[[], None]) -> Callable[[], None]:
        """As a graph would be captured: the computation runs, and again at each replay."""
        self.captures += 1

        def replay() -> None:
            self.capturing = True
            try:
                compute()
            finally:
                self.capturing = False

        replay()
        return replay

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.namespace == "prim":
            return func(*args, **kwargs)
        # In inference mode, operators arrive here that are made of others.
        with self:
            result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        on_device = [tensor for tensor in tensors if tensor.device.type == "cuda"]
        packet = func.overloadpacket
        if packet is torch.ops.aten._pin_memory:
            self._pinned.append(args[0].clone())
            return self._pinned[-1]
        if packet is torch.ops.aten.is_pinned:
            return any(args[0] is one for one in self._pinned)
        if packet is torch.ops.aten._local_scalar_dense and on_device:
            self.wait("reading a number")
            return 0.0 if args[0].is_floating_point() else 0
        if packet is torch.ops.aten.equal and on_device:
            self.wait("comparing tensors")
            return True
        if any(tensor.device != self.device for tensor in on_device):
            raise FaultError(f"{func} uses {[str(tensor.device) for tensor in on_device]}, not {self.device}")
        result = func(*args, **kwargs)
        made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        touched = on_device or [tensor for tensor in made if tensor.device.type == "cuda"]
        if packet in (torch.ops.aten._to_copy, torch.ops.aten.copy_):
            self._copied(func, args, kwargs, result)
        # Before, the table of rotations is made once: by a product of float32 numbers in older transformers.
        if packet in PRODUCTS and on_device and self.watching:
            formats = {tensor.dtype for tensor in tensors if tensor.is_floating_point()}
            if formats != {DTYPE}:
                raise FaultError(f"{func} of {formats}")
        if self.watching and touched and self.current != self.device.index:
            raise FaultError(f"{func} on {self.device} while cuda:{self.current} is the current device")
        if self.capturing and any(tensor.device != self.device for tensor in (*tensors, *made)):
            raise FaultError(f"{func} uses another device in what is captured")
        return result

    def _copied(self, func: Any, args: Any, kwargs: Any, result: torch.Tensor) -> None:
        source = args[1] if func.overloadpacket is torch.ops.aten.copy_ else args[0]
        if source.device.type == result.device.type:
            return
        kept = any(source is one for one in self._pinned)
        free = kwargs.get("non_blocking", False) and (kept or source.device.type == "cuda")
        if self.capturing or not free:
            self.wait(f"a copy from {source.device} to {result.device}")


class Functions(TorchFunctionMode):
    """What has no kernel here: the choice of an attention kernel."""

    def __init__(self, device: Device) -> None:
        super().__init__()
        self._device = device

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is functional.scaled_dot_product_attention:
            q, k, v = (
                kwargs.get(name, args[i] if i < len(args) else None) for i, name in enumerate(("query", "key", "value"))
            )
            given = [q, k, v] + ([kwargs["attn_mask"]] if kwargs.get("attn_mask") is not None else [])
            if {tensor.device for tensor in given} != {self._device.device} or {q.dtype, k.dtype, v.dtype} != {DTYPE}:
                raise FaultError("attention of several devices or formats")
            return q.new_empty((*q.shape[:-1], v.shape[-1]))
        return func(*args, **kwargs)


def _zeros(shape: tuple[int, ...]) -> Any:
    return [_zeros(shape[1:]) for _ in range(shape[0])] if shape else 0.0


def without_data(device: torch.device, tokenizer: Path) -> Engine:
    """An engine with weights of the true widths, two layers of each part."""
    config = SHAPES["slice"]()
    tensors = {name: torch.empty(shape, dtype=DTYPE, device=device) for name, shape in tensor_shapes(config).items()}
    checkpoint = assembled(
        config,
        tensors,
        PromptTokenizer.from_file(tokenizer),
        name="without data",
        style=PROMPT_STYLES[DEFAULT_STYLE],
        end_ids=frozenset({END_ID}),
        device=device,
        attention="sdpa",
    )
    return Engine(checkpoint, EngineSettings(clip_frames=4))


@pytest.fixture(params=[0, 1], ids=["cuda:0", "cuda:1"])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    """A device without data is there; the current one is cuda:0."""
    # A build of torch for CPUs knows no way to make a CUDA device the current one; that of meta tensors does nothing.
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libc10.so"))
    guards = (ctypes.c_void_p * (META + 1)).in_dll(library, "_ZN3c104impl26device_guard_impl_registryE")
    before, guards[CUDA] = guards[CUDA], guards[META]
    made = Device(request.param)

    def exchange(index: int) -> int:
        previous = made.current
        made.current = index if index >= 0 else previous
        return previous

    monkeypatch.setattr(torch.cuda, "_exchange_device", exchange)
    monkeypatch.setattr(torch.cuda, "_maybe_exchange_device", exchange)
    monkeypatch.setattr(FakeTensor, "tolist", lambda tensor: made.numbers(tensor))
    with FakeTensorMode(), made, Functions(made):
        yield made
    guards[CUDA] = before


@pytest.fixture
def made(device: Device, rooms: Path) -> Engine:
    model = without_data(device.device, rooms / "tokenizer.json")
    state = model._state
    assert state is not None
    state.static_steps = StaticSteps(state.language, GIB, device.capture)
    device.waits.clear()
    device.watching = True
    return model


def eager(model: Engine) -> Engine:
    assert model._state is not None
    model._state.static_steps = None
    return model


def ask_all(model: Engine, make_clip: Any, device: Device, mode: str, tokens: int = 6) -> list[str]:
    """Ask three questions together; what waited."""
    device.waits.clear()
    clip: Clip = make_clip(frames=3, height=480, width=640)
    while model.prepare([clip], mode=mode):
        pass
    assert device.waits == [], "frames and prefixes are nothing to wait for"
    asks = [Ask(f"Question {'long ' * n}{n}?", max_new_tokens=tokens - n) for n in range(3)]
    for _ in model.stream([clip], asks, mode=mode):
        assert device.current == 0, "who takes an answer is on a device of his own"
    assert model.counters().step_shortage == "", "a fault of a step would be taken for one of its capture"
    return list(device.waits)


@pytest.mark.parametrize("mode", ["video", "multi_image", "image"])
@pytest.mark.parametrize("steps", ["captured", "eager"])
def test_a_token_is_one_wait(made: Engine, device: Device, make_clip: Any, mode: str, steps: str) -> None:
    model = made if steps == "captured" else eager(made)
    assert ask_all(model, make_clip, device, mode) == ["reading numbers"] * 6
    assert (device.captures > 0) is (steps == "captured")


def test_choices_are_three_waits(made: Engine, device: Device, make_clip: Any) -> None:
    """One for the first tokens, one for every batch of the later ones."""
    clip = make_clip(frames=2)
    asks = [Ask("Is it open?", choices=("yes", "no")), Ask("Where is it?", choices=("on the table", "in the cupboard"))]
    made.answer_many([clip], asks)
    assert set(device.waits) == {"reading numbers"}
    assert len(device.waits) <= 3


def test_usual_steps_are_captured_before_the_first_question(made: Engine, device: Device, make_clip: Any) -> None:
    made.prepare_steps()
    captured = device.captures
    assert captured == 5 and device.waits == [] and device.current == 0
    ask_all(made, make_clip, device, "video")
    assert device.captures == captured


def test_an_answer_that_is_given_up_leaves_the_current_device(made: Engine, device: Device, make_clip: Any) -> None:
    answers = made.stream([make_clip(frames=1)], [Ask("One?", max_new_tokens=n) for n in (1, 3)])
    next(answers)
    answers.close()
    assert device.current == 0


def planted_device(attend: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    return lambda *given: attend(*given) + torch.zeros(1, dtype=DTYPE)


def planted_format(attend: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    return lambda *given: attend(*given).float()


def planted_wait(attend: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    def waiting(*given: torch.Tensor) -> torch.Tensor:
        int(given[5].sum())
        return attend(*given)

    return waiting


def planted_upload(attend: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    return lambda *given: attend(*given) * torch.tensor([1.0], dtype=DTYPE, device=given[0].device)


@pytest.mark.parametrize("plant", [planted_device, planted_format, planted_wait, planted_upload])
@pytest.mark.parametrize("place", [fixed_step, key_values], ids=["captured", "eager"])
def test_a_planted_fault_is_found(
    made: Engine, device: Device, make_clip: Any, monkeypatch: pytest.MonkeyPatch, plant: Any, place: Any
) -> None:
    monkeypatch.setattr(place, "attention", plant(place.attention))
    model = made if place is fixed_step else eager(made)
    with pytest.raises((FaultError, RuntimeError, AssertionError)):
        assert ask_all(model, make_clip, device, "video") == ["reading numbers"] * 6


@pytest.mark.parametrize("place", [decoding, key_values, engine], ids=["tokens", "lengths", "device"])
def test_an_upload_that_waits_and_work_elsewhere_are_found(
    made: Engine, device: Device, make_clip: Any, monkeypatch: pytest.MonkeyPatch, place: Any
) -> None:
    with ExitStack() as expected:
        if place is engine:
            monkeypatch.setattr(devices, "on_device", lambda device: nullcontext())
            monkeypatch.setattr(engine, "on_device", lambda device: nullcontext())
            if device.device.index != device.current:
                expected.enter_context(pytest.raises(FaultError, match="while cuda:0 is the current device"))
        elif place is key_values:
            run_layers = key_values.run_layers

            def asking(model: Any, x: Any, positions: torch.Tensor, attend: Any) -> torch.Tensor:
                int(positions.max())
                return run_layers(model, x, positions, attend)

            monkeypatch.setattr(key_values, "run_layers", asking)
            expected.enter_context(pytest.raises(AssertionError, match="nothing to wait for"))
        else:
            monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
            expected.enter_context(pytest.raises(AssertionError, match="nothing to wait for"))
        ask_all(made, make_clip, device, "video")
