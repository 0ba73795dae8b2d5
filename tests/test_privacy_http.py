"""Marked text goes through every path of the HTTP service; no error body, log or output may hold the mark."""

import json
import logging
import socket
import threading

import httpx
import pytest
import uvicorn
from forewarn.inference import server
from forewarn.inference.classifier import ScamClassifier

MARK = "zq7marked"
TEXT = f"Dear {MARK}, your card is blocked, call +1 555 0100"
# The test's own client logs the addresses that it asks for; the service is what is on trial.
CLIENT_LOGGERS = ("httpx", "httpcore")


@pytest.fixture
def classifier(tiny_bundle):
    return ScamClassifier.load(tiny_bundle)


@pytest.fixture
def client(classifier, caplog):
    caplog.set_level(logging.DEBUG)
    listener = socket.create_server(("127.0.0.1", 0))
    # log_config=None: uvicorn's loggers then propagate to the root, where caplog listens at DEBUG.
    config = uvicorn.Config(server.create_app(classifier), log_config=None, log_level="debug", access_log=False)
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=30) as http:
        yield http
    running.should_exit = True
    thread.join(10)


def written(caplog, capfd) -> str:
    """Everything that was logged (message, arguments, traceback) or printed."""
    formatter = logging.Formatter("%(name)s %(message)s")
    everything = caplog.get_records("setup") + caplog.get_records("call")
    records = [x for x in everything if not x.name.startswith(CLIENT_LOGGERS)]
    assert any(x.name.startswith("uvicorn") for x in records), "the capture does not see the server's loggers"
    return "\n".join([*(f"{formatter.format(x)} {x.args!r}" for x in records), *capfd.readouterr()])


def message(**changes):
    return {"id": MARK, "text": TEXT, "sender": f"+{MARK}", "locale": "en", **changes}


@pytest.mark.parametrize("explain", [False, True])
def test_success_leaves_no_trace(client, caplog, capfd, explain):
    body = {"messages": [message()], "explain": explain}
    assert client.post("/v1/score", json=body).status_code == 200
    assert MARK not in written(caplog, capfd)


JSON = {"Content-Type": "application/json"}
BAD_REQUESTS = {
    "a field of the wrong type": (422, json.dumps({"messages": [message(text=[TEXT])]}), JSON),
    "an unknown field": (422, json.dumps({"messages": [message(**{MARK: TEXT})]}), JSON),
    "an unknown top-level field": (422, json.dumps({"messages": [], MARK: TEXT}), JSON),
    "text instead of messages": (422, json.dumps({"messages": TEXT}), JSON),
    "a bare string": (422, json.dumps(TEXT), JSON),
    "a wrong flag": (422, json.dumps({"messages": [message()], "explain": TEXT}), JSON),
    "a lone surrogate in the id": (422, json.dumps({"messages": [message(id=MARK + "\ud800")]}), JSON),
    "a long locale": (422, json.dumps({"messages": [message(locale=MARK * 9)]}), JSON),
    "a long text": (413, json.dumps({"messages": [message(text=MARK * 20_000)]}), JSON),
    "too many messages": (413, json.dumps({"messages": [message()] * (server.MAX_MESSAGES + 1)}), JSON),
    "a large body": (413, (TEXT * (server.MAX_BODY_BYTES // len(TEXT) + 1)), JSON),
    "broken JSON": (400, f'{{"messages": [{{"id": "{MARK}", "text": "{TEXT}', JSON),
    "bytes that are not UTF-8": (400, json.dumps(TEXT).encode() + b"\xff", JSON),
    "a form": (415, f"text={MARK}", {"Content-Type": "application/x-www-form-urlencoded"}),
    "a marked content type": (415, TEXT, {"Content-Type": f"text/{MARK}"}),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_refused_requests_leave_no_trace(client, caplog, capfd, name):
    status, content, headers = BAD_REQUESTS[name]
    answer = client.post("/v1/score", content=content, headers=headers)
    assert answer.status_code == status
    assert set(answer.json()) == {"status", "code", "message"}
    assert MARK not in answer.text and MARK not in str(answer.headers)
    assert MARK not in written(caplog, capfd)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", f"/{MARK}", 404), ("POST", f"/v1/score/?text={MARK}", 404), ("GET", f"/v1/score?text={MARK}", 405)],
)
def test_wrong_addresses_leave_no_trace(client, caplog, capfd, method, path, status):
    answer = client.request(method, path)
    assert answer.status_code == status
    assert MARK not in answer.text and MARK not in str(answer.headers)
    assert MARK not in written(caplog, capfd)


def test_a_crash_leaves_its_type_and_place_but_not_the_text(client, classifier, caplog, capfd, monkeypatch):
    def crash(texts, *args, **kwargs):
        try:
            raise KeyError(texts[0])
        except KeyError as error:
            raise ValueError(f"cannot score {texts[0]!r}") from error

    assert client.get("/readyz").status_code == 200
    monkeypatch.setattr(classifier, "score", crash)
    answer = client.post("/v1/score", json={"messages": [message()]})
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert MARK not in answer.text
    output = written(caplog, capfd)
    assert "ValueError at" in output and "test_privacy_http.py:" in output
    assert MARK not in output
    monkeypatch.undo()
    assert client.post("/v1/score", json={"messages": [message()]}).status_code == 200
