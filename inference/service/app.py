"""The application: which address does what."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from forewarn.inference.bundle import Bundle, GoldenVector
from forewarn.inference.classifier import ScamClassifier
from forewarn.inference.service import errors
from forewarn.inference.service.apple import AppleAnswer, AppleQuery, apple_answer
from forewarn.inference.service.body import DEADLINE_HEADER, Bodies, Draining, deadline_of
from forewarn.inference.service.errors import Refusal
from forewarn.inference.service.guard import Guard
from forewarn.inference.service.keys_access import OPEN, Access, KeyCheck
from forewarn.inference.service.keys_store import open_store
from forewarn.inference.service.logs import LOGGER, configure_logging
from forewarn.inference.service.metrics import Metrics
from forewarn.inference.service.schema import (
    ErrorBody,
    InputMessage,
    LineError,
    ScoreRequest,
    ScoreResponse,
    check_length,
    limited_request,
    parse,
)
from forewarn.inference.service.scoring import Asked, Scorer
from forewarn.inference.service.settings import Settings, load_settings
from forewarn.inference.service.stream import MEDIA_TYPE, StreamScorer
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from pydantic.json_schema import models_json_schema
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

# How `forewarn serve` tells its worker processes which file to read.
CONFIG_VARIABLE = "FOREWARN_CONFIG"
_SCHEMAS = "#/components/schemas/{model}"
_JSON = "application/json"

logger = logging.getLogger(LOGGER)


def create_app(classifier: ScamClassifier, golden: GoldenVector, settings: Settings | None = None) -> FastAPI:
    """Build the service around a loaded classifier.

    Args:
        classifier: what scores; called from worker threads.
        golden: what the classifier must answer rightly before /readyz says so.
        settings: limits and times; None reads the environment.

    Returns:
        The ASGI application, for uvicorn or a test client.

    Raises:
        ForewarnError: a setting in the environment is out of range, or the store of keys is no store.
    """
    settings = settings or load_settings()
    metrics = Metrics()
    access = Access(open_store(settings.keys) if settings.keys else None, settings.keys_refresh_s, metrics)
    scorer = Scorer(classifier, golden, settings, metrics)
    draining = Draining()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Access lines hold the query string, where a mistaken caller may put text; off whoever configured the logging.
        logging.getLogger("uvicorn.access").disabled = True
        loop = asyncio.get_running_loop()
        await access.start()
        scorer.start()
        probe = asyncio.create_task(scorer.ready())
        with _when_told_to_stop(lambda: loop.call_soon_threadsafe(draining.begin)):
            yield
        probe.cancel()
        scorer.stop()
        await access.stop()

    app = FastAPI(
        title="forewarn",
        version=classifier.version,
        summary="Tells scam messages from honest ones. No message text is stored or logged.",
        lifespan=lifespan,
        # A redirect to the address with the slash would send the request's own address back.
        redirect_slashes=False,
        # The pages that FastAPI would show load their script from a public network; nothing here may need or call one.
        docs_url=None,
        redoc_url=None,
    )
    app.add_exception_handler(Refusal, _on_refusal)
    app.add_exception_handler(HTTPException, _on_http_error)
    bodies = Bodies(settings)
    streams = StreamScorer(scorer, access, settings, metrics, draining)
    _add_scoring(app, classifier, scorer, access, settings, bodies, streams)
    _add_apple(app, scorer, access, settings, bodies)
    _add_about(app, classifier, scorer, access, metrics, draining)
    routes = frozenset(getattr(route, "path", "") for route in app.routes)
    if settings.keys:
        app.add_middleware(KeyCheck, access=access, routes=routes)
    app.add_middleware(Guard, metrics=metrics, routes=routes, send_timeout_s=settings.send_timeout_s)
    app.openapi = lambda: _openapi(app, locked=bool(settings.keys))  # type: ignore[method-assign]
    return app


def create_app_from_environment() -> FastAPI:
    """The factory that uvicorn's worker processes call; everything comes from the environment.

    Raises:
        ForewarnError: a setting is unknown or out of range.
        BundleError: the bundle is damaged or foreign.
    """
    config = os.environ.get(CONFIG_VARIABLE)
    settings = load_settings(Path(config) if config else None)
    configure_logging(settings.log_level)
    bundle = Bundle.open(settings.bundle)
    # One thread a batch: several processes, each spread over all cores, would fight for them.
    return create_app(ScamClassifier(bundle, settings.threads or 1), bundle.golden_vectors()[0], settings)


def _add_scoring(
    app: FastAPI,
    classifier: ScamClassifier,
    scorer: Scorer,
    access: Access,
    settings: Settings,
    bodies: Bodies,
    streams: StreamScorer,
) -> None:
    limited = limited_request(settings.max_messages)

    @app.post(
        "/v1/score",
        response_model=ScoreResponse,
        responses=_errors(400, 408, 413, 415, 422, 429, 500, 504),
        openapi_extra=_takes(ScoreRequest.__name__),
        tags=["scoring"],
    )
    async def score(request: Request) -> Response:
        """Score messages; results come back in the same order, each with its `id`.

        A request may hold 512 messages of 100,000 characters and 8 MiB unless the service is set otherwise; above that
        the answer is 413. With too much waiting already it is 429 with Retry-After, and nothing of the request is kept.
        """
        deadline = deadline_of(request, settings)
        async with bodies.read(request, deadline) as body:
            asked = parse(limited, body)
            request.state.messages = len(asked.messages)
            for i, message in enumerate(asked.messages):
                check_length(message.text, f"messages[{i}].text", settings)
            await access.charge(request, len(asked.messages))
            messages = [Asked(x.text, x.sender, x.locale) for x in asked.messages]
            if asked.explain:
                verdicts = await scorer.explain(messages, deadline)
            else:
                verdicts = await scorer.score(messages, deadline)
        results = [verdict.to_dict(x.id) for x, verdict in zip(asked.messages, verdicts, strict=True)]
        # A ready-made response: FastAPI's check of response models would put the values into its error.
        return Response(to_json({"results": results, "model": classifier.version}), media_type=_JSON)

    @app.post(
        "/v1/score/stream",
        response_class=Response,
        responses={
            200: {
                "description": "A ScoreResult or a LineError a line, in the order of the request's lines.",
                "content": {
                    MEDIA_TYPE: {
                        "schema": {"anyOf": [{"$ref": _SCHEMAS.format(model=m)} for m in ("ScoreResult", "LineError")]}
                    }
                },
            },
            **_errors(415, 500),
        },
        openapi_extra=_takes(InputMessage.__name__, MEDIA_TYPE, deadline=False),
        tags=["scoring"],
    )
    async def score_stream(request: Request) -> Response:
        """Score a stream of messages, one JSON object a line, answered while the request is still being sent.

        A line that cannot be scored gets an error object with its line number in its place, and the stream goes on.
        Read the answer while you send: the service reads no further than you do.
        """
        return streams.answer(request)


def _add_apple(app: FastAPI, scorer: Scorer, access: Access, settings: Settings, bodies: Bodies) -> None:
    @app.post(
        "/v1/filter/apple",
        response_model=AppleAnswer,
        responses=_errors(400, 408, 413, 415, 422, 429, 500, 504),
        openapi_extra=_takes(AppleQuery.__name__),
        tags=["apple"],
    )
    async def filter_apple(request: Request) -> Response:
        """Answer what iOS posts when a message filter extension defers to the network."""
        deadline = deadline_of(request, settings)
        async with bodies.read(request, deadline) as body:
            asked = parse(AppleQuery, body)
            request.state.messages = 1
            check_length(asked.query.message.text, "query.message.text", settings)
            await access.charge(request, 1)
            [verdict] = await scorer.score([Asked(asked.query.message.text, asked.query.sender)], deadline)
        return Response(to_json(apple_answer(verdict)), media_type=_JSON)

    @app.get("/.well-known/apple-app-site-association", responses=_errors(404), tags=["apple"])
    async def association() -> dict[str, Any]:
        """Which apps' message filters may ask here, for iOS; 404 unless `apple_app_ids` is set."""
        if not settings.apple_app_ids:
            raise Refusal("not_found")
        return {"messagefilter": {"apps": settings.apple_app_ids}}


def _add_about(
    app: FastAPI, classifier: ScamClassifier, scorer: Scorer, access: Access, metrics: Metrics, draining: Draining
) -> None:
    manifest = classifier.manifest

    @app.get("/v1/labels", tags=["model"])
    async def labels() -> dict[str, Any]:
        """The label taxonomy: verdicts, the leaves under them with their levers, and coarse labels."""
        return classifier.taxonomy.to_dict()

    @app.get("/v1/model", tags=["model"])
    async def model() -> dict[str, Any]:
        """The model that answers: version, bundle format, maximum length in tokens, thresholds, calibration."""
        names = ("format", "operating_points", "calibration", "licence", "sources")
        about = {name: manifest[name] for name in names if name in manifest}
        return {"version": classifier.version, "max_length": classifier.max_length, **about}

    @app.get("/healthz", tags=["health"])
    async def healthz() -> dict[str, str]:
        """The process is alive."""
        return {"status": "ok"}

    @app.get("/readyz", responses=_errors(503), tags=["health"])
    async def readyz() -> dict[str, str]:
        """The model has answered a golden vector rightly: send traffic. 503 until then, and while stopping."""
        if draining.on:
            raise Refusal("draining")
        if not access.ready:
            raise Refusal("store_unavailable")
        if not await scorer.ready():
            raise Refusal("not_ready")
        return {"status": "ready"}

    @app.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}, "description": "Prometheus text format."}},
        tags=["health"],
    )
    # Not async, and so in a thread: with several workers it reads their files.
    def prometheus() -> Response:
        """Counts and times for Prometheus. No label holds anything from a request."""
        return Response(metrics.render(), media_type=CONTENT_TYPE_PLAIN_0_0_4)


async def _on_refusal(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refusal)
    request.state.reason = error.code
    return error.response()


async def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    """Unknown routes and wrong methods."""
    assert isinstance(error, HTTPException)
    return await _on_refusal(request, errors.of_status(error.status_code, error.headers))


@contextmanager
def _when_told_to_stop(tell: Callable[[], object]) -> Iterator[None]:
    """Also call `tell` on SIGTERM and SIGINT; what handled them goes on handling them.

    The server tells the application only after the last request, which for a stream may be never.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def handle(number: int, frame: FrameType | None) -> None:
        tell()
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorBody} for status in statuses}


def _takes(model: str, media_type: str = _JSON, deadline: bool = True) -> dict[str, Any]:
    """The description of a body that the handler reads itself, by the name of its model, and of the deadline header."""
    schema = {"$ref": _SCHEMAS.format(model=model)}
    described: dict[str, Any] = {"requestBody": {"required": True, "content": {media_type: {"schema": schema}}}}
    if deadline:
        about = "Milliseconds until the answer is of no more use; then it is 504."
        header = {"name": DEADLINE_HEADER, "in": "header", "schema": {"type": "integer", "minimum": 1}}
        described["parameters"] = [{**header, "description": about}]
    return described


def _openapi(app: FastAPI, locked: bool) -> dict[str, Any]:
    """The API's description, with the models that handlers read themselves, and where `locked` with the key."""
    if not app.openapi_schema:
        described = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        _, definitions = models_json_schema(
            [(ScoreRequest, "validation"), (AppleQuery, "validation"), (LineError, "serialization")],
            ref_template=_SCHEMAS,
        )
        described["components"]["schemas"] |= definitions["$defs"]
        if locked:
            described["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            described["security"] = [{"key": []}]
            for path in OPEN & described["paths"].keys():
                for operation in described["paths"][path].values():
                    operation["security"] = []
        app.openapi_schema = described
    return app.openapi_schema
