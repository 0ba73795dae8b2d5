"""What comes in and goes out: shapes, their check, and their descriptions for /openapi.json."""

from __future__ import annotations

import json
from functools import cache
from typing import Annotated, Any, TypeVar

from forewarn.inference.service.errors import Refusal, of_invalid
from forewarn.inference.service.settings import Settings
from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, ValidationError, create_model

MAX_ID_CHARACTERS = 256
MAX_SENDER_CHARACTERS = 256
MAX_LOCALE_CHARACTERS = 35

_SAMPLE = "Your parcel is held at customs. Pay the fee today: http://parcel-fee.example/pay"
_RESULT: dict[str, Any] = {
    "id": "1",
    "verdict": "scam",
    "risk": 0.97,
    "action": "block",
    "type": "parcel_delivery",
    "type_score": 0.91,
    "levers": ["curiosity", "urgency"],
    "model": "2026.11.0",
}

Model = TypeVar("Model", bound=BaseModel)


def _replace_lone_surrogates(value: Any) -> Any:
    r"""Turn what JSON's "\ud800" leaves into U+FFFD, so that one broken message does not fail the whole batch."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value


Text = Annotated[str, BeforeValidator(_replace_lone_surrogates)]


class InputMessage(BaseModel):
    """One message to score."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"id": "1", "text": _SAMPLE}]})

    id: str = Field(max_length=MAX_ID_CHARACTERS, description="Yours; comes back with the result.")
    text: Text = Field(description="The message as received. Never stored or logged.")
    sender: str | None = Field(
        default=None,
        max_length=MAX_SENDER_CHARACTERS,
        description="Number, short code or name. May raise `risk` (a private number that speaks for a bank, a number "
        "from abroad), never lowers it, and never blocks a text that is allowed for itself. Never kept.",
    )
    locale: str | None = Field(
        default=None,
        max_length=MAX_LOCALE_CHARACTERS,
        description="BCP 47 tag: language of the forewarning that `explain` adds, and the country that tells which "
        "senders are from abroad.",
    )


class ScoreRequest(BaseModel):
    """A batch of messages."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"messages": [{"id": "1", "text": _SAMPLE}]},
                {"messages": [{"id": "a", "text": "Mum, this is my new number", "locale": "en-GB"}], "explain": True},
            ]
        },
    )

    messages: list[InputMessage]
    explain: bool = Field(default=False, description="Add `evidence` and `forewarning` to each result; slower.")


class Evidence(BaseModel):
    """A span of the text that carried the verdict."""

    start: int
    end: int
    text: str
    weight: float


class ScoreResult(BaseModel):
    """The verdict on one message. `evidence` and `forewarning` are there only with `explain`."""

    model_config = ConfigDict(json_schema_extra={"examples": [_RESULT]})

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

    model_config = ConfigDict(json_schema_extra={"examples": [{"results": [_RESULT], "model": "2026.11.0"}]})

    results: list[ScoreResult]
    model: str


class Leaf(BaseModel):
    """A label: a script that scammers follow, or a kind of honest message."""

    name: str
    verdict: str
    levers: list[str]
    about: str


class Labels(BaseModel):
    """The labels of the model that answers."""

    verdicts: list[str]
    leaves: list[Leaf]
    coarse: dict[str, list[str]] = Field(description="Names of sets of labels, for data that knows no more.")


class ModelAbout(BaseModel):
    """The model that answers, as its bundle describes it."""

    model_config = ConfigDict(extra="allow")

    version: str
    max_length: int = Field(description="Ids of the tokenizer that it reads of a text.")


class ErrorBody(BaseModel):
    """Every error of this service. It never holds any part of the request."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"status": 422, "code": "invalid_request", "message": "messages[0].text: missing"}]
        }
    )

    status: int
    code: str
    message: str


class LineError(ErrorBody):
    """What stands in a stream's answer in place of the verdict on a line that could not be scored."""

    line: int = Field(description="The line's number in the request, from 1.")


@cache
def limited_request(max_messages: int) -> type[ScoreRequest]:
    """A ScoreRequest of at most so many messages, which stops reading at the first fault.

    A body of a few megabytes can hold a million faulty messages; an error for each would take gigabytes.
    """
    messages = Annotated[list[InputMessage], Field(max_length=max_messages), FailFast()]
    return create_model("ScoreRequest", __base__=ScoreRequest, messages=(messages, ...))


def parse(model: type[Model], body: bytes, whole: str = "the body") -> Model:
    """Read a request, or a line of a stream; `whole` is what an error calls it.

    Raises:
        Refusal: 400 for what is not JSON in UTF-8, 422 for JSON that does not fit.
    """
    fields = _names(model)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
    if problems[0]["type"] != "json_invalid":
        raise of_invalid(problems, fields, whole)
    try:
        # pydantic's fast parser refuses a lone surrogate, which carriers send where a message was cut.
        value = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise Refusal("invalid_json", f"{whole} is not valid JSON in UTF-8") from None
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
    raise of_invalid(problems, fields, whole)


@cache
def _names(model: type[BaseModel]) -> frozenset[str]:
    """Every field name of a model and of those inside it, as JSON has them."""
    schema = model.model_json_schema()
    return frozenset(name for part in (schema, *schema.get("$defs", {}).values()) for name in part["properties"])


def check_length(text: str, where: str, settings: Settings) -> None:
    """Raise a Refusal (413) for a text over the limit; `where` names the field."""
    if len(text) > settings.max_characters:
        raise Refusal("message_too_long", f"{where} is longer than {settings.max_characters} characters")
