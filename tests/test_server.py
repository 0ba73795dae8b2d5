"""The HTTP service on a real uvicorn server on the loopback."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest
import uvicorn
from forewarn.inference import cli, server
from forewarn.inference.classifier import ScamClassifier

TEXTS = ["Your account is locked, verify at http://bank.example", "See you at seven, love", "Half price on shoes today"]


def start(app):
    """Serve an app from a thread; returns the server, its thread and its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    running = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    return running, thread, f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture(scope="module")
def classifier(tiny_bundle):
    return ScamClassifier.load(tiny_bundle)


@pytest.fixture(scope="module")
def client(classifier):
    running, thread, address = start(server.create_app(classifier))
    with httpx.Client(base_url=address, timeout=30) as http:
        yield http
    running.should_exit = True
    thread.join(10)


def post(client, **fields):
    return client.post("/v1/score", json=fields)


def check_error(response, status, code):
    assert response.status_code == status
    body = response.json()
    assert set(body) == {"status", "code", "message"}
    assert (body["status"], body["code"]) == (status, code)
    assert body["message"]
    return body["message"]


def test_score_answers_in_order_what_the_library_answers(client, classifier):
    answer = post(client, messages=[{"id": f"m{i}", "text": text} for i, text in enumerate(TEXTS)])
    assert answer.status_code == 200
    body = answer.json()
    assert body["model"] == classifier.version
    assert [x["id"] for x in body["results"]] == ["m0", "m1", "m2"]
    for result, verdict in zip(body["results"], classifier.score(TEXTS), strict=True):
        assert result["verdict"] == verdict.verdict
        assert result["risk"] == pytest.approx(verdict.risk, abs=1e-4)
        assert result["action"] in ("allow", "warn", "block")
        assert not result.get("evidence") and not result.get("forewarning")


def test_explain_keeps_the_order_across_locales(client):
    locales = ["de", None, "en-GB", "de"]
    messages = [{"id": str(i), "text": TEXTS[0], "sender": "+4900", "locale": x} for i, x in enumerate(locales)]
    answer = post(client, messages=messages, explain=True)
    assert answer.status_code == 200
    assert [x["id"] for x in answer.json()["results"]] == ["0", "1", "2", "3"]
    for result in answer.json()["results"]:
        assert all(TEXTS[0][x["start"] : x["end"]] == x["text"] for x in result["evidence"])


@pytest.mark.parametrize("text", ["", "\0", "🎉🎉", "\u202eabc\u200f", "x" * server.MAX_CHARACTERS])
def test_odd_texts_get_a_verdict(client, text):
    answer = post(client, messages=[{"id": "1", "text": text}])
    assert answer.status_code == 200
    assert 0 <= answer.json()["results"][0]["risk"] <= 1


def test_a_lone_surrogate_in_a_text_is_scored_and_in_an_id_refused(client):
    headers = {"Content-Type": "application/json"}
    good = rb'{"messages": [{"id": "1", "text": "pay now \ud800 please \ud83d\ude00"}]}'
    assert client.post("/v1/score", content=good, headers=headers).status_code == 200
    bad = rb'{"messages": [{"id": "\ud800", "text": "pay now"}]}'
    message = check_error(client.post("/v1/score", content=bad, headers=headers), 422, "invalid_request")
    assert "messages[0].id" in message


def test_no_messages_no_results(client):
    assert post(client, messages=[]).json()["results"] == []


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({}, "messages: missing"),
        ([], "the body: must be an object"),
        ({"messages": "zebra"}, "messages: must be a list"),
        ({"messages": [{"id": "1"}]}, "messages[0].text: missing"),
        ({"messages": [{"id": "1", "text": "a"}, {"id": 7, "text": "zebra"}]}, "messages[1].id: must be a string"),
        ({"messages": [{"id": "1", "text": "a", "zebra": 1}]}, "messages[0]: has a field"),
        ({"messages": [], "explain": "zebra"}, "explain: must be true or false"),
        ({"messages": [{"id": "1", "text": "a", "locale": "zebra" * 9}]}, "messages[0].locale: is too long"),
    ],
)
def test_a_request_that_does_not_fit_says_where_without_quoting(client, body, names):
    message = check_error(client.post("/v1/score", json=body), 422, "invalid_request")
    assert names in message
    assert "zebra" not in message


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"messages": [',
        b"\xff\xfe\xfa",
        b'{"messages": [{"id": "1", "text": "caf\xe9"}]}',
        b"[" * 100_000,
        b"9" * 5000,
    ],
)
def test_what_is_not_json_is_refused(client, content):
    answer = client.post("/v1/score", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    check_error(answer, answer.status_code, {400: "invalid_json", 422: "invalid_request"}[answer.status_code])


def test_other_content_types_are_refused(client):
    check_error(client.post("/v1/score", data={"text": "hello"}), 415, "unsupported_media_type")


def test_limits(client):
    full = [{"id": str(i), "text": "hi"} for i in range(server.MAX_MESSAGES)]
    assert len(post(client, messages=full).json()["results"]) == server.MAX_MESSAGES
    check_error(post(client, messages=[*full, full[0]]), 413, "too_many_messages")
    long = [{"id": "1", "text": "x" * (server.MAX_CHARACTERS + 1)}]
    assert "messages[0].text" in check_error(post(client, messages=long), 413, "message_too_long")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_refused(client, chunked):
    whole = b'{"messages": [' + b" " * server.MAX_BODY_BYTES
    content = (whole[i : i + 65536] for i in range(0, len(whole), 65536)) if chunked else whole
    answer = client.post("/v1/score", content=content, headers={"Content-Type": "application/json"})
    check_error(answer, 413, "body_too_large")


def test_labels_are_the_taxonomy(client, classifier):
    labels = client.get("/v1/labels").json()
    assert labels == classifier.taxonomy.to_dict()
    assert len(labels["leaves"]) == 21


def test_model_tells_thresholds_and_no_paths(client, classifier, tiny_bundle):
    about = client.get("/v1/model").json()
    assert about["version"] == classifier.version
    assert about["format"] == 1
    assert about["max_length"] == classifier.max_length
    assert set(about["operating_points"]) == {"warn", "block"}
    assert set(about["calibration"]) == {"temperature", "scam_bias"}
    assert str(tiny_bundle) not in json.dumps(about)


def test_health(client):
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").status_code == 200


def test_unknown_addresses_and_methods(client):
    check_error(client.get("/v1/zebra"), 404, "not_found")
    check_error(client.post("/v1/score/", json={}), 404, "not_found")
    answer = client.get("/v1/score")
    check_error(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


def test_api_documentation_has_examples_and_our_errors(client):
    assert client.get("/docs").status_code == 404  # its script would come from a public network
    described = client.get("/openapi.json").json()
    assert described["components"]["schemas"]["ScoreRequest"]["examples"]
    answers = described["paths"]["/v1/score"]["post"]["responses"]
    assert answers["422"]["content"]["application/json"]["schema"]["$ref"].endswith("ErrorBody")
    assert "HTTPValidationError" not in described["components"]["schemas"]


class Held:
    """A classifier whose scoring waits until it is let go."""

    def __init__(self, classifier):
        self.inner, self.go = classifier, threading.Event()

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def score(self, *args, **kwargs):
        assert self.go.wait(20)
        return self.inner.score(*args, **kwargs)


def test_health_answers_while_scoring_is_busy_and_ready_waits_for_the_first_text(classifier):
    held = Held(classifier)
    running, thread, address = start(server.create_app(held))
    try:
        assert httpx.get(f"{address}/healthz", timeout=5).status_code == 200
        check_error(httpx.get(f"{address}/readyz", timeout=5), 503, "not_ready")
        held.go.set()
        deadline = time.monotonic() + 10
        while httpx.get(f"{address}/readyz").status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        held.go.set()
        running.should_exit = True
        thread.join(10)


def forewarn_serve(*options, **environment):
    command = [sys.executable, "-m", "forewarn.inference.cli", "serve", *options]
    env = {**os.environ, **environment}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_serve_prints_a_curl_line_that_works(tiny_bundle, workers):
    process = forewarn_serve("--port", "0", "--workers", workers, "--bundle", str(tiny_bundle))
    hanging = threading.Timer(20, process.kill)
    hanging.start()
    try:
        greeting = ""
        while "/openapi.json" not in greeting:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            greeting += line
        address, body = re.search(r"curl -s (\S+) .* -d '(.*)'", greeting).groups()
        answer = httpx.post(address, content=body, headers={"Content-Type": "application/json"}, timeout=30)
        assert answer.status_code == 200
        assert len(answer.json()["results"]) == 1
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        hanging.cancel()
    assert process.returncode == 0
    assert err == ""
    assert out == ""  # no access log


def test_a_taken_port_is_one_line_and_exit_2(tiny_bundle, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert cli.main(["serve", "--port", port, "--bundle", str(tiny_bundle)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert port in error


def test_a_foreign_bundle_is_exit_3_with_workers_too(tmp_path, capsys):
    (tmp_path / "manifest.json").write_text("{}")
    assert cli.main(["serve", "--port", "0", "--workers", "2", "--bundle", str(tmp_path)]) == 3
    assert capsys.readouterr().err.count("\n") == 1


def test_workers_must_be_positive(capsys):
    assert cli.main(["serve", "--workers", "0"]) == 2
    assert "--workers" in capsys.readouterr().err
