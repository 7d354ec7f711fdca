"""The managed node: configure loads the model, activate subscribes, deactivate stops, cleanup frees the memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from rclpy.waitable import Waitable

from ..asking import AnswersQuestions
from ..checkpoints import CheckpointError
from ..frames import NS_PER_S, Camera, Clip
from ..frames.camera_settings import camera_settings, growth_settings
from ..questions import (
    Query,
    Request,
    Result,
    Status,
    answer_together,
    cut_clips,
)
from ..settings import ParameterError, Settings, check_together
from . import diagnostics, ros_parameters
from .abandonable import AbandonedError
from .ask_server import AskServer
from .bond import Bond
from .camera_subscriptions import Intake, camera_topics
from .camera_thread import CameraGroup
from .configured import Configuration, Configured
from .dispatch import Submitting
from .hint_server import HintServer
from .logs import passed_on
from .memory_limit import buffer_bytes, held_at_most
from .model import Model, load_from, prepare_ahead
from .own_name import OwnName
from .plan_server import PlanServer
from .publishing import Publishing
from .recent import RecentCounts
from .server_context import ServerContext
from .set_back import SetBack
from .transitions import Transitions
from .whole_numbers import accept_whole_numbers
from .words import load_words
from .worker import ENDING_JOIN_S, End, Worker

# Per frame there are at most four pieces: text and picture, each for the growing clip and for the clip with which the
# growing clip begins anew. Twice as many are more than ever needed.
MOST_PIECES_PER_FRAME = 8
# Longest wait for a transition when the node ends: only the end of the worker takes long then.
TRANSITION_END_S = ENDING_JOIN_S + 0.5
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class LlavaOvNode(LifecycleNode):
    """The managed node, which answers questions about cameras. One worker thread does all work with the model."""

    # Whether the constructor has completed.
    _is_made = False

    def __init__(
        self, name: str = "llava_ov", load: Callable[[Settings], AnswersQuestions] = load_from, **options: Any
    ) -> None:
        """Create the node, unconfigured.

        Args:
            name: Name of the node.
            load: Loads the engine at configure.
            options: Options of rclpy's LifecycleNode (namespace, parameter_overrides, context, ...).

        Raises:
            ParameterError: A parameter given at start is unknown or has a value that is not allowed. Whether the values
                fit together is checked at configure.
        """
        super().__init__(name, **options)
        try:
            accept_whole_numbers(self)
            ros_parameters.declare(self)
            self._configuration = configuration = Configuration(ros_parameters.read(self))
        except BaseException:
            # The garbage collector would destroy the node's entities in any order and thread, which can hang.
            self.destroy_node()
            raise
        self._load = load
        # Set when the node ends, so that its threads stop waiting.
        self._ending = threading.Event()
        self._own_name = OwnName(self)
        self._bond = Bond(self)
        self._model: Model | None = None
        self._last_asked_s = 0.0
        self._has_been_asked = False
        self._pieces_ahead = 0
        self._left_behind = False
        self._fault = ""
        self._cameras: dict[str, Camera] = {}
        self._recent: dict[str, RecentCounts] = {}
        self._intake: Intake | None = None
        self._publishing = Publishing(self, self._model_name)
        self._submitting = Submitting(self, configuration)
        context = ServerContext(self, configuration, self._publishing, self._submitting)
        self._ask_server = AskServer(context)
        self._plan_server = PlanServer(context)
        self._hint_server = HintServer(context, self._cut)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", QoSProfile(depth=10))
        self._set_back = SetBack(self.get_clock())
        # Diagnostics must be published also while simulated time stands still.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._diagnostics_timer = self.create_timer(
            configuration.now.settings.diagnostics_period_s,
            self._publish_diagnostics,
            callback_group=MutuallyExclusiveCallbackGroup(),
            clock=self._steady,
        )
        # Guards the model, the cameras and the intake: a transition may remove them while diagnostics read them.
        self._parts = threading.Lock()
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self._transitions = Transitions(self, self._submitting.counted)
        self._is_made = True

    @property
    def subscriptions(self) -> Iterator[Subscription]:
        """The subscriptions that the node's executor waits for: all but those to cameras, which have threads."""
        return (one for one in super().subscriptions if not isinstance(one.callback_group, CameraGroup))

    @property
    def waitables(self) -> Iterator[Waitable]:
        """What else the node's executor waits for, but the events of subscriptions to cameras: each picture is one."""
        return (one for one in super().waitables if not isinstance(one.callback_group, CameraGroup))

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Make sure that no other node has this name, check the parameters, and load the model."""
        self._fault = self._configure()
        if self._fault:
            self.get_logger().error(self._fault)
            return FAILURE
        return super().on_configure(state)

    def _configure(self) -> str:
        """Make the parts of an inactive node; return why that failed, or an empty text."""
        if not self._own_name.is_free_in_time(self._ending):
            return "the node ended before its name was free" if self._ending.is_set() else self._own_name.refusal()
        settings = self._configuration.now.settings
        self.get_logger().info(f"loading model {settings.model!r}")
        try:
            check_together(settings)
            camera_topics(settings, self.resolve_topic_name)
            words = load_words(settings)
        except ValueError as error:
            return str(error)
        try:
            with passed_on(self.get_logger()):
                model = Model(lambda: self._load(settings), self._ending)
        except AbandonedError:
            return "the node ended before the model was loaded"
        except Exception as error:  # noqa: BLE001 - rclpy says nothing about what a transition raises
            kind = "" if isinstance(error, CheckpointError) else f"{type(error).__name__}: "
            return f"cannot load the model: {kind}{error}"
        # Discovery takes a while: two nodes that started together may not have seen each other before.
        if not self._own_name.hold():
            model.rest()
            return self._own_name.refusal()
        self._model = model
        # The parameters are read again, because live parameters may have been set while the model was loading.
        _, configured = self._configuration.change(lambda now: replace(now, words=words))
        settings = configured.settings
        names = enumerate(settings.cameras)
        most = buffer_bytes(settings, model.may_hold)
        bounds = {name: replace(camera_settings(settings, index), buffer_bytes=most) for index, name in names}
        self._cameras = {name: Camera(name, bound) for name, bound in bounds.items()}
        self._recent = {name: RecentCounts(time.monotonic()) for name in self._cameras}
        self._intake = Intake(self, settings, self._cameras, self._on_admitted)
        held = f"loaded ({model.memory_bytes() / 2**20:.0f} MiB)" if model.memory_bytes() else "ready"
        self.get_logger().info(f"model {model.name!r} is {held}; activate to begin")
        return ""

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe to the cameras and accept requests; fail if the queue is too short for the standing questions."""
        settings = self._configuration.now.settings
        self._fault = settings.standing_fault()
        if self._fault:
            self.get_logger().error(f"cannot activate: {self._fault}")
            return FAILURE
        self._last_asked_s = time.monotonic()
        model = self._model
        assert model is not None, "an inactive node has a model"
        worker = Worker(self._work, settings.queue_size, settings.batch_size, self._idle, model.at_once)
        self._configuration.change(lambda now: replace(now, worker=worker))
        with self._parts:
            intake = self._intake
            assert intake is not None, "an inactive node is configured"
            intake.open()
        self._ask_server.start_standing()
        self._hint_server.start()
        self._bond.start()
        topics = ", ".join(f"{name} on {intake.topic(name)}" for name in self._cameras)
        self.get_logger().info(f"active; cameras: {topics}; ask on {self.get_fully_qualified_name()}/ask")
        self.get_logger().info(held_at_most(settings, model.may_hold))
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End all requests (those being answered before their next token) and the subscriptions to the cameras."""
        self._stop("the node is being deactivated")
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Clear the goal, forget the cameras, and unload the model."""
        self._unload()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End all requests and subscriptions and unload the model, from any state."""
        self._stop("the node is shutting down")
        self._unload()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop the node, unload the model and return to unconfigured, after a transition that raised."""
        self._stop("the node met an error")
        self._unload()
        return SUCCESS

    def finish(self) -> None:
        """End all requests and wait until the clients have their responses; call this while the executor runs."""
        owed = self._submitting.unanswered
        self._ending.set()
        self._transitions.close(TRANSITION_END_S)
        self._stop("the node is shutting down")
        self._submitting.wait_until_answered(owed)

    def destroy_node(self) -> None:
        """Stop the node and unload the model, then destroy the node's entities."""
        # rclpy also calls this method if the constructor has refused a parameter.
        if self._is_made:
            if not self._ending.is_set():
                self.finish()
            self._ask_server.destroy()
            self._plan_server.destroy()
            self._publishing.close()
            self._unload()
        super().destroy_node()  # type: ignore[no-untyped-call]
        # rclpy leaves the state machine, and with it the node, in the graph; the next node would wait for the name.
        self._state_machine.destroy_when_not_in_use()

    def _stop(self, reason: str) -> None:
        self._bond.stop()
        self._ask_server.stop_standing()
        self._hint_server.stop()
        with self._parts:
            if self._intake is not None:
                self._intake.close()
        worker = self._configuration.change(lambda now: replace(now, worker=None))[0].worker
        if worker is not None and not worker.stop(reason, self._ending):
            self._left_behind = True
            self.get_logger().warning("the model is in the middle of a forward pass; its thread is left behind")

    def _unload(self) -> None:
        self._own_name.give_up()
        with self._parts:
            model, self._model = self._model, None
            self._intake, self._cameras, self._recent = None, {}, {}
        self._configuration.change(lambda now: replace(now, words=None))
        self._hint_server.clear_goal()
        # A thread that was left behind may still compute with the model, which then cannot be unloaded.
        if model is not None and not self._left_behind:
            model.rest()

    def _work(self, requests: Sequence[Request], end: End) -> None:
        """Answer requests about the same clips; runs in the worker thread."""
        model = self._model
        assert model is not None, "the worker lives only while a model is loaded"
        self._has_been_asked = True
        self._last_asked_s = time.monotonic()
        with ExitStack() as used:
            try:
                engine = used.enter_context(model.using())
            except Exception as error:  # noqa: BLE001 - the checkpoint may have been removed while the model rested
                for request in requests:
                    message = f"cannot load the model again: {error}"
                    end(request, Result(request.query, Status.MODEL_ERROR, message))
                return
            answer_together(requests, engine, self._cut, end)
        self._last_asked_s = time.monotonic()

    def _on_admitted(self) -> None:
        self._pieces_ahead = 0
        worker = self._configuration.now.worker
        if worker is not None:
            worker.nudge()

    def _idle(self) -> bool:
        """Prepare one piece for the next question, or let the model rest; the worker calls this if no request waits.

        Returns:
            Whether a piece was prepared, so that there may be more to prepare.
        """
        model, settings = self._model, self._configuration.now.settings
        if model is None or model.is_resting:
            return False
        idle_s = time.monotonic() - self._last_asked_s
        # A model on a server has no memory here to give back; other threads may be asking it.
        if 0 < settings.idle_unload_s < idle_s and model.rest_if_unused():
            self.get_logger().info(f"no question for {idle_s:.0f} s: the model's memory is given back until the next")
            return False
        if not self._has_been_asked or idle_s > settings.prepare_ahead_s or settings.visual_mode == "image":
            return False
        # If the caches are too small for all clips, pieces for one clip evict those for another, again and again.
        if self._pieces_ahead > MOST_PIECES_PER_FRAME * settings.clip_frames * len(settings.cameras):
            return False
        self._pieces_ahead += 1
        try:
            return prepare_ahead(model.engine(), list(self._cameras.values()), settings.visual_mode)
        except Exception as error:  # noqa: BLE001 - the next question meets the error again, and its answer reports it
            self.get_logger().warning(f"cannot prepare for the next question: {error}", throttle_duration_sec=5.0)
            return False

    def _cut(self, query: Query) -> tuple[Clip, ...]:
        settings = self._configuration.now.settings
        return cut_clips(
            query,
            self._cameras,
            now_ns=self.get_clock().now().nanoseconds,
            max_age_ns=settings.max_frame_age_ns,
            frozen_after_ns=settings.frozen_after_ns,
        )

    def _on_set_parameters(self, changes: Sequence[Parameter]) -> SetParametersResult:
        is_configured = False

        def changed(now: Configured) -> Configured:
            nonlocal is_configured
            is_configured = self._transitions.state not in ("unconfigured", "finalized")
            settings = ros_parameters.changed(now.settings, changes, configured=is_configured)
            if is_configured:
                check_together(settings)
            if now.worker is not None and (fault := settings.standing_fault()):
                raise ParameterError(fault)
            return replace(now, settings=settings)

        try:
            earlier, now = self._configuration.change(changed)
        except ParameterError as error:
            return SetParametersResult(successful=False, reason=str(error))
        before, settings, is_active = earlier.settings, now.settings, now.worker is not None
        if settings.diagnostics_period_s != before.diagnostics_period_s:
            self._diagnostics_timer.timer_period_ns = settings.diagnostics_period_s * NS_PER_S
            self._diagnostics_timer.reset()
        # Before configure the values need not fit together, and there is no growing clip.
        if is_configured and growth_settings(settings) != growth_settings(before):
            for camera in self._cameras.values():
                camera.set_growth(growth_settings(settings))
        standing = ("standing_questions", "standing_period_s")
        if is_active and any(getattr(before, n) != getattr(settings, n) for n in standing):
            self._ask_server.start_standing()
        if is_active and settings.hint_period_s != before.hint_period_s:
            self._hint_server.start()
        return SetParametersResult(successful=True)

    def _model_name(self) -> str:
        model = self._model
        return model.name if model is not None else ""

    def _publish_diagnostics(self) -> None:
        if self._set_back.happened():
            self.get_logger().warning("the clock was set back: periods that run on it begin anew")
            self._ask_server.begin_period_anew()
            self._hint_server.begin_period_anew()
        now = self.get_clock().now()
        message = DiagnosticArray()
        message.header.stamp = now.to_msg()
        with self._parts:
            message.status = self._diagnose(now.nanoseconds)
        self._diagnostics.publish(message)

    def _diagnose(self, now_ns: int) -> list[DiagnosticStatus]:
        name, configured = self.get_fully_qualified_name(), self._configuration.now
        settings = configured.settings
        intake, ends = self._intake, self._submitting.ends
        status = [
            diagnostics.model_status(name, self._model, self._fault, settings, ends),
            diagnostics.queue_status(name, configured.worker, settings, ends),
        ]
        if intake is not None:
            links, now_s = intake.match_publishers(), time.monotonic()
            for camera in self._cameras.values():
                recent = self._recent[camera.name].update(camera.counts, now_s, settings.diagnostics_window_s)
                status.append(diagnostics.camera_status(name, camera, recent, links[camera.name], settings, now_ns))
        return status
