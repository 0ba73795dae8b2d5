"""The parts of long SMS messages for all replicas of the service: one buffer, in an actor that Serve looks after."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from forewarn.inference.service.parts import PartBuffer
from forewarn.inference.service.settings import Settings, load_settings
from ray import serve
from ray.exceptions import RayActorError

ACTOR = "parts"


def settings_of(given: dict[str, Any]) -> Settings:
    """The settings of the service on this machine.

    Args:
        given: settings that go before the environment, and the file that it names.

    Raises:
        ForewarnError: a setting is unknown or out of range.
    """
    config = os.environ.get("FOREWARN_CONFIG")
    return load_settings(Path(config) if config else None, **given)


class Parts(PartBuffer):
    """The actor. When it is lost, so are the parts in it: messages of which it held some stay without a verdict."""

    def __init__(self, given: dict[str, Any]) -> None:
        """Set up; see `settings_of`."""
        settings = settings_of(given)
        super().__init__(settings.parts_bytes, settings.parts_messages, settings.parts_wait_s)


class SharedParts:
    """What a replica has in place of a buffer of its own."""

    def __init__(self) -> None:
        self._actor: Any = None

    async def call(self, method: str, *values: Any) -> Any:
        """The answer of a method of PartBuffer.

        Raises:
            RayActorError: the actor is lost, and its successor is not there yet.
            ValueError: the same.
        """
        if self._actor is not None:
            try:
                return await getattr(self._actor, method).remote(*values)
            except RayActorError:
                self._actor = None  # there may be a new one
        self._actor = serve.get_deployment_actor(ACTOR)
        return await getattr(self._actor, method).remote(*values)

    def close(self) -> None:
        """The actor stays for the other replicas."""
