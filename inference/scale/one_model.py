"""A change of the model that would reach one replica of many."""

from __future__ import annotations

from forewarn.inference.service.errors import Refusal
from starlette.types import ASGIApp, Receive, Scope, Send

_ADDRESS = "/v1/admin/model"
_WHY = "on Ray Serve the model is changed for all replicas at once: name the bundle in `user_config`"


class OneModel:
    """ASGI middleware that refuses `POST` and `DELETE /v1/admin/model`; what runs may still be asked for."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection event of the ASGI server."""
        if scope["type"] == "http" and scope["path"] == _ADDRESS and scope["method"] in ("POST", "DELETE"):
            refusal = Refusal("model_refused", _WHY)
            scope["state"]["reason"] = refusal.code
            await refusal.response()(scope, receive, send)
            return
        await self.app(scope, receive, send)
