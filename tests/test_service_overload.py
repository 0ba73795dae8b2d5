"""A service whose queue is full: what is refused before it is read, and what that does to the connection it came on."""

import gc
import http.client
import json
import logging
import socket
import threading
from contextlib import contextmanager

import pytest
from forewarn.inference.service import Settings
from test_server import Held, check_error, post, serving, wait_until
from test_service_bounds import CAMPAIGN, HEAD, TEXT, connected, in_background, messages, queue_length, read_answer

JSON = {"Content-Type": "application/json"}
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@contextmanager
def full(classifier, bundle, keep_alive_s=75, **settings):
    """A service without room for a message, and a verdict on TEXT in its cache; gives a client and the holder."""
    held = Held(classifier)
    held.go.set()
    limits = Settings(max_waiting=4, max_messages=4, deadline_ms=60_000, **settings)
    with serving(held, bundle, limits, timeout_keep_alive=keep_alive_s) as client:
        assert post(client, messages=CAMPAIGN).status_code == 200
        wait_until(lambda: client.get("/readyz").status_code == 200)
        held.go.clear()
        while held.entered.acquire(blocking=False):
            pass
        waiting = [in_background(post, client, messages=messages(1, "the model has this one"))]
        try:
            assert held.entered.acquire(timeout=10)
            waiting.append(in_background(post, client, messages=messages(4, "these wait")))
            wait_until(lambda: queue_length(client) == 4)
            yield client, held
        finally:
            held.go.set()
            assert {answer().status_code for answer in waiting} == {200}


def request(body, *headers, version="1.1"):
    """A request to score `body`, as it is sent."""
    lines = (f"POST /v1/score HTTP/{version}", *HEAD[1:3], f"Content-Length: {len(body)}", *headers)
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body


def explained(*texts):
    """The body of a request for explanations, which says so at its end."""
    asked = [{"id": str(i), "text": text} for i, text in enumerate(texts)]
    return json.dumps({"messages": asked, "explain": True}).encode()


class Answers:
    """What comes back over a connection, answer by answer."""

    def __init__(self, connection):
        self._file = connection.makefile("rb")

    def next(self):
        """Status, headers and body of the next answer; None where the service has closed the connection."""
        line = self._file.readline()
        if not line:
            return None
        headers = http.client.parse_headers(self._file)
        return int(line.split()[1]), headers, json.loads(self._file.read(int(headers["content-length"])))

    def statuses(self, number):
        """Of the next answers."""
        return [self.next()[0] for _ in range(number)]


def pause(seconds=0.05):
    """For what was sent to arrive by itself."""
    threading.Event().wait(seconds)


def refusals(client):
    [line] = [x for x in client.get("/metrics").text.splitlines() if 'route="/v1/score",status="429"' in x]
    return float(line.split()[-1])


def test_while_the_queue_is_full_requests_are_refused_before_they_are_read(tiny_classifier, tiny_bundle):
    with full(tiny_classifier, tiny_bundle) as (client, held):
        apple = {"_version": 1, "query": {"sender": "1", "message": {"text": TEXT}}, "app": {"version": "1"}}
        headers = JSON | {"X-Request-ID": "mine"}
        for path, content in (("/v1/score", b"not even JSON"), ("/v1/filter/apple", json.dumps(apple).encode())):
            refused = client.post(path, content=content, headers=headers)
            check_error(refused, 429, "overloaded")
            assert int(refused.headers["Retry-After"]) >= 1
            assert refused.headers["X-Request-ID"] == "mine"
            assert refused.headers["Cache-Control"] == "no-store"
            assert refused.headers["Content-Type"] == "application/json"
            assert "Date" in refused.headers
        counts = client.get("/metrics").text
        assert 'forewarn_requests_total{route="/v1/score",status="429"} 1.0' in counts
        assert 'forewarn_requests_total{route="/v1/filter/apple",status="429"} 1.0' in counts
        assert 'forewarn_rejected_total{reason="overloaded"} 2.0' in counts
        check_error(client.get("/v1/score"), 405, "method_not_allowed")
        held.go.set()
        wait_until(lambda: queue_length(client) == 0)
        assert post(client, messages=messages(2)).status_code == 200


def test_while_the_queue_is_full_a_campaign_is_answered_from_the_cache(tiny_classifier, tiny_bundle):
    with full(tiny_classifier, tiny_bundle) as (client, _):
        # The first few are not even looked at, until one is tried and answered.
        statuses = [post(client, messages=CAMPAIGN).status_code for _ in range(60)]
        assert statuses[0] == 429
        assert set(statuses[-10:]) == {200}
        # What is read and not answered closes the door again.
        statuses = [client.post("/v1/score", content=b"{", headers=JSON).status_code for _ in range(60)]
        assert statuses[0] == 400
        assert 429 in statuses[-10:]


def test_while_the_queue_is_full_explanations_and_streams_have_their_own(tiny_classifier, tiny_bundle):
    with full(tiny_classifier, tiny_bundle) as (client, held):
        explained = in_background(post, client, messages=messages(1, "why"), explain=True)
        assert held.entered.acquire(timeout=10)  # it is with the model
        line = json.dumps(messages(1, "a line")[0])
        stream = in_background(
            client.post, "/v1/score/stream", content=line, headers={"Content-Type": "application/x-ndjson"}
        )
        held.go.set()
        assert "evidence" in explained().json()["results"][0]
        assert "verdict" in stream().json()


def test_a_refused_request_leaves_its_connection_usable(tiny_classifier, tiny_bundle):
    with full(tiny_classifier, tiny_bundle) as (client, _), connected(client, *HEAD) as connection:
        for _ in range(2):
            connection.sendall(b" " * 50)
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 429 ")
        assert b"connection: close" not in answer.lower()
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert read_answer(connection) == (200, {"status": "ok"})


def test_a_refused_body_is_bounded(tiny_classifier, tiny_bundle):
    settings = {"max_body_bytes": 20_000, "body_timeout_s": 0.3}
    with full(tiny_classifier, tiny_bundle, **settings) as (client, _):
        with connected(client, *HEAD) as connection:  # which never comes
            status, body = read_answer(connection)  # ends, since the service closes the connection
            assert (status, body["code"]) == (429, "overloaded")
        with connected(client, *HEAD[:3], "Content-Length: 1000000000") as connection:
            connection.sendall(b" " * 30_000)
            pause()
            connection.sendall(b" " * 40_000)
            assert read_answer(connection)[0] == 413  # the application's
        with connected(client, *HEAD, "Expect: 100-continue") as connection:
            assert read_answer(connection)[0] == 429  # and not 100 first


@pytest.mark.parametrize("cut", [0, 40, -12, -5])
def test_an_explanation_may_come_in_parts(tiny_classifier, tiny_bundle, caplog, cut):
    body = explained("why is that")
    with full(tiny_classifier, tiny_bundle, body_timeout_s=0.3) as (client, held), connected(client) as connection:
        asked = request(body)
        cut = len(asked) - len(body) if cut == 0 else cut
        connection.sendall(asked[:cut])
        pause()
        connection.sendall(asked[cut:])
        assert held.entered.acquire(timeout=10)
        pause(0.5)  # the body is there: its time does not run on
        held.go.set()
        status, _, answer = Answers(connection).next()
    assert status == 200
    assert "evidence" in answer["results"][0]
    assert not [x for x in caplog.records if x.levelno >= logging.ERROR]


def test_a_large_explanation_is_not_refused(tiny_classifier, tiny_bundle):
    with full(tiny_classifier, tiny_bundle) as (client, held), connected(client) as connection:
        body = explained(*["a long story " * 3000] * 4)
        connection.sendall(request(body)[:100_000])
        pause()
        connection.sendall(request(body)[100_000:])
        assert held.entered.acquire(timeout=10)
        held.go.set()
        assert Answers(connection).next()[0] == 200


def test_requests_that_come_together_are_answered_in_their_order(tiny_classifier, tiny_bundle):
    with full(tiny_classifier, tiny_bundle) as (client, held):
        with connected(client) as connection:
            connection.sendall(request(b"{}") * 2 + HEALTH * 2)
            assert Answers(connection).statuses(4) == [429, 429, 200, 200]
        with connected(client) as connection:
            connection.sendall(request(explained("why")) + request(b"{}") + HEALTH)
            assert held.entered.acquire(timeout=10)
            pause()
            held.go.set()
            answers = Answers(connection)
            assert "evidence" in answers.next()[2]["results"][0]
            # Behind an answer that is under way a request goes to the application, which does not know its body.
            assert answers.next()[0] in (422, 429)
            assert answers.next()[0] == 200


def test_the_time_between_requests_ends_with_the_next_one(tiny_classifier, tiny_bundle):
    with full(tiny_classifier, tiny_bundle, keep_alive_s=1) as (client, held), connected(client) as connection:
        connection.sendall(request(b"{}") + request(explained("why")))
        assert held.entered.acquire(timeout=10)
        pause(1.5)
        held.go.set()
        assert Answers(connection).statuses(2) == [429, 200]
        assert connection.recv(1) == b""  # idle for a second


def test_a_chunked_body_is_refused_or_let_in_like_another(tiny_classifier, tiny_bundle):
    def chunks(body, size):
        parts = [body[i : i + size] for i in range(0, len(body), size)]
        return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"

    head = (*HEAD[:3], "Transfer-Encoding: chunked")
    with full(tiny_classifier, tiny_bundle) as (client, held), connected(client, *head) as connection:
        connection.sendall(chunks(b" " * 100, 7) + HEALTH)
        answers = Answers(connection)
        assert answers.statuses(2) == [429, 200]
        connection.sendall("\r\n".join((*head, "", "")).encode() + chunks(explained("why"), 3))
        assert held.entered.acquire(timeout=10)
        held.go.set()
        assert answers.next()[0] == 200


@pytest.mark.parametrize(
    ("asked", "last"),
    [
        (request(b"{}", "Connection: close"), True),
        (request(b"{}", version="1.0"), True),
        (request(b"{}", "Connection: keep-alive", version="1.0"), True),  # as for any other answer
        (request(b"{}", "Expect: 100-continue"), True),
        (request(b"{}", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"), False),
    ],
)
def test_a_connection_is_closed_after_a_refusal_if_the_request_says_so(tiny_classifier, tiny_bundle, asked, last):
    with full(tiny_classifier, tiny_bundle) as (client, _), connected(client) as connection:
        connection.sendall(asked)
        answers = Answers(connection)
        status, headers, _ = answers.next()
        assert status == 429
        assert (headers["Connection"] == "close") == last
        if last:
            assert answers.next() is None
        else:
            connection.sendall(HEALTH)
            assert answers.next()[0] == 200
        assert refusals(client) == 1


@pytest.mark.parametrize("target", ["/v1/%73core", "http://x/v1/score", "/v1/score?a=1"])
def test_every_way_to_write_an_address_is_refused_and_counted_once(tiny_classifier, tiny_bundle, target):
    with full(tiny_classifier, tiny_bundle) as (client, _), connected(client) as connection:
        body = json.dumps({"messages": messages(1)}).encode()
        connection.sendall(request(body).replace(b"/v1/score", target.encode()))
        assert Answers(connection).next()[0] == 429
        wait_until(lambda: refusals(client) == 1)


def test_what_is_no_http_is_answered_once(tiny_classifier, tiny_bundle, caplog):
    with full(tiny_classifier, tiny_bundle, body_timeout_s=0.2) as (client, _):
        with connected(client, *HEAD[:3], "Transfer-Encoding: chunked") as connection:
            pause()
            connection.sendall(b"rebate\r\n")  # no length of a chunk
            received = b"".join(iter(lambda: connection.recv(65536), b""))
        assert received.startswith(b"HTTP/1.1 400 ")
        assert received.count(b"HTTP/1.1") == 1
        with connected(client) as connection:
            connection.sendall(request(b"{}", "Connection: close") + b"rebate\r\n\r\n")
            received = b"".join(iter(lambda: connection.recv(65536), b""))
        assert received.startswith(b"HTTP/1.1 429 ")
        assert received.count(b"HTTP/1.1") == 1
        pause(0.3)
        assert refusals(client) == 1
    assert not [x for x in caplog.records if x.levelno >= logging.ERROR or "rebate" in x.getMessage()]


def test_a_client_that_leaves_before_it_is_refused_is_forgotten(tiny_classifier, tiny_bundle, caplog):
    with full(tiny_classifier, tiny_bundle, body_timeout_s=0.2) as (client, _):
        for half in (True, False):
            with connected(client, *HEAD) as connection:
                pause()
                if half:
                    connection.shutdown(socket.SHUT_WR)
                    assert connection.recv(1) == b""
        pause(0.3)
        assert refusals(client) == 0
    assert not [x for x in caplog.records if x.levelno >= logging.ERROR]


def test_a_service_that_stops_refuses_what_it_holds(tiny_classifier, tiny_bundle):
    with full(tiny_classifier, tiny_bundle) as (client, _):
        connection = socket.create_connection((client.base_url.host, client.base_url.port), timeout=10)
        connection.sendall(request(b" " * 100)[:-50])
        pause()
    with connection:
        status, body = read_answer(connection)
        assert (status, body["code"]) == (429, "overloaded")


def test_requests_leave_nothing_to_the_garbage_collector(tiny_classifier, tiny_bundle):
    # It comes seldom in a service; bodies that only it could free would be far more than may be held.
    body = json.dumps({"messages": messages(1)}).encode()
    with serving(tiny_classifier, tiny_bundle) as client, connected(client) as connection:
        answers = Answers(connection)
        for asked in (body, b"{", explained("why")):
            connection.sendall(request(asked))
            answers.next()
        gc.collect()
        gc.disable()
        try:
            for asked in (body, b"{", explained("why")) * 5:
                connection.sendall(request(asked))
                answers.next()
            assert gc.collect() < 15
        finally:
            gc.enable()
