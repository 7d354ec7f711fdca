"""Why a client has no reply of a node."""

from __future__ import annotations


class ClientError(RuntimeError):
    """A request has no reply; the text names the service and says what to do."""


class NoNodeError(ClientError):
    """No node offers the service."""


class NoReplyError(ClientError):
    """The node did not reply by the deadline."""


class DeclinedError(ClientError):
    """The node declined the request; the text is the node's."""


class GivenUpError(ClientError):
    """The client itself has cancelled the request."""
