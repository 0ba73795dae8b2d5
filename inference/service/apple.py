"""Message filtering on iPhones: what iOS posts when an ILMessageFilterExtension defers to the network.

The numbers are those of Apple's ILMessageFilterAction and ILMessageFilterSubAction, which the extension passes on.
"""

from __future__ import annotations

from enum import IntEnum

from forewarn.inference.classifier import Verdict
from forewarn.inference.service.schema import MAX_SENDER_CHARACTERS, Text
from pydantic import BaseModel, ConfigDict, Field


class Action(IntEnum):
    """ILMessageFilterAction."""

    NONE = 0
    ALLOW = 1
    JUNK = 2
    PROMOTION = 3
    TRANSACTION = 4


class SubAction(IntEnum):
    """ILMessageFilterSubAction, as far as the model can tell."""

    NONE = 0
    PUBLIC_SERVICES = 10008


class _Message(BaseModel):
    text: Text = Field(description="The message as received. Never stored or logged.")


class _Query(BaseModel):
    message: _Message
    sender: str | None = Field(
        default=None, max_length=MAX_SENDER_CHARACTERS, description="Accepted, and neither used nor kept."
    )


class _App(BaseModel):
    version: str | None = None


class AppleQuery(BaseModel):
    """The body that iOS sends. Fields that a later iOS may add are passed over: a phone cannot be told to ask again."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "_version": 1,
                    "query": {"sender": "14085550001", "message": {"text": "This is a message"}},
                    "app": {"version": "1.1"},
                }
            ]
        }
    )

    version: int = Field(alias="_version")
    query: _Query
    app: _App | None = None


class AppleAnswer(BaseModel):
    """What the extension turns into an ILMessageFilterQueryResponse."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"action": 2, "sub_action": 0}]})

    action: Action
    sub_action: SubAction


def apple_answer(verdict: Verdict) -> AppleAnswer:
    """Where iOS should show a message. Only a scam that the operating points act on is junk."""
    action, sub_action = Action.ALLOW, SubAction.NONE
    if verdict.verdict == "scam" and verdict.action != "allow":
        action = Action.JUNK
    elif verdict.verdict == "promotion":
        action = Action.PROMOTION
    elif verdict.type == "transactional":
        action = Action.TRANSACTION
    elif verdict.type == "public_notice":
        action, sub_action = Action.TRANSACTION, SubAction.PUBLIC_SERVICES
    return AppleAnswer(action=action, sub_action=sub_action)
