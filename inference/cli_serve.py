"""`forewarn serve`: the HTTP service on uvicorn, without an access log."""

from __future__ import annotations

import argparse
import ipaddress
import json
import logging
import os
import shlex
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from forewarn.inference.bundle import Bundle
from forewarn.inference.classifier import ScamClassifier
from forewarn.inference.errors import ForewarnError
from forewarn.inference.service.app import CONFIG_VARIABLE, calm_collector, create_app
from forewarn.inference.service.joining import shared_parts
from forewarn.inference.service.keys_store import open_store
from forewarn.inference.service.logs import LOGGER, configure_logging
from forewarn.inference.service.metrics import FOLDER_VARIABLE as METRICS_VARIABLE
from forewarn.inference.service.model_state import FOLDER_VARIABLE as MODEL_VARIABLE
from forewarn.inference.service.overload import RefusingProtocol
from forewarn.inference.service.settings import PREFIX, Settings, load_settings
from forewarn.inference.service.tracing import check_traces
from uvicorn.supervisors import Multiprocess

_SAMPLE = "Your parcel is held at customs. Pay the fee today: http://parcel-fee.example/pay"
_BUNDLE_VARIABLE = f"{PREFIX}BUNDLE"
# A worker that does not say for so long that it lives is replaced. On a busy machine one may take long to start.
_WORKER_ANSWERS_S = 30


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="forewarn serve", description="Run the HTTP scoring service.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="port, 0 for any free one (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: %(default)s)")
    parser.add_argument(
        "--bundle", type=Path, metavar="DIR", help=f"bundle (default: ${_BUNDLE_VARIABLE}, or the one that is shipped)"
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help=f"TOML file with limits and times (default: ${CONFIG_VARIABLE})"
    )
    return parser


def listen(host: str, port: int, send_timeout_s: float) -> socket.socket:
    """Bind before the model is loaded, so that a taken port is one line and not a traceback.

    Args:
        host: address.
        port: port, 0 for any free one.
        send_timeout_s: after how long the system drops a connection whose peer takes nothing of what was sent.

    Raises:
        ForewarnError: the address or port cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ForewarnError(f"cannot listen on {host}:{port} ({reason}); choose another --host or --port") from None
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Accepted connections inherit it. Without, a peer that stopped reading keeps its socket open for good.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1000 * send_timeout_s))
    listener.set_inheritable(True)
    return listener


def check_lock(listener: socket.socket, settings: Settings) -> None:
    """Refuse to let the network in without keys; with keys, see that they can be read.

    Args:
        listener: what was bound: some names of hosts mean every address.
        settings: of the service.

    Raises:
        ForewarnError: the service would be open beyond this machine, or the store of keys cannot be used.
    """
    if settings.keys:
        store = open_store(settings.keys, create=False)
        try:
            none = all(key.revoked for key in store.all())
        finally:
            store.close()
        if none:
            print("forewarn: no key works yet; make one with: forewarn keys add NAME", file=sys.stderr)
    elif not settings.open and not ipaddress.ip_address(listener.getsockname()[0]).is_loopback:
        raise ForewarnError(
            f"anyone who reaches --host may use the service: set {PREFIX}KEYS to a store of keys (forewarn keys), "
            f"or {PREFIX}OPEN=1 if the network around it is locked"
        )


def what_to_try(version: str, address: str, locked: bool = False) -> str:
    """The text that greets whoever started the service.

    Args:
        version: the model's version.
        address: where the service answers, as http://host:port.
        locked: whether it asks for a key.

    Returns:
        A curl line that works as it stands (with a key in $KEY, if locked), and the address of the API documentation.
    """
    body = json.dumps({"messages": [{"id": "1", "text": _SAMPLE}]})
    key = ' -H "Authorization: Bearer $KEY"' if locked else ""
    return "\n".join(
        [
            f"forewarn {version} listens on {address} (Ctrl+C stops it)",
            "",
            "Try:",
            f"  curl -s {address}/v1/score{key} -H 'Content-Type: application/json' -d {shlex.quote(body)}",
            "",
            f"API description: {address}/openapi.json",
        ]
    )


def main(argv: Sequence[str]) -> int:
    """Run the service until it is stopped.

    Args:
        argv: the options after `forewarn serve`.

    Returns:
        0 once stopped, by Ctrl+C or SIGTERM.

    Raises:
        ForewarnError: the address or port cannot be used, a setting is unknown or out of range, or the service would be
            open to the network, or traces are asked for and OpenTelemetry is missing.
        BundleError: the bundle is damaged or foreign.
    """
    args = _parser().parse_args(argv)
    if args.workers < 1:
        raise ForewarnError("--workers must be at least 1")
    config = args.config or (Path(os.environ[CONFIG_VARIABLE]) if os.environ.get(CONFIG_VARIABLE) else None)
    settings = load_settings(config, **({"bundle": args.bundle} if args.bundle else {}))
    with listen(args.host, args.port, settings.send_timeout_s) as listener, _stopped_by_sigterm():
        check_lock(listener, settings)
        check_traces(settings.traces)
        bundle = Bundle.open(settings.bundle, settings.public_key)
        # With workers the parent loads it too: a bad bundle must end here, not be retried in every worker for ever.
        classifier = ScamClassifier(bundle, settings.threads)
        golden = bundle.golden_vectors()[0]
        del bundle
        host = f"[{args.host}]" if ":" in args.host else args.host
        address = f"http://{host}:{listener.getsockname()[1]}"
        print(what_to_try(classifier.version, address, locked=bool(settings.keys)), flush=True)
        configure_logging(settings.log_level)
        common: dict[str, Any] = {
            "http": RefusingProtocol,
            "access_log": False,
            "log_config": None,
            "server_header": False,
            "timeout_graceful_shutdown": settings.drain_s,
            "timeout_keep_alive": settings.keep_alive_s,
            "timeout_worker_healthcheck": _WORKER_ANSWERS_S,
            # A websocket's address would be logged as it was sent.
            "ws": "none",
        }
        try:
            if args.workers == 1:
                app = create_app(classifier, golden, settings)
                calm_collector()  # as each worker does, once all is loaded
                uvicorn.Server(uvicorn.Config(app, **common)).run([listener])
            else:
                del classifier
                _run_workers(args.workers, listener, config, settings, common)
        except KeyboardInterrupt:
            pass
    return 0


class _Supervisor(Multiprocess):
    """Uvicorn's supervisor, with three differences.

    It would leave its own copy of the socket open while the workers drain, on which the system would go on accepting
    connections that nobody answers; on SIGHUP it would start the workers anew; and it would wait for the answer of a
    worker that died after it was asked, for as long as one that lives may take.
    """

    def keep_subprocess_alive(self) -> None:
        """Replace workers that are gone."""
        for worker in self.processes:
            worker.child_conn.close()  # the worker's end of the pipe: only without our copy does it end with the worker
        super().keep_subprocess_alive()

    def terminate_all(self) -> None:
        """Tell every worker to stop."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()

    def handle_hup(self) -> None:
        """Pass SIGHUP on to a worker, which loads the bundle anew; the others follow it."""
        ready = next((worker for worker in self.processes if worker.pid and worker.is_ready(timeout=1)), None)
        if ready and ready.pid:
            os.kill(ready.pid, signal.SIGHUP)
        else:
            logging.getLogger(LOGGER).error("no worker is ready to load the bundle anew; send the signal again")


def _run_workers(
    number: int, listener: socket.socket, config: Path | None, settings: Settings, common: dict[str, Any]
) -> None:
    """Run worker processes; what they need to know goes through the environment."""
    for name, path in ((CONFIG_VARIABLE, config), (_BUNDLE_VARIABLE, settings.bundle)):
        if path is not None:
            os.environ[name] = str(path.absolute())  # its links are for the workers to follow, at each loading
    factory = "forewarn.inference.service.app:create_app_from_environment"
    with (
        _shared_folder(METRICS_VARIABLE, "metrics"),
        _shared_folder(MODEL_VARIABLE, "model"),
        shared_parts(settings),
    ):
        _Supervisor(uvicorn.Config(factory, factory=True, workers=number, **common), [listener]).run()


@contextmanager
def _shared_folder(variable: str, name: str) -> Iterator[None]:
    """A folder for what the workers share, which `variable` tells them: their counts, and which model runs."""
    if os.environ.get(variable):
        yield
        return
    folder = tempfile.mkdtemp(prefix=f"forewarn-{name}-")
    os.environ[variable] = folder
    try:
        yield
    finally:
        del os.environ[variable]
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the process with 0: uvicorn raises it again after it has drained, which would count as a crash."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
