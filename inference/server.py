"""The HTTP service: messages in, verdicts out, nothing kept.

Scoring never runs on the event loop, so that health checks answer during a large batch. No part of a request reaches an
error body or a log, at any level: errors are built from fixed sentences and field positions, a crash is logged as its
type and place, because exception messages and FastAPI's own 422 body quote the input.
"""

from __future__ import annotations

import asyncio
import logging
import os
import traceback
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import anyio.to_thread
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from forewarn.inference.classifier import ScamClassifier, Verdict

MAX_MESSAGES = 512
MAX_CHARACTERS = 100_000
MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_ID_CHARACTERS = 256
MAX_SENDER_CHARACTERS = 256
MAX_LOCALE_CHARACTERS = 35
# Two, so that a small request need not wait behind a large one; onnxruntime spreads each over the cores by itself.
SCORING_THREADS = 2
BUNDLE_VARIABLE = "FOREWARN_BUNDLE"

_ERROR_EXAMPLE: dict[str, Any] = {"status": 422, "code": "invalid_request", "message": "messages[0].text: missing"}
_CANNED_TEXT = "Your parcel is held at customs. Pay the fee today: http://parcel-fee.example/pay"

logger = logging.getLogger("forewarn.server")


def _replace_lone_surrogates(value: Any) -> Any:
    r"""Turn what JSON's "\ud800" leaves into U+FFFD, so that one broken message does not fail the whole batch."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value


class InputMessage(BaseModel):
    """One message to score."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(max_length=MAX_ID_CHARACTERS, description="Yours; comes back with the result.")
    text: Annotated[str, BeforeValidator(_replace_lone_surrogates)] = Field(
        max_length=MAX_CHARACTERS, description="The message as received. Never stored or logged."
    )
    sender: str | None = Field(
        default=None, max_length=MAX_SENDER_CHARACTERS, description="Accepted, and neither used nor kept."
    )
    locale: str | None = Field(
        default=None,
        max_length=MAX_LOCALE_CHARACTERS,
        description="BCP 47 tag; the language of the forewarning that `explain` adds.",
    )


class ScoreRequest(BaseModel):
    """A batch of messages."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"messages": [{"id": "1", "text": _CANNED_TEXT}]},
                {"messages": [{"id": "a", "text": "Mum, this is my new number", "locale": "en-GB"}], "explain": True},
            ]
        },
    )

    messages: list[InputMessage] = Field(max_length=MAX_MESSAGES)
    explain: bool = Field(default=False, description="Add `evidence` and `forewarning` to each result; slower.")


class Evidence(BaseModel):
    """A span of the text that carried the verdict."""

    start: int
    end: int
    text: str
    weight: float


class ScoreResult(BaseModel):
    """The verdict on one message. `evidence` and `forewarning` are there only with `explain`."""

    id: str
    verdict: str = Field(description="scam, promotion or legitimate")
    risk: float = Field(description="Calibrated probability of a scam, 0 to 1.")
    action: str = Field(description="allow, warn or block, from the bundle's operating points")
    type: str = Field(description="The most probable label within the verdict; GET /v1/labels lists them.")
    type_score: float
    levers: list[str] = Field(description="The human weaknesses that this type plays on.")
    model: str
    evidence: list[Evidence] | None = None
    forewarning: str | None = None


class ScoreResponse(BaseModel):
    """Results in the order of the request's messages."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "results": [
                        {
                            "id": "1",
                            "verdict": "scam",
                            "risk": 0.97,
                            "action": "block",
                            "type": "parcel_delivery",
                            "type_score": 0.91,
                            "levers": ["curiosity", "urgency"],
                            "model": "2026.11.0",
                        }
                    ],
                    "model": "2026.11.0",
                }
            ]
        }
    )

    results: list[ScoreResult]
    model: str


class ErrorBody(BaseModel):
    """Every error of this service. It never holds any part of the request."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ERROR_EXAMPLE]})

    status: int
    code: str
    message: str


_ERRORS: dict[int, tuple[str, str]] = {
    400: ("invalid_json", "the body is not valid JSON in UTF-8"),
    404: ("not_found", "no such address; GET /openapi.json lists what is there"),
    405: ("method_not_allowed", "this address does not take this method; GET /openapi.json lists which it takes"),
    413: ("body_too_large", f"the body is larger than {MAX_BODY_BYTES} bytes; send fewer messages a request"),
    415: ("unsupported_media_type", "send JSON with the header Content-Type: application/json"),
    500: ("internal_error", "the service failed on this request; nothing of it was kept"),
    503: ("not_ready", "the model has not scored its first text yet; ask again shortly"),
}

# pydantic's error types in our words. Its own messages are left out: some quote the input.
_REASONS = {
    "missing": "missing",
    "extra_forbidden": "has a field that this service does not know",
    "string_type": "must be a string",
    "string_unicode": "holds characters that are not valid Unicode",
    "list_type": "must be a list",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dict_type": "must be an object",
    "string_too_long": "is too long",
}
_FIELDS = set(InputMessage.model_fields) | set(ScoreRequest.model_fields)


def _error(status: int, code: str = "", message: str = "", headers: Any = None) -> JSONResponse:
    """An error response; code and message default to the fixed ones of the status."""
    fixed_code, fixed_message = _ERRORS.get(status, ("error", "the request could not be answered"))
    body = {"status": status, "code": code or fixed_code, "message": message or fixed_message}
    return JSONResponse(body, status_code=status, headers=headers)


def _where(location: tuple[int | str, ...]) -> str:
    """`messages[3].text` from pydantic's location; names that are not ours come from the input and are left out."""
    path = ""
    for part in location[1:]:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part in _FIELDS:
            path += f".{part}" if path else part
    return path or "the body"


def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    """400, 413, 415 or 422 for a body that does not fit; only positions and fixed words go out."""
    assert isinstance(error, RequestValidationError)
    problems = error.errors()
    first = problems[0]
    location, kind = tuple(first["loc"]), first["type"]
    if kind == "json_invalid":
        return _error(400)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if location == ("body",) and not (media_type.endswith("/json") or media_type.endswith("+json")):
        return _error(415)
    for problem in problems:
        where = _where(tuple(problem["loc"]))
        if problem["type"] == "too_long" and where == "messages":
            return _error(413, "too_many_messages", f"at most {MAX_MESSAGES} messages a request")
        if problem["type"] == "string_too_long" and where.endswith(".text"):
            return _error(413, "message_too_long", f"{where} is longer than {MAX_CHARACTERS} characters")
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return _error(422, "invalid_request", f"{_where(location)}: {_REASONS.get(kind, 'is not valid')}{more}")


def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    """Unknown routes, wrong methods, unreadable bodies. The framework's own detail text is not passed on."""
    assert isinstance(error, HTTPException)
    return _error(error.status_code, headers=error.headers)


def _place(error: BaseException) -> str:
    """Type and innermost file:line: enough to find a bug, without the message, which may quote text."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return f"{type(error).__name__} at " + " > ".join(f"{Path(x.filename).name}:{x.lineno}" for x in frames)


class _Guard:
    """Outermost ASGI layer: refuses large bodies while they arrive, and answers 500 to whatever was not caught.

    It stands inside Starlette's own catch-all, which would re-raise to uvicorn and have the exception's message logged.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection event of the ASGI server."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        received, started = 0, False

        async def limited_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY_BYTES:
                # Read on, up to as much again: a client that is still sending would see a reset, not our answer.
                while message.get("more_body") and received <= 2 * MAX_BODY_BYTES:
                    message = await receive()
                    received += len(message.get("body", b""))
                raise HTTPException(413)
            return message

        async def noting_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        failed = False
        try:
            await self.app(scope, limited_receive, noting_send)
        except Exception as error:
            failed = True
            logger.error("request failed: %s", _place(error))
        if failed and not started:
            await _error(500)(scope, receive, send)
        elif failed:
            # Outside the except block, so that no traceback with the first exception's message hangs on this one.
            raise RuntimeError("response broken off after an internal error")


class _Scorer:
    """Runs the classifier in worker threads and knows whether it has scored yet."""

    def __init__(self, classifier: ScamClassifier) -> None:
        self.classifier = classifier
        self.ready = False
        self._limiter = anyio.CapacityLimiter(SCORING_THREADS)
        self._warming = asyncio.Lock()

    def _score(self, messages: list[InputMessage], explain: bool) -> list[dict[str, Any]]:
        if not explain:
            verdicts: list[Verdict] = self.classifier.score([x.text for x in messages])
            return [verdict.to_dict(x.id) for x, verdict in zip(messages, verdicts, strict=True)]
        # The locale only picks the language of the forewarning, and the classifier takes one a call.
        by_locale: dict[str | None, list[int]] = defaultdict(list)
        for i, x in enumerate(messages):
            by_locale[x.locale].append(i)
        results: dict[int, dict[str, Any]] = {}
        for locale, rows in by_locale.items():
            verdicts = self.classifier.score([messages[i].text for i in rows], explain=True, locale=locale)
            results.update((i, v.to_dict(messages[i].id)) for i, v in zip(rows, verdicts, strict=True))
        return [results[i] for i in range(len(messages))]

    async def score(self, messages: list[InputMessage], explain: bool) -> list[dict[str, Any]]:
        """Results in input order."""
        if not messages:
            return []
        return await anyio.to_thread.run_sync(self._score, messages, explain, limiter=self._limiter)

    async def warm_up(self) -> bool:
        """Whether the model is ready; if it is not and nobody is trying, score a canned text to find out."""
        if self.ready or self._warming.locked():
            return self.ready
        async with self._warming:
            try:
                await self.score([InputMessage(id="", text=_CANNED_TEXT)], False)
                self.ready = True
            except Exception as error:
                logger.error("the canned text could not be scored: %s", _place(error))
        return self.ready


def _error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorBody} for status in statuses}


def create_app(classifier: ScamClassifier) -> FastAPI:
    """Build the service around a loaded classifier.

    Args:
        classifier: what scores; shared by all requests, called from worker threads.

    Returns:
        The ASGI application, for uvicorn or a test client.
    """
    scorer = _Scorer(classifier)
    manifest = classifier.manifest

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Access lines hold the query string, where a mistaken caller may put text; off whoever configured the logging.
        logging.getLogger("uvicorn.access").disabled = True
        warming = asyncio.create_task(scorer.warm_up())
        yield
        warming.cancel()

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
    app.add_middleware(_Guard)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_error)

    @app.post(
        "/v1/score",
        response_model=ScoreResponse,
        responses=_error_responses(400, 413, 415, 422, 500),
        tags=["scoring"],
    )
    async def score(request: ScoreRequest) -> JSONResponse:
        """Score up to 512 messages; results come back in the same order, each with its `id`.

        A message may hold 100,000 characters, the body 8 MiB; above that the answer is 413.
        """
        results = await scorer.score(request.messages, request.explain)
        # A ready-made response: FastAPI's check of response models would put the values into its error.
        return JSONResponse({"results": results, "model": classifier.version})

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

    @app.get("/readyz", responses=_error_responses(503), response_model=dict[str, str], tags=["health"])
    async def readyz() -> JSONResponse:
        """The model has scored a text: send traffic. 503 until then."""
        return JSONResponse({"status": "ready"}) if await scorer.warm_up() else _error(503)

    return app


def create_app_from_environment() -> FastAPI:
    """The factory that uvicorn's worker processes call: the bundle of FOREWARN_BUNDLE, or the shipped one."""
    from forewarn.inference.classifier import ScamClassifier

    path = os.environ.get(BUNDLE_VARIABLE)
    # One thread a batch: several processes, each spread over all cores, would fight for them.
    return create_app(ScamClassifier.load(path or None, threads=1))
