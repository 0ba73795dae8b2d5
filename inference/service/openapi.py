"""The API's description at /openapi.json: what FastAPI finds out, and the bodies that handlers read themselves."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from forewarn.inference.service.body import DEADLINE_HEADER
from forewarn.inference.service.keys_access import OPEN
from forewarn.inference.service.schema import ErrorBody
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

SCHEMAS = "#/components/schemas/{model}"
JSON = "application/json"
_ERROR = {"content": {JSON: {"schema": {"$ref": SCHEMAS.format(model=ErrorBody.__name__)}}}}
_KEY_ERRORS = {
    "401": {"description": "No key, or a wrong one", **_ERROR},
    "403": {"description": "A key for something else", **_ERROR},
    "503": {"description": "The key cannot be looked up", **_ERROR},
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors that an address may answer with."""
    return {status: {"model": ErrorBody} for status in statuses}


def takes(model: str, media_type: str = JSON, deadline: bool = True) -> dict[str, Any]:
    """The description of a body that the handler reads itself, by the name of its model, and of the deadline header."""
    schema = {"$ref": SCHEMAS.format(model=model)}
    described: dict[str, Any] = {"requestBody": {"required": True, "content": {media_type: {"schema": schema}}}}
    if deadline:
        about = "Milliseconds until the answer is of no more use; then it is 504."
        header = {"name": DEADLINE_HEADER, "in": "header", "schema": {"type": "integer", "minimum": 1}}
        described["parameters"] = [{**header, "description": about}]
    return described


def describe(app: FastAPI, models: Sequence[tuple[type[BaseModel], JsonSchemaMode]], locked: bool) -> dict[str, Any]:
    """The description of an application.

    Args:
        app: the application.
        models: what handlers read or write themselves.
        locked: whether it asks for a key.
    """
    if not app.openapi_schema:
        described = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        _, definitions = models_json_schema(models, ref_template=SCHEMAS)
        described["components"]["schemas"] |= definitions["$defs"]
        if locked:
            described["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            described["security"] = [{"key": []}]
            for path, operations in described["paths"].items():
                for operation in operations.values():
                    if path in OPEN:
                        operation["security"] = []
                    else:
                        operation["responses"] |= _KEY_ERRORS
        app.openapi_schema = described
    return app.openapi_schema


def api_version() -> str:
    """The version of the API, which is the package's: models come and go beneath it."""
    return version("forewarn")
