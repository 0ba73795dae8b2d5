"""Logs as one JSON object a line on standard error, without anything that a caller sent."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from forewarn.inference.service.errors import place
from forewarn.inference.service.tracing import trace_id

LOGGER = "forewarn.service"
# Whose messages are known to hold no input. Any other library's might quote it, so only their origin is written.
_KNOWN = (LOGGER, "uvicorn.error")


class JsonFormatter(logging.Formatter):
    """A record as JSON: time, level, event, and the fields that the service gave as `extra={"fields": {...}}`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; an exception is its type and place, since its message may quote text."""
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage().strip() if record.name in _KNOWN else f"message of {record.name}",
        }
        entry |= getattr(record, "fields", {})
        if (trace := trace_id()) is not None:
            entry["trace_id"] = trace
        if record.exc_info and record.exc_info[1] is not None:
            entry["error"] = place(record.exc_info[1])
        return json.dumps(entry, ensure_ascii=False)


def configure_logging(level: str) -> None:
    """Send everything that this process logs to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
