"""What the service may use and how long it waits: from the environment, a TOML file, or the defaults below."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

from forewarn.inference.errors import ForewarnError
from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

PREFIX = "FOREWARN_"
MiB = 1024 * 1024
# With the prefix, what is read elsewhere: by the service and its command line, between worker processes, and by the
# tools that make data and train.
_OTHERS = frozenset({"CONFIG", "MODEL_FOLDER", "PARTS_SOCKET", "MIRROR", "TEXT"})
# What Kubernetes sets in every container where a service has the name `forewarn`, or begins with it.
_KUBERNETES = re.compile(r"(\w+_)?(SERVICE_HOST=|SERVICE_PORT(_\w+)?=|PORT(_\d+_\w+)?=\w+://|PORT_\d+_\w+=)")


class Settings(BaseSettings):
    """One field a setting; `FOREWARN_MAX_BATCH=32` in the environment, or `max_batch = 32` in the file, sets one."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    bundle: Path | None = Field(None, description="Bundle folder or .zip; none is the one that ships.")
    bundles: Path | None = Field(None, description="Folder of the bundles that may be loaded while the service runs.")
    public_key: str | None = Field(None, description="Ed25519 key, in base64, that must have signed every bundle.")
    threads: int | None = Field(None, ge=1, description="Cores a batch may use; none is all, or one with workers.")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    traces: str | None = Field(
        None, repr=False, pattern="https?://.+", description="URL that takes traces as OTLP over HTTP; none is off."
    )
    apple_app_ids: Annotated[list[str], NoDecode] = Field(
        [], description="TEAMID.bundle.id of the apps whose message filter may ask here; commas between them."
    )

    keys: str | None = Field(None, repr=False, description="URL of the store of API keys; none is an open service.")
    keys_refresh_s: float = Field(5, ge=0.1, le=3600, description="Until a new or revoked key counts as such.")
    open: bool = Field(False, description="Listen beyond this machine without keys: whoever reaches it may ask.")

    max_messages: int = Field(512, ge=1, description="Messages a request.")
    max_characters: int = Field(100_000, ge=1, description="Characters a message.")
    max_body_bytes: int = Field(8 * MiB, ge=1024, description="Bytes a request body (a stream may be of any length).")
    max_held_bytes: int = Field(256 * MiB, ge=1024, description="Bytes of all bodies in memory at a time.")
    max_waiting: int = Field(2048, ge=1, description="Messages that wait for the model; above it the answer is 429.")

    deadline_ms: int = Field(10_000, ge=1, description="Until when a request is answered if it does not say.")
    max_deadline_ms: int = Field(60_000, ge=1, description="The longest deadline that a request may ask for.")
    body_timeout_s: float = Field(5, gt=0, le=3600, description="For a body to arrive, or for a stream's next bytes.")
    send_timeout_s: float = Field(30, ge=0.01, le=3600, description="For a client to take the next part of an answer.")
    keep_alive_s: int = Field(75, ge=1, le=3600, description="For a client to ask again on the same connection.")
    drain_s: int = Field(20, ge=1, description="After SIGTERM, for accepted requests to be answered.")

    max_batch: int = Field(32, ge=1, description="Messages the model gets at a time.")
    batch_wait_ms: float = Field(2, ge=0, description="How long a busy service waits for a batch to fill.")
    cache_bytes: int = Field(64 * MiB, ge=0, description="Memory for verdicts of texts seen before; 0 is no cache.")

    parts_bytes: int = Field(64 * MiB, ge=MiB, description="Memory for parts of messages that others are missing of.")
    parts_messages: int = Field(65_536, ge=1, description="Messages of which parts are held.")
    parts_wait_s: float = Field(60, ge=0.1, le=3600, description="How long the parts of a message are held.")

    @field_validator("apple_app_ids", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Settings:
        # Otherwise a request that keeps every limit could never be accepted.
        if self.max_waiting < self.max_messages:
            raise ValueError("max_waiting must be at least max_messages")
        if self.max_held_bytes < self.max_body_bytes:
            raise ValueError("max_held_bytes must be at least max_body_bytes")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given in code goes before the environment, and that before the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(config: Path | None = None, **given: Any) -> Settings:
    """The settings of this process.

    Args:
        config: a TOML file with settings at its top level; None is no file.
        given: settings that go before the environment and the file.

    Raises:
        ForewarnError: the file cannot be read, or a setting is unknown or out of range.
    """
    if config is not None and not config.is_file():
        raise ForewarnError(f"{config}: no such file; --config takes a TOML file with settings")
    variables = _variables()

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=config)

    try:
        return FromFile(**given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        if first["type"] == "extra_forbidden":
            hint = _nearest(name, list(Settings.model_fields))
            where = "" if name in given else f"{config}: "
            raise ForewarnError(f"{where}{name} is not a setting; {hint}") from None
        what = first["msg"].removeprefix("Value error, ")
        # As the sources go before one another.
        if not name or name in given:
            where = f"setting {name}" if name else "settings"
        elif name.upper() in variables:
            where = f"setting {name} ({PREFIX}{name.upper()})"
        else:
            where = f"{config}: {name}"
        raise ForewarnError(f"{where}: {what}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError):
        raise ForewarnError(
            f"{config}: not a readable TOML file; write settings as `max_batch = 32`, one a line"
        ) from None


def _variables() -> set[str]:
    """The settings that the environment holds, in capitals and without the prefix.

    Raises:
        ForewarnError: a variable looks like a setting, and is none.
    """
    known = {name.upper() for name in Settings.model_fields}
    found = set()
    for variable, value in os.environ.items():
        name = variable.upper().removeprefix(PREFIX)
        if name == variable.upper() or not value or name in _OTHERS or _KUBERNETES.match(f"{name}={value}"):
            continue
        if name not in known:
            hint = _nearest(name, sorted(known), PREFIX)
            raise ForewarnError(f"{variable} in the environment is not a setting; {hint}")
        found.add(name)
    return found


def _nearest(name: str, known: Collection[str], prefix: str = "") -> str:
    """What somebody may have meant who wrote `name`."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {prefix}{near[0]}?" if near else f"one of {', '.join(f'{prefix}{x}' for x in known)}"
