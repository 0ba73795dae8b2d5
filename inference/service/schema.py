"""What comes in and goes out: shapes, their check, and their descriptions for /openapi.json."""

from __future__ import annotations

import json
from functools import cache
from typing import Annotated, Any, Literal, TypeVar

from forewarn.inference.service.errors import Refusal, of_invalid
from forewarn.inference.service.settings import Settings
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
    create_model,
    model_validator,
)
from pydantic_core import PydanticKnownError

MAX_ID_CHARACTERS = 256
MAX_SENDER_CHARACTERS = 256
MAX_LOCALE_CHARACTERS = 35

# What one SMS may hold, alone and as a part of a longer message, which has less room for its text: septets of the GSM
# alphabet, or UTF-16 units. No part in any encoding has more characters than septets would be.
_ROOM = {"gsm7": (160, 153), "ucs2": (70, 67)}
_UNITS = {"gsm7": "septets", "ucs2": "UCS-2 units"}
MAX_PART_CHARACTERS = 153
# Two septets each (3GPP TS 23.038, 6.2.1.1).
_GSM_EXTENSION = frozenset("\f^{}\\[~]|€")

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
_WAITING: dict[str, Any] = {"id": "2", "status": "waiting", "seen": 1, "parts": 2}
_PARTS: list[dict[str, Any]] = [
    {"text": text, "sender": "+15550100", "encoding": "gsm7", "concat": {"reference": 7, "part": i + 1, "parts": 2}}
    for i, text in enumerate(("Your parcel is held at customs. Pay the ", "fee today: http://parcel-fee.example/pay"))
]

Model = TypeVar("Model", bound=BaseModel)


def _replace_lone_surrogates(value: Any) -> Any:
    r"""Turn what JSON's "\ud800" leaves into U+FFFD, so that one broken message does not fail the whole batch."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value


def _any_string(value: Any) -> Any:
    """Pass a string as it is: pydantic's own check refuses lone surrogates."""
    if isinstance(value, str):
        return value
    raise PydanticKnownError("string_type")


Text = Annotated[str, BeforeValidator(_replace_lone_surrogates)]
# A character may be cut in two at the end of a part; the halves meet when the parts are put together.
_PartText = Annotated[str, PlainValidator(_any_string), WithJsonSchema({"type": "string"})]


class Concat(BaseModel):
    """Which part of a long SMS message a text is, from its user data header (3GPP TS 23.040, 9.2.3.24.1 and .8)."""

    model_config = ConfigDict(extra="forbid")

    reference: int = Field(strict=True, ge=0, le=65535, description="What the parts of one message share; 8 or 16 bit.")
    part: int = Field(strict=True, ge=1, le=255, description="The part's place, from 1.")
    parts: int = Field(strict=True, ge=1, le=255, description="How many parts the message has.")
    recipient: str | None = Field(
        default=None,
        max_length=MAX_SENDER_CHARACTERS,
        description="Tells apart messages of one sender to several people, which may have one reference: the number, "
        "or anything that stands for it. Kept as a keyed hash, as long as the parts are.",
    )


class InputMessage(BaseModel):
    """One message to score, or a part of one."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"id": "1", "text": _SAMPLE},
                {"id": "2", **_PARTS[1]},
            ]
        },
    )

    id: str = Field(max_length=MAX_ID_CHARACTERS, description="Yours; comes back with the result.")
    text: _PartText = Field(
        description="The message as received. Never stored or logged; with `concat` it is held in memory to be put "
        "together with the other parts, for a minute at most unless the service is set otherwise."
    )
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
    encoding: Literal["gsm7", "ucs2"] | None = Field(
        default=None,
        description="How one SMS carried the text. It bounds the length: 160 septets (153 with `concat`) or 70 UCS-2 "
        "units (67). Leave it out where you have put the parts together yourself. Characters are not checked: what the "
        "GSM alphabet has depends on national tables.",
    )
    concat: Concat | None = Field(
        default=None,
        description="The text is a part of a longer message, of at most 153 characters. Parts with the same `sender` "
        "(which must be there), `reference`, `parts` and `recipient` are put together, whatever their order; one that "
        "comes twice counts once. As long as some are missing the result is a WaitingResult.",
    )

    @model_validator(mode="after")
    def _mend(self) -> InputMessage:
        if self.concat is None:
            self.text = _replace_lone_surrogates(self.text)
        return self


class ScoreRequest(BaseModel):
    """A batch of messages."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"messages": [{"id": "1", "text": _SAMPLE}]},
                {"messages": [{"id": "a", "text": "Mum, this is my new number", "locale": "en-GB"}], "explain": True},
                {"messages": [{"id": "b", **_PARTS[0]}, {"id": "c", **_PARTS[1]}]},
            ]
        },
    )

    messages: list[InputMessage]
    explain: bool = Field(default=False, description="Add `evidence` and `forewarning` to each result; slower.")


# Where a caller should put a field that stood in another place.
_HOMES = {
    **dict.fromkeys(ScoreRequest.model_fields, "the request itself"),
    **dict.fromkeys(InputMessage.model_fields, "each message"),
    **dict.fromkeys(Concat.model_fields, "concat"),
}


class Evidence(BaseModel):
    """A span of the text that carried the verdict."""

    start: int = Field(description="Where it begins in the text, in Unicode code points (not bytes or UTF-16 units).")
    end: int = Field(description="Where it ends: the code point after its last.")
    text: str
    weight: float = Field(description="How much the log-odds of a scam fall without it.")


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
    parts: int | None = Field(
        default=None,
        description="With `concat` only: the verdict is on the whole message of so many parts, as is `evidence`.",
    )


class WaitingResult(BaseModel):
    """The result for a part of a message of which others are missing. There is no verdict yet.

    The verdict comes with the part that is the last to come, and again with any that is sent once more while the
    service holds the parts. Should the rest not come, what there is can be scored without `concat`.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_WAITING]})

    id: str
    status: Literal["waiting"]
    seen: int = Field(description="Parts that have come. 0 where the service has given the message up.")
    parts: int = Field(description="Parts that the message has.")


class ScoreResponse(BaseModel):
    """Results in the order of the request's messages."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"results": [_RESULT], "model": "2026.11.0"},
                {"results": [_WAITING], "model": "2026.11.0"},
            ]
        }
    )

    results: list[ScoreResult | WaitingResult]
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
    digest: str = Field(description="Of its manifest: tells apart two bundles of one version.")
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
        problems = error.errors(include_url=False, include_input=False)
    if problems[0]["type"] != "json_invalid":
        raise of_invalid(problems, fields, _HOMES, whole)
    try:
        # pydantic's fast parser refuses a lone surrogate, which carriers send where a message was cut.
        value = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise Refusal("invalid_json", f"{whole} is not valid JSON in UTF-8") from None
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
    raise of_invalid(problems, fields, _HOMES, whole)


@cache
def _names(model: type[BaseModel]) -> frozenset[str]:
    """Every field name of a model and of those inside it, as JSON has them."""
    schema = model.model_json_schema()
    return frozenset(name for part in (schema, *schema.get("$defs", {}).values()) for name in part["properties"])


def check_message(message: InputMessage, settings: Settings, where: str = "") -> None:
    """Check what the fields of a message do not show by themselves.

    Args:
        message: with every field right for itself.
        settings: limits.
        where: what to put before the name of a field.

    Raises:
        Refusal: 413 for a text over the limit; 422 for one that is longer than its SMS can have been, and for a part
            that cannot be.
    """
    concat = message.concat
    check_length(message.text, f"{where}text", settings)
    if concat:
        if concat.part > concat.parts:
            raise Refusal("invalid_request", f"{where}concat.part: must not be above parts")
        if not message.sender:
            raise Refusal("invalid_request", f"{where}sender: must be there with concat")
        if not message.encoding and len(message.text) > MAX_PART_CHARACTERS:
            raise Refusal("invalid_request", f"{where}text: a part has at most {MAX_PART_CHARACTERS} characters")
    if message.encoding:
        most = _ROOM[message.encoding][concat is not None]
        if _length(message.text, message.encoding) > most:
            what = "a part of an SMS" if concat else "an SMS; leave out encoding for a text that was put together"
            longer = f"longer than the {most} {_UNITS[message.encoding]} of {what}"
            raise Refusal("invalid_request", f"{where}text: {longer}")


def _length(text: str, encoding: str) -> int:
    """Units that a text takes, at least: letters of national tables may take two septets, and count as one."""
    if encoding == "gsm7":
        return len(text) + sum(character in _GSM_EXTENSION for character in text)
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def check_length(text: str, where: str, settings: Settings) -> None:
    """Raise a Refusal (413) for a text over the limit; `where` names the field."""
    if len(text) > settings.max_characters:
        raise Refusal("message_too_long", f"{where} is longer than {settings.max_characters} characters")
