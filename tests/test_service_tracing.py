"""Traces, as a collector gets them: a real OTLP/HTTP receiver on the loopback that decodes what the service sends."""

import contextlib
import gzip
import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from forewarn.inference import cli
from forewarn.inference.service import Settings
from forewarn.inference.service.tracing import MAX_CHILDREN
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from test_server import Held, post, serving
from test_service_metrics import logged  # noqa: F401  # a fixture
from test_service_stores import free_port
from test_service_stream import stream

SCAM = "Claim your tax rebate today or it expires"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector:
    """What has been received: the bodies as they came, and the spans in them."""

    def __init__(self):
        self.bodies, self.heads = [], []

    def requests(self):
        for body in list(self.bodies):
            yield ExportTraceServiceRequest.FromString(body)

    def resources(self):
        return [attributes(x.resource) for request in self.requests() for x in request.resource_spans]

    def spans(self, name=None):
        found = [
            span
            for request in self.requests()
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        return [x for x in found if name in (None, x.name)]

    def everything(self):
        """All text that was received, to be searched."""
        return f"{self.heads} {[str(x) for x in self.requests()]} {self.bodies}"


def attributes(of):
    kinds = {"string_value", "int_value"}
    values = {x.key: x.value for x in of.attributes}
    assert all(x.WhichOneof("value") in kinds for x in values.values())
    return {key: getattr(x, x.WhichOneof("value")) for key, x in values.items()}


@contextlib.contextmanager
def collecting():
    """A collector, and its URL."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.heads.append(f"{self.path} {self.headers}")
            collector.bodies.append(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield collector, f"http://127.0.0.1:{server.server_port}/v1/traces"
    finally:
        server.shutdown()
        server.server_close()


def messages(*texts):
    return [{"id": str(i), "text": text} for i, text in enumerate(texts)]


def test_a_request_is_a_span_with_its_waits_below_it_and_the_callers_above(tiny_classifier, tiny_bundle):
    with collecting() as (collector, url):
        with serving(tiny_classifier, tiny_bundle, Settings(traces=url)) as client:
            body = json.dumps({"messages": messages(SCAM, "hello mum")})
            headers = {"Content-Type": "application/json", "traceparent": f"00-{TRACE}-{PARENT}-01"}
            assert client.post("/v1/score", content=body, headers=headers).status_code == 200
            assert post(client, messages=[{"id": 1}]).status_code == 422
        # The service has stopped, and sent all that it had.
        [request, refused] = collector.spans("/v1/score")
        assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
        assert request.kind == request.SPAN_KIND_SERVER
        assert attributes(request) == {
            "forewarn.bytes": len(body),
            "forewarn.messages": 2,
            "forewarn.model": tiny_classifier.version,
            "http.response.status_code": 200,
        }
        below = {x.name: x for x in collector.spans() if x.parent_span_id == request.span_id}
        assert set(below) == {"queue", "inference"}
        queue, inference = below["queue"], below["inference"]
        assert attributes(queue) == attributes(inference) == {"forewarn.messages": 2}
        assert {queue.trace_id, inference.trace_id} == {request.trace_id}
        times = (queue.start_time_unix_nano, queue.end_time_unix_nano, inference.end_time_unix_nano)
        assert request.start_time_unix_nano <= times[0] <= times[1] <= times[2] <= request.end_time_unix_nano
        assert inference.start_time_unix_nano == queue.end_time_unix_nano
        assert abs(request.start_time_unix_nano / 1e9 - time.time()) < 60
        assert attributes(refused)["http.response.status_code"] == 422
        assert refused.trace_id != request.trace_id and not refused.parent_span_id
        assert not refused.status.code
        [about, *_] = collector.resources()
        assert about["service.name"] == "forewarn"
        assert set(about) <= {"service.name", "service.version", "service.instance.id"} | {
            f"telemetry.sdk.{x}" for x in ("language", "name", "version")
        }


def test_a_request_from_the_cache_has_no_time_with_the_model(tiny_classifier, tiny_bundle):
    with collecting() as (collector, url):
        with serving(tiny_classifier, tiny_bundle, Settings(traces=url)) as client:
            for _ in range(2):
                post(client, messages=messages(SCAM))
        first, second = collector.spans("/v1/score")
        below = [x.parent_span_id for x in collector.spans("inference")]
        assert first.span_id in below and second.span_id not in below


def test_a_failure_is_marked(tiny_classifier, tiny_bundle):
    held = Held(tiny_classifier)
    with collecting() as (collector, url):
        with serving(held, tiny_bundle, Settings(traces=url)) as client:
            assert held.entered.acquire(timeout=10)
            late = client.post("/v1/score", json={"messages": messages(SCAM)}, headers={"X-Request-Deadline-Ms": "20"})
            assert late.status_code == 504
            held.go.set()
        [span] = collector.spans("/v1/score")
        assert span.status.code == span.status.STATUS_CODE_ERROR and not span.status.message
        [queue] = [x for x in collector.spans("queue") if x.parent_span_id == span.span_id]
        assert queue.end_time_unix_nano - queue.start_time_unix_nano > 10e6


def test_a_long_stream_is_a_trace_of_bounded_size(tiny_classifier, tiny_bundle):
    lines = "".join(json.dumps(x) + "\n" for x in messages(*(f"hello {i}" for i in range(2 * MAX_CHILDREN))))
    with collecting() as (collector, url):
        settings = Settings(traces=url, max_batch=1, cache_bytes=0)
        with serving(tiny_classifier, tiny_bundle, settings) as client:
            assert len(stream(client, lines)) == 2 * MAX_CHILDREN
        [span] = collector.spans("/v1/score/stream")
        assert attributes(span)["forewarn.messages"] == 2 * MAX_CHILDREN
        assert len([x for x in collector.spans() if x.parent_span_id == span.span_id]) == MAX_CHILDREN


@pytest.mark.parametrize("given", [f"00-{TRACE}-{PARENT}-00", "zebra", f"00-{'0' * 32}-{PARENT}-01"])
def test_what_the_caller_does_not_want_traced_or_names_wrongly(tiny_classifier, tiny_bundle, given):
    with collecting() as (collector, url):
        with serving(tiny_classifier, tiny_bundle, Settings(traces=url)) as client:
            answer = client.post("/v1/score", json={"messages": messages(SCAM)}, headers={"traceparent": given})
            assert answer.status_code == 200
        found = collector.spans("/v1/score")
        if given.endswith("-00"):
            assert not found and not collector.spans()
        else:
            assert len(found) == 1 and not found[0].parent_span_id
        assert "zebra" not in collector.everything()


def test_the_log_names_the_trace(tiny_classifier, tiny_bundle, logged):  # noqa: F811
    with collecting() as (collector, url):
        with serving(tiny_classifier, tiny_bundle, Settings(traces=url)) as client:
            headers = {"X-Request-ID": "one", "traceparent": f"00-{TRACE}-{PARENT}-01"}
            client.post("/v1/score", json={"messages": messages(SCAM)}, headers=headers)
            client.get("/zebra", headers={"X-Request-ID": "two"})
        by_id = {x["request_id"]: x["trace_id"] for x in logged() if "request_id" in x}
        [other] = collector.spans("other")
        assert by_id == {"one": TRACE, "two": other.trace_id.hex()}


def test_a_collector_that_is_not_there_holds_up_nothing(tiny_classifier, tiny_bundle):
    with serving(tiny_classifier, tiny_bundle, Settings(traces=f"http://127.0.0.1:{free_port()}/")) as client:
        for i in range(20):
            assert post(client, messages=messages(f"{SCAM} {i}")).status_code == 200
        started = time.monotonic()
    assert time.monotonic() - started < 8


WITHOUT = "import sys; sys.modules['opentelemetry.sdk'] = None; from forewarn.inference import cli; "


def test_without_the_extra_one_line_says_what_to_install(tiny_bundle):
    run = f"sys.exit(cli.main(['serve', '--port', '0', '--bundle', {str(tiny_bundle)!r}]))"
    for workers in ("1", "2"):
        code = WITHOUT + run.replace("'--port'", f"'--workers', '{workers}', '--port'")
        given = {**os.environ, "FOREWARN_TRACES": "http://127.0.0.1:1/v1/traces"}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=given)
        assert done.returncode == 2
        assert done.stderr.splitlines() == ["forewarn: traces need OpenTelemetry: pip install 'forewarn[telemetry]'"]


def test_nothing_that_sends_is_imported_while_traces_are_off(tiny_bundle):
    # FastAPI itself imports the API, which by itself does nothing.
    sending = ("opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.proto")
    code = (
        "import sys; from forewarn.inference.bundle import Bundle; from forewarn.inference.classifier import *; "
        "from forewarn.inference.service import *; "
        f"b = Bundle.open({str(tiny_bundle)!r}); create_app(ScamClassifier(b), b.golden_vectors()[0], Settings()); "
        f"import forewarn.inference.cli_serve; print([x for x in sys.modules if x.startswith({sending!r})])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_wrong_url_is_one_line(capsys, monkeypatch):
    monkeypatch.setenv("FOREWARN_TRACES", "collector:4318")
    assert cli.main(["serve", "--port", "0"]) == 2
    told = capsys.readouterr().err
    assert "setting traces (FOREWARN_TRACES)" in told and told.count("\n") == 1
