"""The address for whoever runs the service: which model answers."""

from __future__ import annotations

import ipaddress
from typing import Any

from fastapi import FastAPI, Request
from forewarn.inference.service.body import Bodies, deadline_of
from forewarn.inference.service.errors import Refusal
from forewarn.inference.service.model_change import Models
from forewarn.inference.service.openapi import errors, takes
from forewarn.inference.service.schema import parse
from forewarn.inference.service.settings import Settings
from pydantic import BaseModel, ConfigDict, Field

MAX_PATH_CHARACTERS = 1024
_DIGEST = "Of its manifest, the first 12 characters: tells apart two bundles of one version."
_NOT_LOCAL = "without keys, only this machine may ask that; set `keys`, and ask with a key of the scope admin"


class ModelChange(BaseModel):
    """Another model, to answer or to be tried behind the one that does."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"bundle": "2026.12.0", "shadow": 0.1}]})

    bundle: str | None = Field(
        max_length=MAX_PATH_CHARACTERS,
        description="Path within the folder of the setting `bundles`; null is the bundle that the service began with.",
    )
    shadow: float | None = Field(
        default=None,
        gt=0,
        le=1,
        strict=True,
        description="Share of the traffic that it scores behind the model that answers; null lets it answer.",
    )


class ShadowFigures(BaseModel):
    """How often two models agreed: the outer names are what was answered, the inner ones what the shadow said."""

    version: str
    digest: str = Field(description=_DIGEST)
    share: float
    messages: int
    dropped: int = Field(description="Messages that the shadow had no time for.")
    verdicts: dict[str, dict[str, int]]
    actions: dict[str, dict[str, int]]


class Workers(BaseModel):
    """How many worker processes there are, and how many of them run what was last asked for."""

    all: int
    changed: int


class ModelStatus(BaseModel):
    """The model that answers here, the one that answered before it, and the shadow, of all workers together."""

    version: str
    digest: str = Field(description=_DIGEST)
    before: str | None
    shadow: ShadowFigures | None
    workers: Workers


def add_admin(app: FastAPI, models: Models, settings: Settings, bodies: Bodies) -> None:
    """Add `/v1/admin/model` to an application."""

    @app.post(
        "/v1/admin/model",
        response_model=ModelStatus,
        responses=errors(400, 403, 408, 409, 413, 415, 422, 429, 500, 504),
        openapi_extra=takes(ModelChange.__name__),
        tags=["admin"],
    )
    async def change_model(request: Request) -> dict[str, Any]:
        """Load a bundle, check it, and let it answer, or score behind the model that does.

        The answer comes when the other workers have followed, or have had 20 seconds for it. If anything is wrong with
        the bundle, the model that answers stays.
        """
        _check_local(request, settings)
        async with bodies.read(request, deadline_of(request, settings)) as body:
            asked = parse(ModelChange, body)
        await models.change(asked.bundle, asked.shadow)
        return models.about()

    @app.get("/v1/admin/model", response_model=ModelStatus, responses=errors(403), tags=["admin"])
    async def model_status(request: Request) -> dict[str, Any]:
        """Which model answers, which one did before, and how far a shadow agrees."""
        _check_local(request, settings)
        return models.about()

    @app.delete("/v1/admin/model", response_model=ModelStatus, responses=errors(403, 409, 422, 500), tags=["admin"])
    async def roll_back(request: Request) -> dict[str, Any]:
        """Put back the model that answered before the last change.

        The two change places, so that a second time brings the newer one back: ask which one answers before you repeat
        a call whose answer was lost.
        """
        _check_local(request, settings)
        await models.roll_back()
        return models.about()


def _check_local(request: Request, settings: Settings) -> None:
    """In a service without keys that listens beyond this machine, let no one from there in."""
    if settings.keys:
        return
    try:
        address = ipaddress.ip_address(request.client.host if request.client else "127.0.0.1")
    except ValueError:
        raise Refusal("scope_missing", _NOT_LOCAL) from None
    mapped = getattr(address, "ipv4_mapped", None)
    if not (mapped or address).is_loopback:
        raise Refusal("scope_missing", _NOT_LOCAL)
