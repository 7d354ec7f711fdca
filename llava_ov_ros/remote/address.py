"""The address of a server, which a user gives in place of a directory, and the key that the server asks for."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from ..bounds import quoted
from ..checkpoints import ADDRESS_FORM, is_address

MOST_KEY_BYTES = 4096
HOST = re.compile(r"[\w.:%-]{1,255}")


class AddressError(ValueError):
    """The address or the key of a server cannot be used; the text says why, without the key."""


def checked_address(model: str) -> str:
    """Check an address, and return its base URL without a slash at the end; `/v1` is added where there is no path.

    Raises:
        AddressError: The address has no host, a wrong port, or parts that a base URL has not.
    """
    text = model.strip()
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise AddressError(f"model {quoted(text)}: {error}; give {ADDRESS_FORM}") from None
    if parts.username is not None or parts.password is not None:
        # Parameters can be read by everybody on the graph, so the address is not quoted here.
        raise AddressError(
            "the address of the server contains a password: put the key into the file of remote_key_file"
        )
    if not is_address(text) or not HOST.fullmatch(host) or port == 0 or parts.query or parts.fragment:
        raise AddressError(f"model {quoted(text)} is no base URL: give {ADDRESS_FORM}")
    place = f"[{host}]" if ":" in host else host
    return f"{parts.scheme.lower()}://{place}{'' if port is None else f':{port}'}{parts.path.rstrip('/') or '/v1'}"


def place_of(address: str) -> str:
    """Host and port of a checked address, as answers name the server."""
    return urlsplit(address).netloc


def read_key(file: str, address: str) -> str | None:
    """Read the API key of a server from a file of lines `ADDRESS KEY`; None if no file is named.

    The file names the server of each key, because whoever may set the parameters could otherwise have the first line of
    any file, or the key of one server, sent to a server of their own.

    Raises:
        AddressError: The file cannot be read, or has no line for the address. The text never quotes the file.
    """
    if not file:
        return None
    try:
        with Path(file).open("rb") as opened:
            content = opened.read(MOST_KEY_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AddressError(f"remote_key_file {quoted(file)} cannot be read: {reason}") from None
    lines = [line.split() for line in content.decode("ascii", errors="replace").splitlines()]
    keys = [parts[1] for parts in lines if len(parts) == 2 and parts[0].rstrip("/") == address]
    if len(keys) != 1 or len(content) > MOST_KEY_BYTES or not all(33 <= ord(mark) < 127 for mark in keys[0]):
        raise AddressError(
            f"remote_key_file {quoted(file)} has no key for {address}: write one line `{address} KEY` into it (up to "
            f"{MOST_KEY_BYTES} bytes, printable ASCII)"
        )
    return keys[0]
