"""The command `llava-ov web`: a page in the browser about a running node."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

from .errors import USAGE, CommandError
from .options import whole_between

NEEDED = ("starlette", "uvicorn", "websockets")
INSTALL = "pip install '.[web]' in the checkout"
MOST_CLIENTS = 1000

_DESCRIPTION = """\
Serve a page about a running node: its cameras, questions and answers with the frames they rest on, plans, the goal and
its hints, diagnostics. The page is a client of the node as any other; the node runs on when this process ends.
"""

_EPILOG = """\
examples:
  llava-ov web                                              http://127.0.0.1:8421/ about /llava_ov
  llava-ov web --node /robot1/llava_ov --port 8500
  llava-ov web --host 0.0.0.0 --token-file ~/.llava_ov_token

Everybody who can open the page can ask and set the goal. On another address than that of this machine, browsers have to
give the token, the first line of the file; encrypt the way there (docs/web.md).

exit codes: 0 never, for it runs until it is told to stop; 1 the page cannot be served; 2 wrong usage; 130 Ctrl-C
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "web",
        help="serve a page in the browser about a running node",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "--node", default="/llava_ov", metavar="NAME", help="full name of the node (default: %(default)s)"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen on (default: %(default)s)"
    )
    parser.add_argument(
        "--port",
        type=whole_between(0, 65535),
        default=8421,
        metavar="N",
        help="port to listen on; 0: any that is free (default: %(default)s)",
    )
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="file whose first line browsers have to give; mode 600"
    )
    parser.add_argument(
        "--clients",
        type=whole_between(1, MOST_CLIENTS),
        default=32,
        metavar="N",
        help="most browsers at a time (default: %(default)s)",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a further name of this server, such as that of a proxy (may be repeated)",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until the process is told to stop.

    Raises:
        CommandError: The extra is not installed, or the page cannot be served as asked.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise CommandError(f"llava-ov web needs {', '.join(missing)}, which is not installed: {INSTALL}")
    from ..web.access import TokenFileError, read_token
    from ..web.server import NeedsTokenError, WebServerError, serve

    node = args.node if args.node.startswith("/") else f"/{args.node}"

    def tell(address: str) -> None:
        print(f"{address} shows {node} (Ctrl-C ends it)", flush=True)

    try:
        token = None if args.token_file is None else read_token(args.token_file.expanduser())
        serve(
            node,
            args.host,
            args.port,
            token=token,
            clients=args.clients,
            names=args.allow_host,
            on_ready=tell,
        )
    except NeedsTokenError as error:
        raise CommandError(str(error), USAGE) from None
    except (TokenFileError, WebServerError) as error:
        raise CommandError(str(error)) from None
    return 0
