"""The HTTP service as a deployment of Ray Serve: the same application in many replicas, on many machines.

    serve run forewarn.inference.scale.serve:app
    serve run --non-blocking inference/scale/serve.yaml

Every replica is what `forewarn serve` is: its settings come from the environment of its machine, and the arguments of
the application go before them. What replicas share goes through Serve's own configuration: which bundle answers is
`user_config`, and a change of it reaches one replica after the other.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

import ray
from fastapi import FastAPI
from forewarn.inference.bundle import Bundle
from forewarn.inference.classifier import ScamClassifier
from forewarn.inference.errors import ForewarnError
from forewarn.inference.scale.one_model import OneModel
from forewarn.inference.scale.parts import ACTOR, Parts, SharedParts, settings_of
from forewarn.inference.service.app import create_app
from forewarn.inference.service.errors import Refusal
from forewarn.inference.service.logs import LOGGER, configure_logging
from forewarn.inference.service.metrics import FOLDER_VARIABLE
from forewarn.inference.service.model_change import Models
from forewarn.inference.service.settings import PREFIX
from prometheus_client import values
from ray import serve
from ray.serve.config import DeploymentActorConfig
from starlette.middleware import Middleware

# A request may hold many messages, and `max_waiting` bounds those: Serve's own bounds only have to lie above that.
_REQUESTS = 1024
# How long the first health check waits for the golden vector.
_READY_S = 25.0
_NOT_READY = "the model has not given its golden vector the right verdict"


@serve.deployment(
    name="forewarn",
    max_ongoing_requests=_REQUESTS,
    max_queued_requests=4 * _REQUESTS,
    graceful_shutdown_timeout_s=30,
    health_check_timeout_s=30,
    ray_actor_options={"num_cpus": 1},
    logging_config={"enable_access_log": False},
)
@serve.ingress()
class Service:
    """A replica."""

    def __init__(self, given: dict[str, Any]) -> None:
        """Set up.

        Args:
            given: settings that go before the environment.
        """
        self._given = given
        self._models: Models
        self._named = False

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The application; Serve calls it once."""
        settings = settings_of(self._given)
        if not (settings.keys or settings.open):
            raise ForewarnError(
                f"anyone who reaches Ray Serve may use the service: set {PREFIX}KEYS to a store of keys, "
                f"or {PREFIX}OPEN=1 if the network around it is locked"
            )
        settings = settings.model_copy(update={"threads": settings.threads or 1})
        _count_by_machine()
        configure_logging(settings.log_level)
        bundle = Bundle.open(settings.bundle, settings.public_key)
        app = create_app(ScamClassifier(bundle, settings.threads), bundle.golden_vectors()[0], settings)
        # The last of all, behind the check of keys.
        app.user_middleware.append(Middleware(OneModel))
        app.state.joining.use(SharedParts())
        self._models = app.state.models
        return app

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Let another bundle answer, as `POST /v1/admin/model` does; Serve calls it, at the start too.

        Args:
            user_config: `bundle`, a path within the setting `bundles`; null is the bundle of the setting `bundle`.

        Raises:
            ForewarnError: a replica that starts cannot have the bundle. One that runs keeps the model that it has, and
                says so in its log: Serve would end it otherwise.
        """
        named, self._named = self._named, True
        why = ""
        bundle = user_config.get("bundle")
        if set(user_config) != {"bundle"} or not (bundle is None or isinstance(bundle, str)):
            why = "user_config takes `bundle`, a path within the setting `bundles` or null, and nothing else"
        elif bundle is not None or named:
            try:
                await self._models.change(bundle, None)
            except Refusal as refusal:
                why = refusal.message
        if why and not named:
            raise ForewarnError(why)
        if why:
            logging.getLogger(LOGGER).error("the model was not changed", extra={"fields": {"why": why}})

    async def check_health(self) -> None:
        """Raise until the model has given its golden vector the right verdict; Serve calls it every few seconds."""
        pause = 0.05
        try:
            async with asyncio.timeout(_READY_S):
                while not await self._models.ready():
                    await asyncio.sleep(pause)
                    pause *= 2
        except TimeoutError:
            raise RuntimeError(_NOT_READY) from None


def app(given: dict[str, Any]) -> serve.Application:
    """The application for `serve run` and `serve.yaml`.

    Args:
        given: settings of the service, by name. What is secret, such as `keys`, belongs into the environment of the
            machines instead: Ray keeps and shows arguments.
    """
    parts = DeploymentActorConfig(
        name=ACTOR, actor_class=ray.remote(Parts), init_args=(given,), actor_options={"num_cpus": 0}
    )
    return Service.options(deployment_actors=[parts]).bind(given)  # type: ignore[attr-defined]


def _count_by_machine() -> None:
    """Let the replicas of a machine count together, as worker processes do: /metrics then tells of all of them."""
    name = f"forewarn-metrics-{ray.get_runtime_context().get_node_id()}-{serve.get_replica_context().app_name}"
    folder = Path(tempfile.gettempdir(), name)
    folder.mkdir(mode=0o700, exist_ok=True)
    os.environ[FOLDER_VARIABLE] = str(folder)
    # It has looked for the folder when it was imported, which in a replica is before anything of ours runs.
    values.ValueClass = values.get_value_class()
