"""The engine as a model of lmms-eval 0.7: `--model llava_ov_ros --model_args pretrained=...`."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from lmms_eval.api.model import lmms
from lmms_eval.protocol import ChatMessages
from tqdm import tqdm

from ...bounds import check_whole
from ...onevision import NotFiniteError, load_engine
from ...onevision.prompt import Segment
from ...settings import DEFAULTS
from .lmms_eval_prompt import Visuals, chat_parts, context_texts, longest_answer, shown, turns_of

LOG = logging.getLogger(__name__)


class _Model(lmms):  # type: ignore[misc]
    """The common part of both models: the engine, and one greedy answer."""

    def __init__(
        self,
        pretrained: str = DEFAULTS.model,
        device: str = DEFAULTS.device,
        dtype: str = DEFAULTS.dtype,
        max_frames_num: int = 32,
        batch_size: int | str = 1,
        max_batch_size: int | None = None,
    ) -> None:
        """Load the engine.

        Args:
            pretrained: A shipped name, else a directory, else a hub name of a model.
            device: auto, cpu, cuda, cuda:0, ...
            dtype: auto, float32, bfloat16, float16.
            max_frames_num: Frames of a video, at least 1.
            batch_size: Must be 1; documents are answered one by one.
            max_batch_size: Ignored; lmms-eval passes it.

        Raises:
            ValueError: `batch_size` is not 1, there are several processes, `max_frames_num` is less than 1, or the
                model cannot be loaded.
            MemoryError: The device has no room for the model.
        """
        super().__init__()
        if str(batch_size) != "1":
            raise ValueError(f"batch_size is {batch_size}: documents are answered one by one, give 1")
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise ValueError("several processes: each would answer everything; run one, or split the tasks yourself")
        self._max_frames = int(max_frames_num)
        check_whole("max_frames_num", self._max_frames, 1)
        self.engine = load_engine(pretrained, device=str(device), dtype=dtype)

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Not offered.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("llava_ov_ros generates answers: use the tasks whose output_type is generate_until")

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
        """Not offered.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(
            "llava_ov_ros answers in one round: use the tasks whose output_type is generate_until"
        )

    def _answer(
        self, turns: Sequence[Sequence[Segment]], what: Visuals, system: str | None, options: Mapping[str, Any]
    ) -> str:
        if options.get("do_sample") and float(options.get("temperature") or 0) > 0:
            raise ValueError("llava_ov_ros answers greedily: give temperature=0 with --gen_kwargs")
        if int(options.get("num_beams") or 1) > 1:
            raise ValueError("llava_ov_ros searches with no beams: give num_beams=1 with --gen_kwargs")
        longest = longest_answer(options)
        prompt = self.engine.prompt(turns, system)
        # As in lmms-eval's own LLaVA-OneVision model, `until` is ignored: an answer ends where the model ends it.
        try:
            return self.engine.complete(prompt, what.items, what.mode, longest).text.strip()
        except NotFiniteError as error:
            LOG.warning("answered with the empty text, which counts as wrong: %s", error)
            return ""


class SimpleModel(_Model):
    """The simple model: takes a text with pictures or a video (`--force_simple`)."""

    is_simple = True

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """Answer the requests in order; their args are context, options, doc_to_visual, doc, task, split."""
        answers: list[str] = []
        for request in tqdm(requests, desc="answers", unit="doc", disable=None):
            context, options, doc_to_visual, doc_id, task, split = request.args
            metadata = request.metadata or {}
            frames = metadata.get("sample_frames") if metadata.get("task_type") == "video" else None
            what = shown(doc_to_visual(self.task_dict[task][split][doc_id]), self._max_frames, frames)
            text = self._answer(turns_of(context_texts(context, len(what.items)), len(what.items)), what, None, options)
            self.cache_hook.add_partial("generate_until", (context, options), text)
            answers.append(text)
        return answers


class ChatModel(_Model):
    """The chat model: takes chat messages; lmms-eval prefers it to the simple model."""

    is_simple = False

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """Answer the requests in order; their args are context, doc_to_messages, options, doc, task, split."""
        answers: list[str] = []
        for request in tqdm(requests, desc="answers", unit="doc", disable=None):
            context, doc_to_messages, options, doc_id, task, split = request.args
            messages = ChatMessages(messages=doc_to_messages(self.task_dict[task][split][doc_id])).messages
            parts = chat_parts(messages)
            what = shown(parts.visuals, self._max_frames)
            turns = turns_of(parts.texts, len(what.items))
            text = self._answer(turns, what, parts.system, options)
            self.cache_hook.add_partial("generate_until", (context, options), text)
            answers.append(text)
        return answers
