"""Marked text goes through every path of the HTTP service; no error body, log or output may hold the mark."""

import contextlib
import io
import json
import logging
import os
import shutil
import subprocess
import sys

import pytest
from forewarn.inference.classifier import ScamClassifier
from forewarn.inference.service import Settings
from forewarn.inference.service.keys import new_key
from forewarn.inference.service.keys_store import open_store
from forewarn.inference.service.logs import JsonFormatter
from test_server import Held, serving, wait_until
from test_service_bounds import connected, in_background, queue_length, read_answer
from test_service_parts import part
from test_service_stores import free_port
from test_service_tracing import PARENT, TRACE, collecting

MARK = "zq7marked"
TEXT = f"Dear {MARK}, your card is blocked, call +1 555 0100"
LIMITS = Settings(max_messages=20, max_characters=5000, max_body_bytes=100_000)
# The test's own client logs the addresses that it asks for; the service is what is on trial.
CLIENT_LOGGERS = ("httpx", "httpcore")
JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
def classifier(tiny_bundle):
    return ScamClassifier.load(tiny_bundle)


@pytest.fixture
def json_log():
    """What the service's own log handler writes, from the debug level on."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(lambda record: not record.name.startswith(CLIENT_LOGGERS))
    logging.getLogger().addHandler(handler)
    yield written
    logging.getLogger().removeHandler(handler)


@pytest.fixture
def client(classifier, tiny_bundle, caplog, json_log):
    caplog.set_level(logging.DEBUG)
    # uvicorn's loggers propagate to the root, where caplog listens at DEBUG.
    with serving(classifier, tiny_bundle, LIMITS, log_level="debug") as http:
        yield http


def written(caplog, capfd, json_log) -> str:
    """Everything that was logged (message, arguments, fields, traceback) or printed."""
    formatter = logging.Formatter("%(name)s %(message)s")
    everything = caplog.get_records("setup") + caplog.get_records("call")
    records = [x for x in everything if not x.name.startswith(CLIENT_LOGGERS)]
    assert any(x.name.startswith("uvicorn") for x in records), "the capture does not see the server's loggers"
    raw = [f"{formatter.format(x)} {x.args!r} {getattr(x, 'fields', '')}" for x in records]
    return "\n".join([*raw, json_log.getvalue(), *capfd.readouterr()])


def nothing_of_it(client, caplog, capfd, json_log) -> bool:
    """Whether neither the logs nor the metrics hold the mark."""
    return MARK not in written(caplog, capfd, json_log) and MARK not in client.get("/metrics").text


def message(**changes):
    return {"id": MARK, "text": TEXT, "sender": f"+{MARK}", "locale": "en", **changes}


@pytest.mark.parametrize("explain", [False, True])
def test_success_leaves_no_trace(client, caplog, capfd, json_log, explain):
    body = {"messages": [message()], "explain": explain}
    assert client.post("/v1/score", json=body).status_code == 200
    assert nothing_of_it(client, caplog, capfd, json_log)


def apple(text=TEXT, **changes):
    return {
        "_version": 1,
        "query": {"sender": f"+{MARK}", "message": {"text": text}},
        "app": {"version": "1"},
        **changes,
    }


def test_the_iphone_filter_leaves_no_trace(client, caplog, capfd, json_log):
    for body, status in [(apple(), 200), (apple([TEXT]), 422), (apple(MARK * 1000), 413), (apple(_version=TEXT), 422)]:
        answer = client.post("/v1/filter/apple", json=body)
        assert answer.status_code == status
        assert MARK not in answer.text
    assert nothing_of_it(client, caplog, capfd, json_log)


def test_a_stream_gives_back_ids_and_leaves_no_trace(client, caplog, capfd, json_log):
    values = [message(), TEXT, {MARK: TEXT}, message(text=MARK * 1000)]
    content = "\n".join([*map(json.dumps, values), MARK * 20_000, TEXT])
    answer = client.post(f"/v1/score/stream?{MARK}={MARK}", content=content, headers=NDJSON)
    first, *errors = [json.loads(line) for line in answer.text.splitlines()]
    assert first["id"] == MARK  # the caller's own, and the only place
    assert [x["status"] for x in errors] == [422, 422, 413, 413, 400]
    assert MARK not in json.dumps(errors)
    assert client.post("/v1/score/stream", content=TEXT, headers={"Content-Type": MARK}).status_code == 415
    assert nothing_of_it(client, caplog, capfd, json_log)


def test_a_full_queue_and_a_passed_deadline_leave_no_trace(classifier, tiny_bundle, caplog, capfd, json_log):
    caplog.set_level(logging.DEBUG)
    held = Held(classifier)
    with serving(held, tiny_bundle, Settings(max_waiting=2, max_messages=2), log_level="debug") as client:
        assert held.entered.acquire(timeout=10)
        body = {"messages": [message(), message(text=TEXT + TEXT)]}
        waiting = in_background(client.post, "/v1/score", json=body)
        wait_until(lambda: queue_length(client) == 2)
        refused = client.post("/v1/score", json=body)
        assert refused.status_code == 429
        late = client.post("/v1/score", json={**body, "explain": True}, headers={"X-Request-Deadline-Ms": "20"})
        assert late.status_code == 504
        assert MARK not in refused.text + late.text + str(refused.headers) + str(late.headers)
        held.go.set()
        assert waiting().status_code == 200
        assert nothing_of_it(client, caplog, capfd, json_log)


@pytest.mark.parametrize("path", ["/v1/score", "/v1/score/stream", "/v1/filter/apple"])
def test_a_slow_client_and_one_that_leaves_leave_no_trace(classifier, tiny_bundle, caplog, capfd, json_log, path):
    caplog.set_level(logging.DEBUG)
    kind = NDJSON if "stream" in path else JSON
    head = (f"POST {path} HTTP/1.1", "Host: x", f"Content-Type: {kind['Content-Type']}", "Content-Length: 1000")
    with serving(classifier, tiny_bundle, Settings(body_timeout_s=0.5), log_level="debug") as client:
        with connected(client, *head, "Connection: close", "Expect: 100-continue") as connection:
            assert b"100 Continue" in connection.recv(100)
            connection.sendall(json.dumps(message()).encode())
            if "stream" in path:
                received = b"".join(iter(lambda: connection.recv(65536), b""))
                assert b"read_timeout" in received and MARK.encode() not in received
            else:
                status, body = read_answer(connection)
                assert status == 408 and MARK not in json.dumps(body)
        with connected(client, *head, f"X-Request-ID: {MARK} {TEXT}") as connection:
            connection.sendall(json.dumps(message()).encode())
        assert nothing_of_it(client, caplog, capfd, json_log)


@pytest.fixture
def keys(tmp_path):
    """A store of keys, and three of them: for scoring, for metrics, and for one message a minute; and one revoked."""
    with contextlib.closing(open_store(f"sqlite:///{tmp_path}/keys.db")) as store:
        made = {
            "score": new_key(MARK),
            "metrics": new_key(MARK, ["metrics"]),
            "slow": new_key(MARK, per_minute=1),
            "revoked": new_key(MARK),
        }
        for key, _ in made.values():
            store.add(key)
        store.revoke(made["revoked"][0].id)
    return f"sqlite:///{tmp_path}/keys.db", {name: token for name, (_, token) in made.items()}


def marked_part(number, **changes):
    """A part of a message, with marks wherever there may be text."""
    concat = {"recipient": f"+{MARK}", **changes.pop("concat", {})}
    return part(number, f"{TEXT} {number}", concat=concat, **{"id": MARK, "sender": f"+{MARK}", **changes})


def test_parts_of_messages_leave_no_trace(classifier, tiny_bundle, caplog, capfd, json_log):
    caplog.set_level(logging.DEBUG)
    wrong = [
        marked_part(1, encoding=MARK),
        marked_part(1, concat={MARK: TEXT}),
        marked_part(1, concat={"part": 7}),
        marked_part(1, concat={"reference": TEXT}),
        marked_part(1, concat={"recipient": MARK * 40}),
        marked_part(1, sender=None),
        {**marked_part(1), "text": MARK * 20},
    ]
    with serving(classifier, tiny_bundle, Settings(parts_wait_s=1), log_level="debug") as client:
        for value in wrong:
            answers = client.post("/v1/score", json={"messages": [value]}).text
            answers += client.post("/v1/score/stream", content=json.dumps(value), headers=NDJSON).text
            assert answers.count("invalid_request") == 2 and MARK not in answers
        waiting = client.post("/v1/score", json={"messages": [marked_part(1), marked_part(3)]}).json()["results"]
        assert waiting == [{"id": MARK, "status": "waiting", "seen": 2, "parts": 3}] * 2
        assert client.post("/v1/score", json={"messages": [marked_part(2)]}).json()["results"][0]["verdict"]
        assert client.post("/v1/score", json={"messages": [marked_part(1, reference=8)]}).status_code == 200
        wait_until(lambda: 'parts_lost_total{reason="expired"} 1.0' in client.get("/metrics").text)
        assert nothing_of_it(client, caplog, capfd, json_log)


def test_traces_hold_nothing_of_a_request(classifier, tiny_bundle, caplog, capfd, json_log, keys, monkeypatch):
    caplog.set_level(logging.DEBUG)
    url, tokens = keys
    with collecting() as (collector, endpoint):
        # What FastAPI would send of its own if it were let.
        monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.removesuffix("/v1/traces"))
        settings = Settings(keys=url, traces=endpoint, max_characters=5000)
        with serving(classifier, tiny_bundle, settings, log_level="debug") as client:
            client.headers["traceparent"] = f"00-{TRACE}-{PARENT}-01"
            for name in ("tracestate", "baggage"):
                client.headers[name] = f"{MARK}={MARK}"
            client.headers["User-Agent"] = MARK
            for name in ("score", "slow", "metrics", "revoked"):
                list(requests_to_every_address(client, f"Bearer {tokens[name]}"))
            client.headers["Authorization"] = f"Bearer {tokens['score']}"
            for name in BAD_REQUESTS:
                status, content, given = BAD_REQUESTS[name]
                client.post(f"/v1/score?{MARK}", content=content, headers=given)
            client.get(f"/{MARK}?{MARK}")
            client.request(MARK.upper(), f"/{MARK}")
            client.post("/v1/score", json={"messages": [marked_part(1), message()], "explain": True})

            def crash(texts, *args, **kwargs):
                raise ValueError(f"cannot score {texts[0]!r}")

            monkeypatch.setattr(classifier, "score", crash)
            assert client.post("/v1/score", json={"messages": [message(text=TEXT * 2)]}).status_code == 500
            client.post("/v1/score/stream", content=json.dumps(message(text=TEXT * 3)), headers=NDJSON)
        told = collector.everything()
        named = {x.name for x in collector.spans()}
    assert named == {"/v1/score", "/v1/score/stream", "/v1/filter/apple", "other", "queue", "inference"}
    marks = [MARK, MARK.upper(), "card is blocked", *(x for token in tokens.values() for x in token.split("_", 2)[1:])]
    assert not [mark for mark in marks if mark in told]
    assert "ValueError" not in told and "127.0.0.1" not in told.replace(f"Host: {endpoint.split('/')[2]}", "")
    logs = written(caplog, capfd, json_log)
    assert "trace_id" in logs
    assert not [mark for mark in marks if mark in logs]


def requests_to_every_address(client, authorization):
    """Marked texts with a header: the answers of everything that takes texts."""
    headers = {"Authorization": authorization} if authorization else {}
    values = (("/v1/score", {"messages": [message()]}, JSON), ("/v1/filter/apple", apple(), JSON))
    for path, value, kind in (*values, ("/v1/score/stream", message(), NDJSON)):
        yield client.post(path, content=json.dumps(value), params={MARK: MARK}, headers={**kind, **headers})


def test_keys_and_what_they_are_refused_leave_no_trace(
    classifier, tiny_bundle, caplog, capfd, json_log, keys, tmp_path
):
    caplog.set_level(logging.DEBUG)
    url, tokens = keys
    # What of a key may never be seen again: its ID too.
    marks = [MARK, *(part for token in tokens.values() for part in token.split("_", 2)[1:])]
    asked = [
        (None, {401}),
        (f"Bearer {MARK}", {401}),
        (f"Basic {MARK}", {401}),
        (f"Bearer fw_{'0' * 12}_{MARK:x<43}", {401}),
        (f"Bearer {tokens['revoked']}", {401}),
        (f"Bearer {tokens['metrics']}", {403}),
        (f"Bearer {tokens['score']}", {200}),
        (f"Bearer {tokens['slow']}", {200, 429}),
    ]
    with serving(classifier, tiny_bundle, Settings(keys=url, keys_refresh_s=0.2), log_level="debug") as client:
        texts = []
        for authorization, statuses in asked:
            answers = list(requests_to_every_address(client, authorization))
            assert {x.status_code for x in answers} == statuses
            # The caller's own id comes back with a verdict, and nothing else.
            texts += [
                f"{x.headers} {x.text.replace(json.dumps({'id': MARK})[1:-1].replace(' ', ''), '')}" for x in answers
            ]
        texts.append(client.get("/metrics", headers={"Authorization": f"Bearer {tokens['metrics']}"}).text)
        assert "rate_limited" in texts[-1] and "scope_missing" in texts[-1] and "key_invalid" in texts[-1]
    texts.append(written(caplog, capfd, json_log))
    assert "key_missing" in texts[-1]
    assert not [mark for mark in marks for text in texts if mark in text]
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert not [token for token in tokens.values() if token.split("_", 2)[2].encode() in stored]
    assert TEXT.encode() not in stored and b"+" + MARK.encode() not in stored


def test_a_store_that_is_down_leaves_no_trace(classifier, tiny_bundle, caplog, capfd, json_log):
    caplog.set_level(logging.DEBUG)
    _, token = new_key(MARK)
    url = f"redis://{MARK}:{MARK}@127.0.0.1:{free_port()}/0"
    with serving(classifier, tiny_bundle, Settings(keys=url, keys_refresh_s=0.2), log_level="debug") as client:
        answers = list(requests_to_every_address(client, f"Bearer {token}"))
        assert {x.status_code for x in answers} == {503}
        told = "".join(f"{x.headers} {x.text}" for x in answers) + client.get("/readyz").text
    told += written(caplog, capfd, json_log)
    assert "store_unavailable" in told and "the keys could not be read" in told
    assert not [mark for mark in (MARK, *token.split("_", 2)[1:]) if mark in told]


def test_a_change_of_the_model_and_a_shadow_leave_no_trace(classifier, tiny_bundle, caplog, capfd, json_log, tmp_path):
    caplog.set_level(logging.DEBUG)
    bundles = tmp_path / MARK
    damaged = shutil.copytree(tiny_bundle, bundles / f"{MARK}-damaged")
    (damaged / "model.onnx").write_bytes(TEXT.encode())
    shutil.copytree(tiny_bundle, bundles / f"{MARK}-good")
    address, settings = "/v1/admin/model", Settings(bundle=bundles / f"{MARK}-good", bundles=bundles)
    bodies = [
        ({"bundle": f"{MARK}-damaged"}, 422),
        ({"bundle": f"../{MARK}"}, 422),
        ({"bundle": TEXT}, 422),
        ({"bundle": None, MARK: TEXT}, 422),
        ({"bundle": None, "shadow": TEXT}, 422),
        ({"bundle": MARK * 1000}, 422),
        ({"bundle": f"{MARK}-good", "shadow": 1}, 200),
    ]
    with serving(classifier, tiny_bundle, settings, log_level="debug") as client:
        for body, status in bodies:
            answer = client.post(address, json=body, params={MARK: MARK})
            assert answer.status_code == status
            assert MARK not in answer.text and MARK not in str(answer.headers)
        assert client.post(address, content=TEXT, headers={"Content-Type": MARK}).status_code == 415
        assert client.post(address, content=TEXT, headers=JSON).status_code == 400
        for explain in (False, True):
            assert client.post("/v1/score", json={"messages": [message()], "explain": explain}).status_code == 200
        wait_until(lambda: client.get(address).json()["shadow"]["messages"] == 2)
        told = client.get(address).text + client.delete(address).text
        assert MARK not in told
        assert nothing_of_it(client, caplog, capfd, json_log)


def test_a_shadow_that_crashes_leaves_its_type_and_place_but_not_the_text(
    classifier, tiny_bundle, caplog, capfd, json_log, monkeypatch
):
    caplog.set_level(logging.DEBUG)
    with serving(classifier, tiny_bundle, Settings(bundle=tiny_bundle), log_level="debug") as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        answer = client.post("/v1/admin/model", json={"bundle": None, "shadow": 1})
        assert answer.status_code == 200

        def crash(self, texts, *args, **kwargs):
            raise ValueError(f"cannot score {texts[0]!r}")

        running = classifier.score
        monkeypatch.setattr(ScamClassifier, "score", crash)
        monkeypatch.setattr(classifier, "score", running)  # the model that answers is not the one that fails
        assert client.post("/v1/score", json={"messages": [message()]}).status_code == 200
        wait_until(lambda: client.get("/v1/admin/model").json()["shadow"]["dropped"] == 1)
        output = written(caplog, capfd, json_log)
        assert "the shadow failed" in output and "ValueError at" in output
        assert MARK not in output
        assert nothing_of_it(client, caplog, capfd, json_log)


BAD_REQUESTS = {
    "a field of the wrong type": (422, json.dumps({"messages": [message(text=[TEXT])]}), JSON),
    "an unknown field": (422, json.dumps({"messages": [message(**{MARK: TEXT})]}), JSON),
    "an unknown top-level field": (422, json.dumps({"messages": [], MARK: TEXT}), JSON),
    "text instead of messages": (422, json.dumps({"messages": TEXT}), JSON),
    "a bare string": (422, json.dumps(TEXT), JSON),
    "a wrong flag": (422, json.dumps({"messages": [message()], "explain": TEXT}), JSON),
    "a lone surrogate in the id": (422, json.dumps({"messages": [message(id=MARK + "\ud800")]}), JSON),
    "a long locale": (422, json.dumps({"messages": [message(locale=MARK * 9)]}), JSON),
    "a long text": (413, json.dumps({"messages": [message(text=MARK * 1000)]}), JSON),
    "too many messages": (413, json.dumps({"messages": [message()] * (LIMITS.max_messages + 1)}), JSON),
    "a large body": (413, (TEXT * (LIMITS.max_body_bytes // len(TEXT) + 1)), JSON),
    "broken JSON": (400, f'{{"messages": [{{"id": "{MARK}", "text": "{TEXT}', JSON),
    "bytes that are not UTF-8": (400, json.dumps(TEXT).encode() + b"\xff", JSON),
    "a marked deadline": (422, json.dumps({"messages": []}), {**JSON, "X-Request-Deadline-Ms": MARK}),
    "a form": (415, f"text={MARK}", {"Content-Type": "application/x-www-form-urlencoded"}),
    "a marked content type": (415, TEXT, {"Content-Type": f"text/{MARK}"}),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_refused_requests_leave_no_trace(client, caplog, capfd, json_log, name):
    status, content, headers = BAD_REQUESTS[name]
    answer = client.post("/v1/score", content=content, headers=headers)
    assert answer.status_code == status
    assert set(answer.json()) == {"status", "code", "message"}
    assert MARK not in answer.text and MARK not in str(answer.headers)
    assert nothing_of_it(client, caplog, capfd, json_log)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", f"/{MARK}", 404), ("POST", f"/v1/score/?text={MARK}", 404), ("GET", f"/v1/score?text={MARK}", 405)],
)
def test_wrong_addresses_leave_no_trace(client, caplog, capfd, json_log, method, path, status):
    answer = client.request(method, path)
    assert answer.status_code == status
    assert MARK not in answer.text and MARK not in str(answer.headers)
    assert nothing_of_it(client, caplog, capfd, json_log)


def test_a_crash_leaves_its_type_and_place_but_not_the_text(client, classifier, caplog, capfd, json_log, monkeypatch):
    def crash(texts, *args, **kwargs):
        try:
            raise KeyError(texts[0])
        except KeyError as error:
            raise ValueError(f"cannot score {texts[0]!r}") from error

    wait_until(lambda: client.get("/readyz").status_code == 200)
    monkeypatch.setattr(classifier, "score", crash)
    answer = client.post("/v1/score", json={"messages": [message()]})
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert MARK not in answer.text
    output = written(caplog, capfd, json_log)
    assert "ValueError at" in output and "test_privacy_http.py:" in output
    assert MARK not in output
    for path, content, headers, status in [
        ("/v1/score", json.dumps({"messages": [message()], "explain": True}), JSON, 500),
        ("/v1/filter/apple", json.dumps(apple()), JSON, 500),
        ("/v1/score/stream", json.dumps(message()), NDJSON, 200),
    ]:
        answer = client.post(path, content=content, headers=headers)
        assert answer.status_code == status and "internal_error" in answer.text
        assert MARK not in answer.text
    assert nothing_of_it(client, caplog, capfd, json_log)
    monkeypatch.undo()
    assert client.post("/v1/score", json={"messages": [message()]}).status_code == 200


def test_the_runtime_neither_sends_nor_writes_anything(tiny_bundle, tmp_path):
    # ONNX Runtime's telemetry leaves a file in the temporary folder as soon as it is on.
    code = f"from forewarn.inference import ScamClassifier as C; C.load({str(tiny_bundle)!r}).score(['{TEXT}'])"
    given = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", code], check=True, env={**given, "TMPDIR": str(tmp_path)})
    assert not list(tmp_path.iterdir())
