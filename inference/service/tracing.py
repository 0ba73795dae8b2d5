"""Traces for OpenTelemetry: a span a request, and below it its waits in the queue and its time with the model.

The spans are of our own making, since ready-made instrumentation writes addresses and headers into them. Their names
come from fixed lists, and their attributes are counts, sizes, a status and the model's version. OpenTelemetry itself is
imported only where traces are on.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import version
from typing import Any

from forewarn.inference.errors import ForewarnError
from starlette.types import Scope

# Spans below one request; a stream without end would make them without end.
MAX_CHILDREN = 100
_PARENT_HEADER = b"traceparent"
# What has not reached the collector by then is lost, and the process ends.
_LAST_SPANS_S = 3.0

_current: ContextVar[RequestTrace | None] = ContextVar("forewarn_trace", default=None)


class RequestTrace:
    """The spans of one request that is being answered."""

    def __init__(self, tracer: Any, span: Any, context: Any) -> None:
        """Set up.

        Args:
            tracer: makes spans.
            span: of the request.
            context: with that span as the parent of others.
        """
        self._tracer = tracer
        self._span = span
        self._context = context
        self._children = 0
        # Spans have the time of day, and durations a clock that nobody sets.
        self._offset_ns = time.time_ns() - time.perf_counter_ns()

    @property
    def id(self) -> str:
        """The trace's ID in hexadecimal, as the log has it."""
        return f"{self._span.get_span_context().trace_id:032x}"

    def child(self, name: str, started: float, ended: float, messages: int) -> None:
        """Add a span below the request's; see `note`."""
        if self._children >= MAX_CHILDREN or not self._span.is_recording():
            return
        self._children += 1
        span = self._tracer.start_span(
            name,
            context=self._context,
            start_time=self._at(started),
            attributes={"forewarn.messages": messages},
        )
        span.end(self._at(ended))

    def tell(self, name: str, value: int | str) -> None:
        """Set an attribute of the request's span; see `tell`."""
        self._span.set_attribute(name, value)

    def end(self, status: int) -> None:
        """The request is answered, with an HTTP status."""
        from opentelemetry.trace import StatusCode

        self.tell("http.response.status_code", status)
        if status >= 500:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()

    def _at(self, seconds: float) -> int:
        return self._offset_ns + round(1e9 * seconds)


class Traces:
    """Makes spans and sends them to a collector, in a thread of its own."""

    def __init__(self, endpoint: str) -> None:
        """Set up.

        Args:
            endpoint: URL that takes OTLP over HTTP, such as http://collector:4318/v1/traces.

        Raises:
            ForewarnError: OpenTelemetry is not installed.
        """
        check_traces(endpoint)
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        about = Resource.create({"service.name": "forewarn", "service.version": version("forewarn")})
        self._provider = TracerProvider(resource=about, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
        self._tracer = self._provider.get_tracer("forewarn")
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def request(self, name: str, scope: Scope) -> Iterator[RequestTrace]:
        """Trace a request within the context, below the caller's span where it names one.

        Args:
            name: of the span, from a fixed list.
            scope: of the request.
        """
        from opentelemetry.trace import SpanKind, set_span_in_context

        # Of the caller's headers only this one, which is all digits: `tracestate` may hold anything.
        parents = [value.decode("latin-1") for header, value in scope["headers"] if header == _PARENT_HEADER]
        parent = self._propagator.extract({"traceparent": parents[0]} if len(parents) == 1 else {})
        span = self._tracer.start_span(name, context=parent, kind=SpanKind.SERVER)
        trace = RequestTrace(self._tracer, span, set_span_in_context(span))
        token = _current.set(trace)
        try:
            yield trace
        finally:
            _current.reset(token)

    async def stop(self) -> None:
        """Send what is left, after the last request; for a few seconds at most."""
        # A thread that is not waited for: a collector that hangs must not keep the process.
        sender = threading.Thread(target=self._provider.shutdown, daemon=True)
        sender.start()
        await asyncio.to_thread(sender.join, _LAST_SPANS_S)


def check_traces(endpoint: str | None) -> None:
    """Raise a ForewarnError where traces are asked for and OpenTelemetry is not installed."""
    if endpoint:
        try:
            import opentelemetry.exporter.otlp.proto.http.trace_exporter
            import opentelemetry.sdk.trace  # noqa: F401
        except ImportError:
            raise ForewarnError("traces need OpenTelemetry: pip install 'forewarn[telemetry]'") from None


def trace_id() -> str | None:
    """The ID of the trace of the request that runs in this task, if it is traced."""
    trace = _current.get()
    return trace.id if trace else None


def note(name: str, started: float, ended: float, messages: int) -> None:
    """Add a span to the trace of the request that runs in this task, if it is traced.

    Args:
        name: from a fixed list.
        started: on the clock of `time.perf_counter`.
        ended: on the same clock.
        messages: that it was about.
    """
    trace = _current.get()
    if trace:
        trace.child(name, started, ended, messages)


def tell(name: str, value: int | str) -> None:
    """Set an attribute of the request that runs in this task, if it is traced: a number, or the model's version."""
    trace = _current.get()
    if trace:
        trace.tell(name, value)
