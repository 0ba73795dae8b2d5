"""Refusals: what a caller is told, built from fixed sentences and positions only, never from the input."""

from __future__ import annotations

import math
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.responses import JSONResponse

# Code -> status and what to do. The codes are also the values of the metric label `reason`.
_KINDS: dict[str, tuple[int, str]] = {
    "invalid_json": (400, "the body is not valid JSON in UTF-8"),
    "bad_request": (400, "the request could not be read"),
    "key_missing": (401, "this service needs a key: send the header Authorization: Bearer KEY"),
    "key_invalid": (401, "the key is not known here or was revoked; ask whoever runs the service for another"),
    "scope_missing": (403, "the key is good, but not for this address; ask for one with the scope that it needs"),
    "not_found": (404, "no such address; GET /openapi.json lists what is there"),
    "method_not_allowed": (405, "this address does not take this method; GET /openapi.json lists which it takes"),
    "read_timeout": (408, "the body did not arrive in time; send it faster or send less"),
    "change_running": (409, "another change of the model is running; ask again when it is done"),
    "body_too_large": (413, "the body is too large; send fewer messages a request"),
    "too_many_messages": (413, "too many messages; send fewer a request"),
    "too_many_for_key": (413, "more messages at once than this key may send a minute; send fewer a request"),
    "message_too_long": (413, "a message is too long"),
    "unsupported_media_type": (415, "send JSON with the header Content-Type: application/json"),
    "invalid_request": (422, "the request does not fit"),
    "model_refused": (422, "the bundle cannot be used; the model that answers stays"),
    "overloaded": (429, "too much is waiting already, nothing of this request was kept; try again later"),
    "rate_limited": (429, "the key's messages for this minute are used up; nothing was scored, try again later"),
    "internal_error": (500, "the service failed on this request; nothing of it was kept"),
    "not_ready": (503, "the model has not answered its first text rightly yet; ask again shortly"),
    "store_unavailable": (503, "the key cannot be checked: the store of keys does not answer; try again shortly"),
    "draining": (503, "the service is stopping; send the rest again"),
    "deadline_exceeded": (504, "not answered by the deadline; send less, or allow more in X-Request-Deadline-Ms"),
}
_BY_STATUS = {404: "not_found", 405: "method_not_allowed", 500: "internal_error"}
# What every answer with a code carries. After some the rest of the body is not worth reading.
_HEADERS = {
    "body_too_large": {"Connection": "close"},
    "draining": {"Connection": "close"},
    "key_missing": {"WWW-Authenticate": "Bearer"},
    "key_invalid": {"WWW-Authenticate": "Bearer"},
    "store_unavailable": {"Retry-After": "5"},
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
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dict_type": "must be an object",
    "string_too_long": "is too long",
    "float_type": "must be a number",
    "literal_error": "is none of the values that this service knows",
    "greater_than": "is out of range",
    "greater_than_equal": "is out of range",
    "less_than_equal": "is out of range",
}


class Refusal(Exception):
    """A request, or a line of a stream, that is answered with an error.

    Attributes:
        code: the machine-readable reason, one of a fixed list.
        status: the HTTP status that goes with it.
        message: one sentence for the person who reads it; holds no part of the request.
        headers: what the response must carry besides.
    """

    def __init__(self, code: str, message: str = "", headers: Mapping[str, str] | None = None) -> None:
        self.code = code
        self.status, fixed = _KINDS[code]
        self.message = message or fixed
        self.headers = {**_HEADERS.get(code, {}), **(headers or {})}
        super().__init__(code)

    def body(self, line: int | None = None) -> dict[str, Any]:
        """The JSON object; `line` is the place in a stream."""
        body: dict[str, Any] = {"status": self.status, "code": self.code, "message": self.message}
        return body if line is None else {**body, "line": line}

    def response(self) -> JSONResponse:
        """The HTTP response."""
        return JSONResponse(self.body(), status_code=self.status, headers=self.headers)


def overloaded(seconds: float) -> Refusal:
    """429: come back in about so many seconds."""
    return Refusal("overloaded", headers=_retry_after(min(60, seconds)))


def rate_limited(seconds: float) -> Refusal:
    """429: a key's limit lets more through in about so many seconds."""
    return Refusal("rate_limited", headers=_retry_after(seconds))


def _retry_after(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def of_status(status: int, headers: Mapping[str, str] | None = None) -> Refusal:
    """The refusal for a status that the framework chose; its own detail text is not passed on."""
    return Refusal(_BY_STATUS.get(status, "bad_request" if status < 500 else "internal_error"), headers=headers)


def of_invalid(
    problems: Sequence[Mapping[str, Any]], fields: frozenset[str], homes: Mapping[str, str], whole: str
) -> Refusal:
    """422 that says where a request does not fit, or 413 for too many messages.

    Args:
        problems: pydantic's errors, at least one, with their context.
        fields: the names that may be shown; any other name came from the input.
        homes: where a field of ours belongs that stands in another place.
        whole: what to call the place where it is no field of ours.
    """
    first = problems[0]
    if first["type"] == "too_long":  # only the list of messages has a greatest length
        return Refusal("too_many_messages", f"more than {first['ctx']['max_length']} messages; send fewer a request")
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    reason = _REASONS.get(first["type"], "is not valid")
    name = first["loc"][-1] if first["loc"] else ""
    if first["type"] == "extra_forbidden" and name in fields and name in homes:
        reason = f"belongs in {homes[name]}"
    return Refusal("invalid_request", f"{_where(first['loc'], fields) or whole}: {reason}{more}")


def _where(location: Sequence[int | str], fields: frozenset[str]) -> str:
    """`messages[3].text` from pydantic's location."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part in fields:
            path += f".{part}" if path else part
    return path


def place(error: BaseException) -> str:
    """Type and innermost file:line: enough to find a bug, without the message, which may quote text."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return f"{type(error).__name__} at " + " > ".join(f"{Path(x.filename).name}:{x.lineno}" for x in frames)
