"""A model on a server, as a run asks it: patiently, and a question that the server fails to answer ends the run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from ...asking import Ask, Generated
from ...frames import Clip
from ...remote import RemoteEngine, RemoteSettings, ServerError

PAUSES_S = (1.5, 3.0, 6.0)
"""Before a question is asked again that the server has failed to answer: nobody waits for it, as on a robot."""


class ServerOfRun(RemoteEngine):
    """Asks a server, and remembers whether it has failed.

    A question at which a checkpoint fails has been asked, and its answer is that failure. One that was lost with a
    server has not been asked, and no score may rest on it.

    Attributes:
        failure: The last failure that asking again did not mend; None: there was none.
    """

    def __init__(self, address: str, settings: RemoteSettings) -> None:
        """Make the engine; the arguments are those of `RemoteEngine`."""
        super().__init__(address, settings)
        self.failure: ServerError | None = None

    def stream(
        self, clips: Sequence[Clip], asks: Sequence[Ask], *, mode: str = "video"
    ) -> Iterator[tuple[int, Generated | Exception]]:
        """Answer several questions as `RemoteEngine.stream` does; ask again, after pauses, where the server failed."""
        numbers = list(range(len(asks)))
        for pause_s in (*PAUSES_S, None):
            failed: dict[int, ServerError] = {}
            for index, outcome in super().stream(clips, [asks[number] for number in numbers], mode=mode):
                if isinstance(outcome, ServerError) and (outcome.is_down or outcome.again or outcome.status):
                    failed[numbers[index]] = outcome
                else:
                    yield numbers[index], outcome
            if not failed:
                return
            if pause_s is None:
                self.failure = next(iter(failed.values()))
                yield from failed.items()
                return
            numbers = list(failed)
            time.sleep(pause_s)
