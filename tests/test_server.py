"""The HTTP service on a real uvicorn server on the loopback."""

import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress

import httpx
import pytest
import uvicorn
from forewarn.inference import cli
from forewarn.inference.bundle import Bundle
from forewarn.inference.classifier import ScamClassifier
from forewarn.inference.cli_serve import listen
from forewarn.inference.errors import ForewarnError
from forewarn.inference.service import Settings, create_app, load_settings
from forewarn.inference.service.overload import RefusingProtocol

TEXTS = ["Your account is locked, verify at http://bank.example", "See you at seven, love", "Half price on shoes today"]

NDJSON = "application/x-ndjson"

LIMITS = Settings(max_messages=40, max_characters=20_000, max_body_bytes=500_000)


def wait_until(check, seconds=30):
    for _ in range(seconds * 100):
        if check():
            return
        threading.Event().wait(0.01)
    raise AssertionError("did not happen in time")


@contextmanager
def serving(classifier, bundle, settings=LIMITS, **config):
    """The service on the loopback, in a thread; gives a client of it."""
    listener = listen("127.0.0.1", 0, settings.send_timeout_s)
    app = create_app(classifier, Bundle.open(bundle).golden_vectors()[0], settings)
    running = uvicorn.Server(uvicorn.Config(app, http=RefusingProtocol, log_config=None, access_log=False, **config))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=30) as http:
            yield http
    finally:
        running.should_exit = True
        thread.join(10)


class Held:
    """A classifier whose scoring waits until it is let go; `entered` counts the batches that have come so far."""

    def __init__(self, classifier):
        self.inner, self.go, self.entered = classifier, threading.Event(), threading.Semaphore(0)

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def score(self, *args, **kwargs):
        self.entered.release()
        assert self.go.wait(20)
        return self.inner.score(*args, **kwargs)


@pytest.fixture(scope="module")
def classifier(tiny_bundle):
    return ScamClassifier.load(tiny_bundle)


@pytest.fixture(scope="module")
def client(classifier, tiny_bundle):
    with serving(classifier, tiny_bundle) as http:
        yield http


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


def test_a_sender_moves_the_risk_in_every_way_of_asking(client):
    text, foreign = "tax refund at home seven", "+44 7700 900123"
    messages = [
        {"id": "1", "text": text},
        {"id": "2", "text": text, "sender": foreign, "locale": "en-SG"},
        {"id": "3", "text": text, "sender": "SHOP", "locale": "en-SG"},
    ]
    for explain in (False, True):
        plain, hinted, named = (x["risk"] for x in post(client, messages=messages, explain=explain).json()["results"])
        assert plain == named < hinted
    lines = "\n".join(json.dumps(message) for message in messages)
    streamed = client.post("/v1/score/stream", content=lines, headers={"content-type": "application/x-ndjson"})
    risks = [json.loads(line)["risk"] for line in streamed.text.splitlines()]
    assert risks[0] == risks[2] < risks[1]


def test_explain_keeps_the_order_across_locales(client):
    locales = ["de", None, "en-GB", "de"]
    messages = [{"id": str(i), "text": TEXTS[0], "sender": "+4900", "locale": x} for i, x in enumerate(locales)]
    answer = post(client, messages=messages, explain=True)
    assert answer.status_code == 200
    assert [x["id"] for x in answer.json()["results"]] == ["0", "1", "2", "3"]
    for result in answer.json()["results"]:
        assert all(TEXTS[0][x["start"] : x["end"]] == x["text"] for x in result["evidence"])


@pytest.mark.parametrize("text", ["", "\0", "🎉🎉", "\u202eabc\u200f", "x" * LIMITS.max_characters])
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
        ({"messages": [], "locale": "zebra"}, "locale: belongs in each message"),
        ({"messages": [], "sender": "zebra"}, "sender: belongs in each message"),
        ({"messages": [{"id": "1", "text": "a", "part": 1}]}, "messages[0].part: belongs in concat"),
        ({"messages": [{"id": "1", "text": "a", "explain": True}]}, "explain: belongs in the request itself"),
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


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/v1/score", "application/json"), ("/v1/filter/apple", "application/json"), ("/v1/score/stream", NDJSON)],
)
def test_a_compressed_body_is_refused_as_such(client, path, kind):
    packed = gzip.compress(b'{"id": "1", "text": "hello"}')
    answer = client.post(path, content=packed, headers={"Content-Type": kind, "Content-Encoding": "gzip"})
    assert "Content-Encoding" in check_error(answer, 415, "unsupported_media_type")
    assert answer.headers["Accept-Encoding"] == "identity"
    plain = {"Content-Type": "application/json", "Content-Encoding": "identity"}
    assert client.post("/v1/score", content=b'{"messages": []}', headers=plain).status_code == 200


def test_limits(client):
    full = [{"id": str(i), "text": "hi"} for i in range(LIMITS.max_messages)]
    assert len(post(client, messages=full).json()["results"]) == LIMITS.max_messages
    told = check_error(post(client, messages=[*full, full[0]]), 413, "too_many_messages")
    assert f"more than {LIMITS.max_messages} messages" in told
    # A fault each would take long and much memory to tell; the first is enough.
    assert "messages[0]" in check_error(post(client, messages=[0] * LIMITS.max_messages), 422, "invalid_request")
    check_error(post(client, messages=[full[0]] * 20 * LIMITS.max_messages), 413, "too_many_messages")
    long = [{"id": "1", "text": "x" * (LIMITS.max_characters + 1)}]
    assert "messages[0].text" in check_error(post(client, messages=long), 413, "message_too_long")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_refused(client, chunked):
    whole = b'{"messages": [' + b" " * LIMITS.max_body_bytes
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
    wait_until(lambda: client.get("/readyz").status_code == 200)
    for path in ("/healthz", "/readyz"):
        answer = client.head(path)
        assert (answer.status_code, answer.content) == (200, b"")
    assert client.head("/v1/labels").status_code == 405


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


def test_health_answers_while_scoring_is_busy_and_ready_waits_for_the_golden_vector(classifier, tiny_bundle):
    held = Held(classifier)
    with serving(held, tiny_bundle) as client:
        assert client.get("/healthz").status_code == 200
        check_error(client.get("/readyz"), 503, "not_ready")
        held.go.set()
        deadline = time.monotonic() + 10
        while client.get("/readyz").status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def forewarn_serve(*options, **environment):
    command = [sys.executable, "-m", "forewarn.inference.cli", "serve", *options]
    env = {**os.environ, **environment}
    # A session of its own, so that a test that fails can end its workers too.
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, start_new_session=True
    )


def end(process):
    """Kill a server and its workers, if they are still there."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def greeting_of(process):
    """What a started server prints, up to the last line of it."""
    greeting = ""
    while "/openapi.json" not in greeting:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        greeting += line
    return greeting


@pytest.mark.parametrize("workers", ["1", "2"])
def test_serve_prints_a_curl_line_that_works(tiny_bundle, workers):
    process = forewarn_serve("--port", "0", "--workers", workers, "--bundle", str(tiny_bundle))
    hanging = threading.Timer(20, end, [process])
    hanging.start()
    try:
        address, body = re.search(r"curl -s (\S+) .* -d '(.*)'", greeting_of(process)).groups()
        answer = httpx.post(address, content=body, headers={"Content-Type": "application/json"}, timeout=30)
        assert answer.status_code == 200
        assert len(answer.json()["results"]) == 1
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        hanging.cancel()
    assert process.returncode == 0
    assert out == ""
    events = [json.loads(line)["event"] for line in err.splitlines()]
    assert "ready" in events
    assert "request" not in events  # what went well is counted, not logged


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


def test_a_wrong_setting_is_one_line_and_exit_2(tmp_path, capsys, monkeypatch):
    file = tmp_path / "service.toml"
    for content, names in [
        ("max_batch = 0", f"{file}: max_batch: "),
        ('deadline_ms = "soon"', f"{file}: deadline_ms: "),
        ("max_bach = 9", f"{file}: max_bach is not a setting; did you mean max_batch?"),
        ("zebra = 9", "one of bundle, "),
        ("max_waiting = 3", "max_messages"),
        ("=", "TOML"),
    ]:
        file.write_text(content)
        assert cli.main(["serve", "--port", "0", "--config", str(file)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert names in error and "FOREWARN_" not in error
    assert cli.main(["serve", "--config", str(tmp_path / "none.toml")]) == 2
    monkeypatch.setenv("FOREWARN_DEADLINE_MS", "soon")
    assert cli.main(["serve", "--port", "0"]) == 2
    assert "FOREWARN_DEADLINE_MS" in capsys.readouterr().err
    file.write_text("deadline_ms = 100")
    assert cli.main(["serve", "--port", "0", "--config", str(file)]) == 2
    assert "FOREWARN_DEADLINE_MS" in capsys.readouterr().err


def test_a_variable_that_is_no_setting_is_refused_with_the_nearest_that_is(capsys, monkeypatch):
    # The names that Kubernetes gives a service called forewarn, or forewarn-api.
    for name, value in {
        "SERVICE_HOST": "10.0.0.7",
        "SERVICE_PORT_HTTP": "8000",
        "PORT": "tcp://10.0.0.7:8000",
        "PORT_8000_TCP_ADDR": "10.0.0.7",
        "API_PORT_8000_TCP": "tcp://10.0.0.7:8000",
        "API_SERVICE_PORT": "8000",
    }.items():
        monkeypatch.setenv(f"FOREWARN_{name}", value)
    monkeypatch.setenv("FOREWARN_TEXT", "/texts")
    monkeypatch.setenv("FOREWARN_CONFIG", "")
    load_settings()
    with pytest.raises(ForewarnError, match="^max_bach is not a setting; did you mean max_batch"):
        load_settings(max_bach=9)
    monkeypatch.setenv("FOREWARN_PORT", "9000")
    with pytest.raises(ForewarnError, match="FOREWARN_PORT in the environment is not a setting; one of FOREWARN_"):
        load_settings()
    monkeypatch.delenv("FOREWARN_PORT")
    monkeypatch.setenv("FOREWARN_MAX_WATING", "4")
    assert cli.main(["serve", "--port", "0"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "FOREWARN_MAX_WATING" in error and "did you mean FOREWARN_MAX_WAITING?" in error


def test_settings_come_from_the_file_and_the_environment_goes_first(tmp_path, monkeypatch):
    file = tmp_path / "service.toml"
    file.write_text('max_batch = 8\ncache_bytes = 0\napple_app_ids = ["TEAM.a"]')
    monkeypatch.setenv("FOREWARN_MAX_BATCH", "16")
    monkeypatch.setenv("FOREWARN_MIRROR", "/not/a/setting/of/the/service")
    settings = load_settings(file)
    assert (settings.max_batch, settings.cache_bytes, settings.apple_app_ids) == (16, 0, ["TEAM.a"])
    monkeypatch.setenv("FOREWARN_APPLE_APP_IDS", "TEAM.a, TEAM.b")
    assert load_settings(file).apple_app_ids == ["TEAM.a", "TEAM.b"]


def test_the_library_imports_without_the_extra():
    code = "import sys, forewarn.inference as f; f.ScamClassifier; print({'fastapi', 'pydantic'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
