"""What can be seen of a running service: metrics, logs, correlation ids, readiness."""

import io
import json
import logging
import shutil
import sys

import httpx
import pytest
from forewarn.inference.bundle import Bundle
from forewarn.inference.errors import BundleError
from forewarn.inference.service.logs import configure_logging
from prometheus_client.parser import text_string_to_metric_families
from test_server import check_error, post, serving, wait_until
from tinybundle import seal

SCAM = "Claim your tax rebate today or it expires"


def samples(client: httpx.Client):
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(found, name, **labels):
    return found[name, tuple(sorted(labels.items()))]


def test_requests_messages_verdicts_batches_and_refusals_are_counted(tiny_classifier, tiny_bundle):
    with serving(tiny_classifier, tiny_bundle) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        before = samples(client)
        post(client, messages=[{"id": "1", "text": SCAM}, {"id": "2", "text": "See you at dinner tonight, love mum"}])
        post(client, messages=[{"id": "1", "text": SCAM}], explain=True)
        post(client, messages=[{"id": 1}])
        client.get("/zebra?zebra=1")
        client.post("/v1/score/stream", content=b"zebra\n", headers={"Content-Type": "application/x-ndjson"})
        found = samples(client)
    assert value(found, "forewarn_requests_total", route="/v1/score", status="200") == 2
    assert value(found, "forewarn_requests_total", route="/v1/score", status="422") == 1
    assert value(found, "forewarn_requests_total", route="other", status="404") == 1
    assert value(found, "forewarn_request_seconds_count", route="/v1/score") == 3
    assert value(found, "forewarn_messages_total") == 3
    assert value(found, "forewarn_verdicts_total", verdict="scam", type="tax_rebate", action="block") == 2
    assert value(found, "forewarn_rejected_total", reason="invalid_request") == 1
    assert value(found, "forewarn_rejected_total", reason="not_found") == 1
    assert value(found, "forewarn_rejected_total", reason="invalid_json") == 1
    for name in ("batch_messages", "inference_seconds", "queue_wait_seconds"):
        assert value(found, f"forewarn_{name}_count", lane="explain") == 1
        then, now = (value(x, f"forewarn_{name}_count", lane="score") for x in (before, found))
        assert now - then == 1
    assert value(found, "forewarn_queue_messages", lane="score") == 0
    assert "zebra" not in str(found)


@pytest.fixture
def logged(monkeypatch):
    """Everything that is logged, as JSON objects, from the debug level on."""
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    root = logging.getLogger()
    before = root.handlers[:], root.level
    configure_logging("debug")
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    root.handlers[:], root.level = before[0], before[1]


def test_logs_are_json_lines_with_the_callers_correlation_id(tiny_classifier, tiny_bundle, logged):
    with serving(tiny_classifier, tiny_bundle) as client:
        body = {"messages": [{"id": "1", "text": SCAM}]}
        answer = client.post("/v1/score", json=body, headers={"X-Request-ID": "trace-0.1_A"})
        assert answer.headers["x-request-id"] == "trace-0.1_A"
    [event] = [x for x in logged() if x.get("request_id") == "trace-0.1_A"]
    assert event["event"] == "request"
    assert (event["level"], event["route"], event["status"], event["messages"]) == ("debug", "/v1/score", 200, 1)
    assert event["ms"] > 0
    assert {"time", "level", "event"} <= set.intersection(*(set(x) for x in logged()))


@pytest.mark.parametrize("value", ["a b", "x" * 65, '"quoted"', "+15550100", ""])
def test_an_unsafe_correlation_id_is_replaced(tiny_classifier, tiny_bundle, logged, value):
    with serving(tiny_classifier, tiny_bundle) as client:
        one, two = (client.get("/v1/zebra", headers={"X-Request-ID": value}).headers["x-request-id"] for _ in "ab")
    assert len(one) == 32 and one != two
    [event] = [x for x in logged() if x.get("request_id") == one]
    assert (event["status"], event["reason"], event["route"]) == (404, "not_found", "other")
    assert value == "" or value not in json.dumps(event)


def test_not_ready_while_the_golden_vector_gets_another_verdict(tiny_classifier, tiny_bundle, tmp_path, logged):
    bundle = tmp_path / "other"
    shutil.copytree(tiny_bundle, bundle)
    vectors = (bundle / "vectors.jsonl").read_text(encoding="utf-8")
    (bundle / "vectors.jsonl").write_text(vectors.replace('"scam"', '"promotion"'), encoding="utf-8")
    seal(bundle)
    with serving(tiny_classifier, bundle) as client:
        check_error(client.get("/readyz"), 503, "not_ready")
        assert client.get("/healthz").status_code == 200
    assert any("golden vector" in x["event"] and x["expected"] == "promotion" for x in logged())


@pytest.mark.parametrize("content", ["", "{}", "[1]", "zebra"])
def test_a_bundle_without_golden_vectors_is_refused(tiny_bundle, tmp_path, content):
    bundle = tmp_path / "bare"
    shutil.copytree(tiny_bundle, bundle)
    (bundle / "vectors.jsonl").write_text(content)
    seal(bundle)
    with pytest.raises(BundleError, match=r"vectors\.jsonl"):
        Bundle.open(bundle).golden_vectors()


def test_the_shipped_bundle_has_golden_vectors():
    vectors = Bundle.open().golden_vectors()
    assert {x.verdict for x in vectors} <= {"scam", "promotion", "legitimate"}
