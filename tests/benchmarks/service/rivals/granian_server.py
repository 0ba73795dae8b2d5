"""The service's own application under granian in place of uvicorn: `granian_server.py PORT WORKERS`."""

from __future__ import annotations

import sys

from granian.constants import Interfaces, Loops
from granian.server import Server

# More requests than the service's queue holds: it is the queue that must refuse, not granian that makes them wait.
_AT_ONCE = 8192

if __name__ == "__main__":
    Server(
        "forewarn.inference.service.app:create_app_from_environment",
        factory=True,
        port=int(sys.argv[1]),
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        workers=int(sys.argv[2]),
        backlog=_AT_ONCE,
        backpressure=_AT_ONCE,
        log_access=False,
    ).serve()
