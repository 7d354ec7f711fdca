"""Finds out what a server can do, once, before the first question."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from ..asking import Ask
from ..bounds import quoted, shown
from ..frames import Clip, Frame
from ..modes import Mode
from .answer_events import GrowingAnswer, piece_of, scored_answer
from .chat import messages
from .connection import Connection
from .pictures import Pictures
from .remote_settings import RemoteSettings
from .repeating import repeated
from .server_error import NoResponseError, ProbeError, ServerError, cited

T = TypeVar("T")
QUESTION = "What is there?"
# A text that no model writes by itself: only a server that holds the answer to the grammar gives it.
HELD = "zqx-7"
HELD_TOKENS = 16
SEEN_TOKENS = 4
"""Tokens whose log-probabilities are compared between two pictures: a single one may be certain."""
REFUSED = (400, 404, 405, 415, 422, 500, 501)
"""HTTP statuses by which servers refuse a field or a content part that they do not know."""
MOST_NAMES = 5
MOST_NAME = 200
"""Most characters of the name of a model: it becomes part of every answer."""
MOST_KIND, MOST_VERSION = 20, 40
"""Most characters of a server's kind and version, for the same reason."""


@dataclass(frozen=True)
class Capabilities:
    """What a server can do.

    Attributes:
        model: Name of the model on the server.
        server: Kind and version of the server, such as `vllm 0.32.0`; empty if the server does not tell.
        lacking: Why the server cannot do something, by the name of what (NAMES).
        frame_tokens: Tokens of a frame of a clip; 0 if the server takes no clips.
    """

    model: str
    server: str = ""
    lacking: Mapping[str, str] = field(default_factory=dict)
    frame_tokens: int = 0

    def __str__(self) -> str:
        return " ".join(name for name in NAMES if name not in self.lacking) or "none"


NAMES = ("picture", "clips", "several_pictures", "log_probabilities", "choices", "grammars")
"""picture: mode image. clips: mode video. several_pictures: mode multi_image, as the local engine has it. choices:
given answers are compared. grammars: answers held to a grammar, as plans are."""


class Probe:
    """Asks a server small questions, each of which needs one ability."""

    def __init__(self, connection: Connection, settings: RemoteSettings) -> None:
        self._connection = connection
        self._settings = settings
        self._pictures = Pictures(settings)
        # Noise, because a server that ignored pictures would answer about two of them alike.
        noise = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
        self._frames = [Frame("camera", number, "", picture) for number, picture in enumerate(noise)]
        self._lacking: dict[str, str] = {}
        self._model = settings.model

    async def capabilities(self) -> Capabilities:
        """Ask the server.

        Raises:
            ProbeError: The server does not say which model it has, answers neither about a picture nor about a clip,
                or answers about different pictures alike.
            ServerError: The server does not answer.
        """
        listed = await self._listed()
        server = await self._server(listed)
        picture = await self._counted("picture", "image", [self._frames[:1]])
        clip = await self._counted("clips", "video", [self._frames[:1]])
        if picture is None and clip is None:
            raise ProbeError(f"the server answers neither about pictures ({self._lacking['picture']}) nor about clips")
        frame_tokens = await self._frame_tokens(clip) if clip is not None else 0
        if picture is None:
            self._lacking["several_pictures"] = self._lacking["picture"]
        else:
            await self._several_pictures(picture)
        mode: Mode = "image" if clip is None else "video"
        await self._log_probabilities(mode)
        await self._choices(mode)
        await self._grammars(mode)
        return Capabilities(self._model, server, self._lacking, frame_tokens)

    async def _listed(self) -> Mapping[str, Any]:
        """The server's entry about the model; empty if the server does not list its models."""
        why = "it does not list them"
        try:
            found = await self._repeated(lambda: self._connection.get("/models"))
            entries = {name: entry for entry in found["data"] if _is_name(name := entry["id"])}
        except ServerError as error:
            # What cannot be reached or is busy has nothing else to say, either.
            if isinstance(error, NoResponseError) or (error.again and error.status not in REFUSED):
                raise
            entries, why = {}, str(error)
        except (KeyError, TypeError):
            entries = {}
        if not self._model and len(entries) == 1:
            self._model = next(iter(entries))
        if not self._model:
            names = ", ".join(map(quoted, list(entries)[:MOST_NAMES])) or why
            raise ProbeError(f"which of the server's models shall answer? name it in remote_model: {shown(names)}")
        if entries and self._model not in entries:
            names = ", ".join(map(quoted, list(entries)[:MOST_NAMES]))
            raise ProbeError(f"remote_model is {quoted(self._model)}, and the server has {shown(names)}")
        entry: Mapping[str, Any] = entries.get(self._model, {})
        return entry

    async def _server(self, listed: Mapping[str, Any]) -> str:
        try:
            version = (await self._connection.get("../version"))["version"]
        except (ServerError, KeyError, TypeError):
            version = ""
        return f"{_plain(listed.get('owned_by'), MOST_KIND)} {_plain(version, MOST_VERSION)}".strip()

    def _body(self, mode: Mode, clips: list[list[Frame]], answer: str | None = None, **more: Any) -> dict[str, Any]:
        clip = [Clip(f"camera {number}", tuple(frames)) for number, frames in enumerate(clips)]
        said = messages(clip, Ask(QUESTION), mode, self._pictures)
        if answer is not None:
            said.append({"role": "assistant", "content": answer})
        return {"model": self._model, "messages": said, "temperature": 0, "max_tokens": 1, **more}

    async def _repeated(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Make an attempt; what may be a moment's failure shall not count for as long as the node runs."""
        return await repeated(attempt, max(1, self._settings.retries))

    async def _stream(self, body: Mapping[str, Any]) -> GrowingAnswer:
        more = {"stream": True, "stream_options": {"include_usage": True}}

        async def attempt() -> GrowingAnswer:
            answer = GrowingAnswer()
            async with aclosing(self._connection.events({**body, **more})) as events:
                async for event in events:
                    answer.add(piece_of(event))
            answer.check_ended()
            return answer

        return await self._repeated(attempt)

    async def _counted(self, name: str, mode: Mode, clips: list[list[Frame]], **more: Any) -> int | None:
        """Tokens of a prompt; None if the server refuses such a prompt."""
        try:
            return (await self._stream(self._body(mode, clips, **more))).prompt_tokens
        except ServerError as error:
            if error.status not in REFUSED:
                raise
            self._lacking[name] = str(error)
            return None

    async def _frame_tokens(self, one: int) -> int:
        """Tokens of a frame; makes sure that the server looks at every frame of the largest clip."""
        most = max(2, self._settings.clip_frames)
        both = await self._counted("clips", "video", [self._frames])
        each = 0 if both is None else both - one
        if both is not None and each < 1:
            self._lacking["clips"] = f"a clip of two frames has {both} tokens, one of a single frame has {one}"
        elif both is not None and most > 2:
            frames = [self._frames[number % 2] for number in range(most)]
            found = await self._counted("clips", "video", [frames])
            if found is not None and found - one != (most - 1) * each:
                self._lacking["clips"] = (
                    f"of the {most} frames of clip_frames the server looks at {(found - one) // each + 1}: vLLM needs "
                    '--media-io-kwargs \'{"video": {"num_frames": -1}}\''
                )
        return max(each, 0)

    async def _several_pictures(self, one: int) -> None:
        both = await self._counted("several_pictures", "image", [self._frames[:1], self._frames[1:]])
        if both is None:
            return
        text_only = [{"role": "user", "content": QUESTION}]
        none = await self._counted("several_pictures", "image", [self._frames[:1]], messages=text_only)
        if none is None:
            return
        # Alone a picture is cut into tiles; several are padded, one tile each, in the original code.
        if one <= none:
            self._lacking["several_pictures"] = "the server does not tell how many tokens a picture has"
        elif both - none >= 1.5 * (one - none):
            self._lacking["several_pictures"] = (
                "the server cuts each of several pictures into tiles, which is not what the local engine and the "
                "original code do"
            )

    async def _log_probabilities(self, mode: Mode) -> None:
        seen: list[tuple[float, ...]] = []
        for frame in self._frames:
            try:
                body = self._body(mode, [[frame]], logprobs=True, top_logprobs=0) | {"max_tokens": SEEN_TOKENS}
                seen.append((await self._stream(body)).logs)
            except ServerError as error:
                if error.status not in REFUSED:
                    raise
                self._lacking["log_probabilities"] = str(error)
                return
        if not all(seen):
            self._lacking["log_probabilities"] = "the server's answers carry none"
        elif seen[0] == seen[1]:
            raise ProbeError(
                f"the server answers about two different pictures with the same log-probability {seen[0][0]}: it does "
                "not look at them, or a cache of prefixes ignores pictures (for vLLM: --no-enable-prefix-caching)"
            )

    async def _choices(self, mode: Mode) -> None:
        body = self._body(mode, [self._frames[:1]], "yes", prompt_logprobs=0, add_generation_prompt=False)
        try:
            scored_answer(await self._repeated(lambda: self._connection.post(body)))
        except ServerError as error:
            if isinstance(error, NoResponseError) or (error.again and error.status not in REFUSED):
                raise
            self._lacking["choices"] = str(error)

    async def _grammars(self, mode: Mode) -> None:
        held = {"structured_outputs": {"grammar": f'start: "{HELD}"'}, "max_tokens": HELD_TOKENS}
        try:
            answer = await self._stream({**self._body(mode, [self._frames[:1]]), **held})
        except ServerError as error:
            if error.status not in REFUSED:
                raise
            self._lacking["grammars"] = str(error)
            return
        if answer.text != HELD:
            self._lacking["grammars"] = "the server does not hold answers to the field structured_outputs"


def _is_name(found: object) -> bool:
    return isinstance(found, str) and 0 < len(found) <= MOST_NAME and found.isprintable()


def _plain(found: object, most: int) -> str:
    """A text of a server that becomes part of a name, without all marks that a name does not need."""
    return cited(re.sub(r"[^\w.+ -]", "", found[:MOST_NAME]), most) if isinstance(found, str) else ""
