"""Checks whether a suite can be run: reads the indices of its bags, and reports all faults at once."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from ...checkpoints import is_address, local_checkpoint
from ...frames import NS_PER_S
from ...frames.video import NEEDS_AV, has_av
from ...message_types import IMAGE_TYPES, VIDEO_TYPES
from ...planning import Vocabulary, VocabularyError, find_vocabulary, load_vocabulary
from ...questions import Prompts, PromptsError, find_prompts, load_prompts
from ...remote.address import checked_address, read_key
from ...replay import BagError, Contents, ImageTopic, camera_names, contents, image_topics, why_no_picture
from ...settings.value_range import check_value_range
from ...share import ACTIONS, MODELS, PROMPTS
from ..metrics import METRICS
from ..run.answer_scores import metrics_of, suits
from .suite_file import BagEntry, CameraTopic, Suite, SuiteError
from .trials import PLAN, BagTimes, Trial, TrialMaker
from .yaml_file import Place, one_of

T = TypeVar("T")


@dataclass(frozen=True)
class ShardCamera:
    """One camera of a bag: topic, name in answers, and the clockwise turn and value range of its pictures."""

    topic: ImageTopic
    name: str
    rotate_deg: int
    value_range: str


@dataclass(frozen=True)
class Shard:
    """One bag with all questions about it: the unit of work of a worker.

    Attributes:
        number: Number of the bag, from 0, in the order of the suite.
        name: The last parts of the bag's path, as many as distinguish it from the other bags.
        bag: Path of the bag.
        cameras: The cameras through which the questions look.
        trials: The questions and plans, in order of their times.
    """

    number: int
    name: str
    bag: Path
    cameras: tuple[ShardCamera, ...]
    trials: tuple[Trial, ...]

    @property
    def messages(self) -> int:
        """Number of recorded pictures of all cameras."""
        return sum(camera.topic.count for camera in self.cameras)


@dataclass(frozen=True)
class Job:
    """A suite that can be run.

    Attributes:
        suite: The suite.
        prompts: The set of prompts.
        vocabulary: The vocabulary of plans.
        shards: The bags with their questions.
        metrics: Names of the metrics that score the answers, in order.
        notes: Remarks for the user before the run begins.
    """

    suite: Suite
    prompts: Prompts
    vocabulary: Vocabulary
    shards: tuple[Shard, ...]
    metrics: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def trials(self) -> int:
        """Number of questions and plans of all bags."""
        return sum(len(shard.trials) for shard in self.shards)


def preflight(suite: Suite) -> Job:
    """Check a suite against its bags; reads only each bag's index and each camera's first and last messages.

    Raises:
        SuiteError: The suite cannot be run; the error has all faults.
    """
    return _Preflight(suite).job()


class _Preflight:
    def __init__(self, suite: Suite) -> None:
        self._suite = suite
        self._problems: list[str] = []
        self._notes: list[str] = []

    def _note(self, place: Place, text: str) -> None:
        self._problems.append(self._suite.file.problem(place, text))

    def _remark(self, place: Place, text: str) -> None:
        self._notes.append(self._suite.file.problem(place, text))

    def job(self) -> Job:
        suite = self._suite
        prompts = self._loaded("prompts", lambda: load_prompts(find_prompts(named_prompts(suite))))
        vocabulary = self._loaded("actions", lambda: load_vocabulary(find_vocabulary(named_actions(suite))))
        if 0 < suite.clip.rate_hz * suite.clip.max_age_s < 1:
            self._note(
                ("clip", "rate_hz"),
                f"{suite.clip.rate_hz:g} keeps a frame every {1 / suite.clip.rate_hz:g} s, longer than max_age_s "
                f"{suite.clip.max_age_s:g}: most answers would be STALE",
            )
        for number, name in enumerate(suite.metrics or ()):
            if name not in METRICS:
                self._note(("metrics", number), f"{name!r} is no metric{one_of(name, sorted(METRICS))}")
        self._check_model()
        shards: list[Shard] = []
        for entry in suite.bags:
            bags = self._bags(entry)
            if not bags:
                self._maker(BagTimes(None, 0, None, 0), prompts, vocabulary).make(entry)
            for bag in bags:
                shard = self._shard(len(shards), bag, entry, prompts, vocabulary)
                if shard is not None:
                    shards.append(shard)
        shards = self._named(shards)
        if not self._problems and not any(shard.trials for shard in shards):
            self._note(("bags",), "nothing is asked: give questions, questions_file, timelines or plans")
        if self._problems or prompts is None or vocabulary is None:
            raise SuiteError(list(dict.fromkeys(self._problems)))
        trials = [trial for shard in shards for trial in shard.trials]
        for number, name in enumerate(suite.metrics or ()):
            if not any(suits(name, trial) for trial in trials):
                self._note(("metrics", number), f"nothing that is asked can be scored by {name!r}")
        if self._problems:
            raise SuiteError(self._problems)
        metrics = metrics_of(trials, suite.metrics)
        return Job(suite, prompts, vocabulary, tuple(shards), metrics, tuple(self._notes))

    def _check_model(self) -> None:
        """Note a fault if the model is neither on this machine, nor a name of the hub, nor an address of a server.

        Neither the hub nor a server is asked.
        """
        model = named_model(self._suite)
        try:
            if is_address(model):
                read_key(self._suite.server.key_file, checked_address(model))
            else:
                local_checkpoint(model)
        except ValueError as error:
            self._note(("model",), str(error))
        if "server" in self._suite.file.content and not is_address(model):
            self._remark(("server",), f"is not used: the model is {model}, which is on this machine")

    def _loaded(self, name: str, load: Callable[[], T]) -> T | None:
        try:
            return load()
        except (PromptsError, VocabularyError) as error:
            self._note((name,), str(error))
            return None

    def _bags(self, entry: BagEntry) -> list[Path]:
        """The paths that match an entry's patterns, sorted for each pattern."""
        found: list[Path] = []
        for pattern in entry.patterns:
            # In the name of the suite's folder, wildcards are plain characters.
            whole = str(Path(glob.escape(str(self._suite.folder))) / Path(pattern).expanduser())
            paths = [Path(path) for path in sorted(glob.glob(whole, recursive=True))]  # noqa: PTH207 - of whole paths
            if not paths:
                what = "no such file or folder" if glob.escape(pattern) == pattern else "matches nothing"
                self._note((*entry.place, "bag"), f"{self._suite.folder / pattern}: {what}")
            found += [path for path in paths if path not in found]
        return found

    def _shard(
        self, number: int, bag: Path, entry: BagEntry, prompts: Prompts | None, vocabulary: Vocabulary | None
    ) -> Shard | None:
        where = (*entry.place, "bag")
        held, topics = self._held(bag, entry, where)
        chosen = self._chosen(bag, entry, held, topics) if held is not None and (topics or entry.topics) else None
        if held is None or chosen is None:
            # Faults of the questions are reported in the same round.
            filled = [topic for topic in topics.values() if topic.count]
            times = _times(bag, filled, held) if held is not None and filled else None
            self._maker(times or BagTimes(bag, 0, None, 0), prompts, vocabulary).make(entry)
            return None
        names = camera_names([topic.name for topic, _ in chosen])
        cameras = tuple(
            ShardCamera(topic, names[topic.name], one.rotate_deg, self._suite.value_range or one.value_range)
            for topic, one in chosen
        )
        for camera in cameras:
            if not camera.topic.stamped:
                text = f"{camera.topic.name} of {bag} has no header stamps: its record time is used"
                self._remark((*entry.place, "bag"), text)
        times = _times(bag, [topic for topic, _ in chosen], held)
        return Shard(number, "", bag, cameras, self._maker(times, prompts, vocabulary).make(entry))

    def _maker(self, times: BagTimes, prompts: Prompts | None, vocabulary: Vocabulary | None) -> TrialMaker:
        suite = self._suite
        tokens = suite.model.max_new_tokens
        return TrialMaker(times, suite.clip, tokens, prompts, vocabulary, suite.folder, self._note, self._remark)

    def _held(self, bag: Path, entry: BagEntry, where: Place) -> tuple[Contents | None, dict[str, ImageTopic]]:
        """Read a bag's contents (None if it cannot be read) and its image topics; note faults."""
        held = None
        try:
            held = contents(bag)
            return held, {topic.name: topic for topic in image_topics(bag)}
        except BagError as error:
            pictures = held is not None and set(IMAGE_TYPES) & set(held.types.values())
            if held is None or pictures or not entry.topics:
                self._note(where, str(error))
                return None, {}
            # The error names each topic that was asked for, with its type.
            return held, {}

    def _chosen(
        self, bag: Path, entry: BagEntry, held: Contents, topics: dict[str, ImageTopic]
    ) -> list[tuple[ImageTopic, CameraTopic]] | None:
        """The topics to look through; None if the bag does not have them."""
        wanted = entry.topics
        place = entry.topics_place
        filled = [topic for topic in topics.values() if topic.count]
        if not wanted:
            if len(filled) > 1:
                names = ", ".join(topic.name for topic in filled)
                self._note(place, f"{bag} has {len(filled)} image topics: choose among {names}")
                return None
            wanted = tuple(CameraTopic(topic.name) for topic in filled or topics.values())[:1]
        chosen: list[tuple[ImageTopic, CameraTopic]] = []
        for number, one in enumerate(wanted):
            where = (*place, number) if entry.topics else (*entry.place, "bag")
            topic = topics.get(one.topic)
            try:
                check_value_range(one.value_range)
            except ValueError as error:
                self._note((*where, "value_range"), str(error))
            if topic is None and one.topic in held.types:
                self._note(where, f"{one.topic} of {bag} {why_no_picture(held.types[one.topic])}")
            elif topic is None:
                self._note(where, f"{bag} has no topic {one.topic}{one_of(one.topic, topics)}")
            elif not topic.count:
                self._note(where, f"{one.topic} of {bag} has no messages")
            elif topic.type in VIDEO_TYPES and not has_av():
                self._note(where, f"{one.topic} of {bag} is video, and {NEEDS_AV}")
            else:
                chosen.append((topic, one))
        for name, count in Counter(one.topic for one in wanted).items():
            if count > 1:
                self._note(place, f"{name} is there {count} times")
        if self._suite.model.mode == "image" and len(wanted) > 1:
            self._note(place, f"mode image looks through one camera, not {len(wanted)}")
        return chosen if len(chosen) == len(set(wanted)) == len(wanted) else None

    def _named(self, shards: Sequence[Shard]) -> list[Shard]:
        """Name each bag by the last parts of its path, as many as distinguish it from the other bags."""
        paths = [shard.bag.resolve() for shard in shards]
        for path, count in Counter(paths).items():
            if count > 1:
                self._note(("bags",), f"{path} is there {count} times: name each bag once, with all of its questions")
        used = [1] * len(paths)
        while True:
            names = ["/".join(path.parts[-count:]) for path, count in zip(paths, used, strict=True)]
            counts = Counter(names)
            alike = [i for i, name in enumerate(names) if counts[name] > 1 and used[i] < len(paths[i].parts)]
            if not alike:
                return [replace(shard, name=name) for shard, name in zip(shards, names, strict=True)]
            for i in alike:
                used[i] += 1


def named_model(suite: Suite) -> str:
    """A suite's model, for `find_checkpoint`."""
    return MODELS.beside(suite.folder, suite.model.model)


def named_prompts(suite: Suite) -> str:
    """A suite's set of prompts, for `find_prompts`."""
    return PROMPTS.beside(suite.folder, suite.model.prompts)


def named_actions(suite: Suite) -> str:
    """A suite's action vocabulary, for `find_vocabulary`."""
    return ACTIONS.beside(suite.folder, suite.model.actions)


def _times(bag: Path, topics: Sequence[ImageTopic], held: Contents) -> BagTimes:
    first_ns = min(topic.first_ns for topic in topics)
    end_ns = max(topic.last_ns for topic in topics) - first_ns
    periods = [(topic.last_ns - topic.first_ns) // (topic.count - 1) for topic in topics if topic.count > 1]
    return BagTimes(bag, end_ns, held.duration_ns, max([0, *periods]))


def describe(job: Job) -> str:
    """Describe the run in one line."""
    seconds = sum(
        max(camera.topic.last_ns for camera in shard.cameras) - min(camera.topic.first_ns for camera in shard.cameras)
        for shard in job.shards
    )
    plans = sum(trial.kind == PLAN for shard in job.shards for trial in shard.trials)
    parts = [
        f"{_several(len(job.shards), 'bag')}, {seconds / NS_PER_S:.1f} s",
        _several(sum(shard.messages for shard in job.shards), "picture"),
        _several(job.trials - plans, "question"),
    ]
    return ", ".join([*parts, *([_several(plans, "plan")] if plans else [])])


def _several(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")
