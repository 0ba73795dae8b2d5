"""What Ray Serve's proxies must not do with an X-Request-ID: log and send back whatever a caller wrote there.

The proxies take it up where RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH names `middlewares` when Ray is started.
"""

from __future__ import annotations

from forewarn.inference.service.guard import _SAFE_ID, ID_HEADER
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class RequestIds:
    """ASGI middleware around a proxy: lets safe ids through, and one of them back."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection event of the ASGI server."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = [value for name, value in scope["headers"] if name == ID_HEADER]
        if len(given) != 1 or not _SAFE_ID.fullmatch(given[0]):
            # The proxy makes one up where there is none.
            scope = {**scope, "headers": [x for x in scope["headers"] if x[0] != ID_HEADER]}

        async def send_one_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                ids = [x for x in message["headers"] if x[0].lower() == ID_HEADER]
                others = [x for x in message["headers"] if x[0].lower() != ID_HEADER]
                # The last is the proxy's; the service's own comes before it, and is the same.
                message = {**message, "headers": [*others, *ids[:1]]}
            await send(message)

        await self.app(scope, receive, send_one_id)


def middlewares() -> list[Middleware]:
    """What Ray Serve asks for."""
    return [Middleware(RequestIds)]
