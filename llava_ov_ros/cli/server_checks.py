"""The checks of `llava-ov doctor` of a model on a server: whether it answers, what it is, and what it lacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ..checks import Check, Level

if TYPE_CHECKING:
    # Only for annotations: this brings numpy, which --help does without.
    from ..remote import RemoteSettings, ServerError

REMEDIES: Mapping[str, str] = {
    "picture": "let the server take pictures (vLLM: --limit-mm-per-prompt), or do without mode image",
    "clips": "let the server take clips (vLLM: --limit-mm-per-prompt), or set visual_mode image",
    "several_pictures": "do without mode multi_image and the prompts alfred, or run the model on this machine",
    "log_probabilities": "take a server that gives them, such as vLLM; else every confidence is 0",
    "choices": "take a server that gives prompt_logprobs, such as vLLM; else only questions of kind text are answered",
    "grammars": "take a server with structured_outputs, such as vLLM; else set plan_decoding free and give no goal",
}
"""What to do where a server lacks an ability, by the ability's name."""


def check_server(address: str, settings: RemoteSettings) -> Iterator[Check]:
    """Check that a server answers as the node needs it to; imports no torch."""
    from ..checkpoints import CheckpointError
    from ..remote import ServerError

    try:
        from ..remote import RemoteEngine

        engine = RemoteEngine(address, settings)
    except ImportError as error:
        yield Check("model", Level.FAIL, f"not asked: {error}", "see versions, above")
        return
    except ValueError as error:
        yield Check("model", Level.FAIL, str(error), "correct the address, or the file that the line names")
        return
    try:
        found = engine.connect()
    except CheckpointError as error:
        named = "give --remote-model, and --remote-key-file if the server asks for a key"
        remedy = named if "remote_model" in str(error) else "start the server as docs/servers.md says"
        yield Check("model", Level.FAIL, f"{engine.address}: {error}", remedy)
    except ServerError as error:
        yield Check("model", Level.FAIL, f"{engine.address}: {error}", _remedy(error, engine.address))
    else:
        yield Check("model", Level.OK, f"{engine.name}: {found}")
        for name, why in found.lacking.items():
            yield Check(name.replace("_", " "), Level.WARN, f"the server lacks it: {why}", REMEDIES[name])
    finally:
        engine.close()


def _remedy(error: ServerError, address: str) -> str:
    said = str(error)
    if error.status in (401, 403):
        return f"write the line `{address} KEY` into a file, and give it as --remote-key-file"
    if "CERTIFICATE" in said:
        return "give the certificates by which the server's is checked as --remote-ca-file, and its name as the address"
    if "SSL" in said:
        return "http:// instead of https://, or let the server speak TLS"
    if error.status:
        return "correct the address: it ends in /v1, where the server offers chat completions"
    return "start the server, or correct the address; a firewall may be between"
