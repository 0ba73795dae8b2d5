"""`forewarn serve`: the HTTP service on uvicorn, without an access log."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import socket
from collections.abc import Sequence
from pathlib import Path

import uvicorn
from forewarn.inference.classifier import ScamClassifier
from forewarn.inference.errors import ForewarnError
from forewarn.inference.server import BUNDLE_VARIABLE, create_app
from uvicorn.supervisors import Multiprocess

_SAMPLE = "Your parcel is held at customs. Pay the fee today: http://parcel-fee.example/pay"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="forewarn serve", description="Run the HTTP scoring service.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="port, 0 for any free one (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: %(default)s)")
    parser.add_argument(
        "--bundle", type=Path, metavar="DIR", help=f"bundle (default: ${BUNDLE_VARIABLE}, or the one that is shipped)"
    )
    return parser


def _listen(host: str, port: int) -> socket.socket:
    """Bind before the model is loaded, so that a taken port is one line and not a traceback."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ForewarnError(f"cannot listen on {host}:{port} ({reason}); choose another --host or --port") from None
    listener.set_inheritable(True)
    return listener


def what_to_try(version: str, address: str) -> str:
    """The text that greets whoever started the service.

    Args:
        version: the model's version.
        address: where the service answers, as http://host:port.

    Returns:
        A curl line that works as it stands, and the address of the API documentation.
    """
    body = json.dumps({"messages": [{"id": "1", "text": _SAMPLE}]})
    return "\n".join(
        [
            f"forewarn {version} listens on {address} (Ctrl+C stops it)",
            "",
            "Try:",
            f"  curl -s {address}/v1/score -H 'Content-Type: application/json' -d {shlex.quote(body)}",
            "",
            f"API description: {address}/openapi.json",
        ]
    )


def main(argv: Sequence[str]) -> int:
    """Run the service until it is stopped.

    Args:
        argv: the options after `forewarn serve`.

    Returns:
        0 once stopped.

    Raises:
        ForewarnError: the address or port cannot be used.
        BundleError: the bundle is damaged or foreign.
    """
    args = _parser().parse_args(argv)
    if args.workers < 1:
        raise ForewarnError("--workers must be at least 1")
    bundle = args.bundle or (Path(os.environ[BUNDLE_VARIABLE]) if os.environ.get(BUNDLE_VARIABLE) else None)
    with _listen(args.host, args.port) as listener:
        # With workers the parent loads it too: a bad bundle must end here, not be retried in every worker for ever.
        classifier = ScamClassifier.load(bundle)
        host = f"[{args.host}]" if ":" in args.host else args.host
        print(what_to_try(classifier.version, f"http://{host}:{listener.getsockname()[1]}"), flush=True)
        try:
            if args.workers == 1:
                config = uvicorn.Config(create_app(classifier), access_log=False, log_level="warning")
                uvicorn.Server(config).run(sockets=[listener])
            else:
                del classifier
                if bundle is not None:
                    os.environ[BUNDLE_VARIABLE] = str(bundle.resolve())
                config = uvicorn.Config(
                    "forewarn.inference.server:create_app_from_environment",
                    factory=True,
                    workers=args.workers,
                    access_log=False,
                    log_level="warning",
                )
                Multiprocess(config, sockets=[listener]).run()
        except KeyboardInterrupt:
            pass
    return 0
