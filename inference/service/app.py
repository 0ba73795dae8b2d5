"""The application: which address does what."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from forewarn.inference.bundle import Bundle, GoldenVector
from forewarn.inference.classifier import ScamClassifier
from forewarn.inference.service import errors
from forewarn.inference.service.admin import ModelChange, add_admin
from forewarn.inference.service.apple import AppleAnswer, AppleQuery, apple_answer
from forewarn.inference.service.body import Bodies, Draining, deadline_of
from forewarn.inference.service.errors import Refusal
from forewarn.inference.service.guard import Guard
from forewarn.inference.service.joining import Joining
from forewarn.inference.service.keys_access import Access, KeyCheck
from forewarn.inference.service.keys_store import open_store
from forewarn.inference.service.logs import LOGGER, configure_logging
from forewarn.inference.service.metrics import Metrics
from forewarn.inference.service.model_change import Models
from forewarn.inference.service.openapi import JSON, SCHEMAS, api_version, describe, takes
from forewarn.inference.service.openapi import errors as errors_of
from forewarn.inference.service.overload import STATE as DOOR
from forewarn.inference.service.overload import Door
from forewarn.inference.service.schema import (
    InputMessage,
    Labels,
    LineError,
    ModelAbout,
    ScoreRequest,
    ScoreResponse,
    check_length,
    check_message,
    limited_request,
    parse,
)
from forewarn.inference.service.scoring import Asked
from forewarn.inference.service.settings import Settings, load_settings
from forewarn.inference.service.stream import MEDIA_TYPE, StreamScorer
from forewarn.inference.service.tracing import Traces
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

# How `forewarn serve` tells its worker processes which file to read.
CONFIG_VARIABLE = "FOREWARN_CONFIG"
_STOP = (signal.SIGTERM, signal.SIGINT)
# Windows has no such signal.
_RELOAD = (signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()
_READ_BY_HANDLERS: tuple[tuple[type[BaseModel], JsonSchemaMode], ...] = (
    (ScoreRequest, "validation"),
    (AppleQuery, "validation"),
    (ModelChange, "validation"),
    (LineError, "serialization"),
)

# Objects that were made and not freed since the last time; Python's own number is 700.
_COLLECT_AFTER = (50_000, 20, 50)

# What is refused while too much waits; a stream waits instead.
_QUEUED = frozenset({"/v1/score", "/v1/filter/apple"})
_LINES = ("ScoreResult", "WaitingResult", "LineError")

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
        ForewarnError: a setting in the environment is out of range, the store of keys is no store, or traces are asked
            for without what they need.
    """
    settings = settings or load_settings()
    metrics = Metrics()
    store = open_store(settings.keys, create=False) if settings.keys else None
    access = Access(store, settings.keys_refresh_s, metrics)
    models = Models(classifier, golden, settings, metrics)
    joining = Joining(settings, metrics)
    draining = Draining()
    traces = Traces(settings.traces) if settings.traces else None
    door = Door(lambda: models.full_for_s, _QUEUED, settings, metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        # Access lines hold the query string, where a mistaken caller may put text; off whoever configured the logging.
        logging.getLogger("uvicorn.access").disabled = True
        loop = asyncio.get_running_loop()
        await access.start()
        await models.start()
        await joining.start()
        probe = asyncio.create_task(models.ready())
        with _on_signals(_STOP, draining.begin, loop), _on_signals(_RELOAD, models.reload, loop):
            yield {DOOR: door}  # for `RefusingProtocol`
        probe.cancel()
        models.stop()
        await joining.stop()
        await access.stop()
        if traces:
            await traces.stop()

    app = FastAPI(
        title="forewarn",
        version=api_version(),
        summary="Tells scam messages from honest ones. No message text is stored or logged.",
        lifespan=lifespan,
        # A redirect to the address with the slash would send the request's own address back.
        redirect_slashes=False,
        # The pages that FastAPI would show load their script from a public network; nothing here may need or call one.
        docs_url=None,
        redoc_url=None,
        # FastAPI's own would write addresses with their query, and the messages of exceptions; see `tracing`.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        # Clients that are generated name their functions by it.
        generate_unique_id_function=lambda route: route.name,
    )
    app.add_exception_handler(Refusal, _on_refusal)
    app.add_exception_handler(HTTPException, _on_http_error)
    bodies = Bodies(settings)
    streams = StreamScorer(models, joining, access, bodies, settings, metrics, draining)
    _add_scoring(app, models, joining, access, settings, bodies, streams)
    _add_apple(app, models, access, settings, bodies)
    _add_about(app, models, access, metrics, draining)
    add_admin(app, models, settings, bodies)
    routes = frozenset(getattr(route, "path", "") for route in app.routes)
    # The last that is added comes first.
    if settings.keys:
        app.add_middleware(KeyCheck, access=access, routes=routes)
    app.add_middleware(Guard, metrics=metrics, routes=routes, send_timeout_s=settings.send_timeout_s, traces=traces)
    app.openapi = lambda: describe(app, _READ_BY_HANDLERS, locked=bool(settings.keys))  # type: ignore[method-assign]
    app.state.models, app.state.joining = models, joining  # for a server that shares them in its own way
    return app


def create_app_from_environment() -> FastAPI:
    """The factory that uvicorn's worker processes call; everything comes from the environment.

    Raises:
        ForewarnError: a setting is unknown or out of range.
        BundleError: the bundle is damaged or foreign.
    """
    config = os.environ.get(CONFIG_VARIABLE)
    settings = load_settings(Path(config) if config else None)
    # One thread a batch: several processes, each spread over all cores, would fight for them.
    settings = settings.model_copy(update={"threads": settings.threads or 1})
    configure_logging(settings.log_level)
    bundle = Bundle.open(settings.bundle, settings.public_key)
    app = create_app(ScamClassifier(bundle, settings.threads), bundle.golden_vectors()[0], settings)
    calm_collector()
    return app


def calm_collector() -> None:
    """Let Python look for garbage in cycles less often; for a process that does nothing but serve.

    Requests that wait are young objects by the hundred thousand. Python's defaults go through all of them again and
    again, which took half of an overloaded service's time; what was loaded before is not gone through at all.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


def _add_scoring(
    app: FastAPI,
    models: Models,
    joining: Joining,
    access: Access,
    settings: Settings,
    bodies: Bodies,
    streams: StreamScorer,
) -> None:
    limited = limited_request(settings.max_messages)

    @app.post(
        "/v1/score",
        response_model=ScoreResponse,
        responses=errors_of(400, 408, 413, 415, 422, 429, 500, 504),
        openapi_extra=takes(ScoreRequest.__name__),
        tags=["scoring"],
    )
    async def score(request: Request) -> Response:
        """Score messages; results come back in the same order, each with its `id`.

        A request may hold 512 messages of 100,000 characters and 8 MiB unless the service is set otherwise; above that
        the answer is 413. With too much waiting already it is 429 with Retry-After, and nothing of the request is kept.

        A part of a long SMS (`concat`) whose others are missing gets a result without a verdict, with `status`
        `waiting`. All parts of a message that come in one request get its verdict.
        """
        deadline = deadline_of(request, settings)
        async with bodies.read(request, deadline) as body:
            asked = parse(limited, body)
            request.state.messages = len(asked.messages)
            for i, message in enumerate(asked.messages):
                check_message(message, settings, f"messages[{i}].")
            await access.charge(request, len(asked.messages))
            answer = models.explain if asked.explain else models.score
            async with joining.join(request, asked.messages) as batch:
                verdicts = await answer(batch.asked, deadline)
        results = batch.results(verdicts)
        # What it was answered by, even if another model has taken over since.
        model = verdicts[0].model if verdicts else models.classifier.version
        # A ready-made response: FastAPI's check of response models would put the values into its error.
        return Response(to_json({"results": results, "model": model}), media_type=JSON)

    @app.post(
        "/v1/score/stream",
        response_class=Response,
        responses={
            200: {
                "description": "A ScoreResult, a WaitingResult or a LineError a line, in the order of the request's "
                "lines.",
                "content": {
                    MEDIA_TYPE: {"schema": {"anyOf": [{"$ref": SCHEMAS.format(model=m)} for m in _LINES]}},
                },
            },
            **errors_of(415, 500),
        },
        openapi_extra=takes(InputMessage.__name__, MEDIA_TYPE, deadline=False),
        tags=["scoring"],
    )
    async def score_stream(request: Request) -> Response:
        """Score a stream of messages, one JSON object a line, answered while the request is still being sent.

        A line that cannot be scored gets an error object with its line number in its place, and the stream goes on.
        Read the answer while you send: the service reads no further than you do.
        """
        return streams.answer(request)


def _add_apple(app: FastAPI, models: Models, access: Access, settings: Settings, bodies: Bodies) -> None:
    @app.post(
        "/v1/filter/apple",
        response_model=AppleAnswer,
        responses=errors_of(400, 408, 413, 415, 422, 429, 500, 504),
        openapi_extra=takes(AppleQuery.__name__),
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
            [verdict] = await models.score([Asked(asked.query.message.text, asked.query.sender)], deadline)
        return Response(to_json(apple_answer(verdict)), media_type=JSON)

    @app.get("/.well-known/apple-app-site-association", responses=errors_of(404), tags=["apple"])
    async def association() -> dict[str, Any]:
        """Which apps' message filters may ask here, for iOS; 404 unless `apple_app_ids` is set."""
        if not settings.apple_app_ids:
            raise Refusal("not_found")
        return {"messagefilter": {"apps": settings.apple_app_ids}}


def _add_about(app: FastAPI, models: Models, access: Access, metrics: Metrics, draining: Draining) -> None:
    @app.get("/v1/labels", response_model=Labels, tags=["model"])
    async def labels() -> dict[str, Any]:
        """The label taxonomy: verdicts, the leaves under them with their levers, and coarse labels."""
        return models.classifier.taxonomy.to_dict()

    # Told and not checked: what a bundle says of itself is the bundle's.
    @app.get("/v1/model", responses={200: {"model": ModelAbout}}, tags=["model"])
    async def model() -> dict[str, Any]:
        """The model that answers: version, digest, bundle format, maximum length in tokens, thresholds, calibration."""
        classifier = models.classifier
        manifest = classifier.manifest
        names = ("format", "operating_points", "calibration", "licence", "sources")
        about = {name: manifest[name] for name in names if name in manifest}
        return {"version": classifier.version, "digest": models.digest, "max_length": classifier.max_length, **about}

    # Load balancers may ask with HEAD.
    @app.head("/healthz", include_in_schema=False)
    @app.get("/healthz", tags=["health"])
    async def healthz() -> dict[str, str]:
        """The process is alive."""
        return {"status": "ok"}

    @app.head("/readyz", include_in_schema=False)
    @app.get("/readyz", responses=errors_of(503), tags=["health"])
    async def readyz() -> dict[str, str]:
        """The model has answered a golden vector rightly: send traffic. 503 until then, and while stopping."""
        if draining.on:
            raise Refusal("draining")
        if not access.ready:
            raise Refusal("store_unavailable")
        if not await models.ready():
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
def _on_signals(
    numbers: Sequence[signal.Signals], tell: Callable[[], object], loop: asyncio.AbstractEventLoop
) -> Iterator[None]:
    """Also call `tell` on signals, in the event loop; what handled them goes on handling them.

    The server tells the application to stop only after the last request, which for a stream may be never.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in numbers}

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(tell)
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
