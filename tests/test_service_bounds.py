"""Limits on a running service: queue, memory, deadlines, slow clients. The model is held where it must be busy."""

import contextlib
import json
import socket
import threading
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from forewarn.inference.service import Settings
from test_server import Held, check_error, post, serving, wait_until

TEXT = "Claim your tax rebate today or it expires"
CAMPAIGN = [{"id": "1", "text": TEXT}]
HEAD = ("POST /v1/score HTTP/1.1", "Host: x", "Content-Type: application/json", "Content-Length: 100")


def messages(number, text=TEXT):
    return [{"id": str(i), "text": f"{text} {i}"} for i in range(number)]


@contextmanager
def connected(client, *lines):
    """A bare connection with the head of a request sent over it."""
    where = urlsplit(str(client.base_url))
    with socket.create_connection((where.hostname, where.port), timeout=10) as connection:
        connection.sendall("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n")
        yield connection


def read_answer(connection):
    """Status and body of the answer, when the service closes the connection after it."""
    received = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def in_background(function, *args, **kwargs):
    """Call in a thread; gives a function that waits for the result."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function(*args, **kwargs)), daemon=True)
    thread.start()

    def result():
        thread.join(10)
        return results[0]

    return result


@contextmanager
def busy(classifier, bundle, **settings):
    """A service whose model is held; gives a client and the holder."""
    held = Held(classifier)
    try:
        with serving(held, bundle, Settings(**settings)) as client:
            assert held.entered.acquire(timeout=10)  # the golden vector is with the model
            yield client, held
    finally:
        held.go.set()


def queue_length(client):
    [line] = [x for x in client.get("/metrics").text.splitlines() if x.startswith('forewarn_queue_messages{lane="sc')]
    return float(line.split()[-1])


def test_over_the_queue_limit_a_request_is_refused_whole_and_the_others_are_answered(tiny_classifier, tiny_bundle):
    with busy(tiny_classifier, tiny_bundle, max_waiting=10, max_messages=10) as (client, held):
        waiting = in_background(post, client, messages=messages(8))
        wait_until(lambda: queue_length(client) == 8)
        refused = post(client, messages=messages(3, "another text"))
        check_error(refused, 429, "overloaded")
        assert int(refused.headers["Retry-After"]) >= 1
        assert queue_length(client) == 8
        held.go.set()
        assert len(waiting().json()["results"]) == 8
        assert post(client, messages=messages(3, "another text")).status_code == 200


def test_explanations_do_not_hold_up_others_and_are_not_held_up(tiny_classifier, tiny_bundle):
    class HeldExplanations(Held):
        def score(self, texts, explain=False, locale=None, senders=None):
            return super().score(texts, explain, locale, senders) if explain else self.inner.score(texts)

    held = HeldExplanations(tiny_classifier)
    with serving(held, tiny_bundle, Settings()) as client:
        slow = in_background(post, client, messages=messages(6), explain=True)
        assert held.entered.acquire(timeout=10)
        assert post(client, messages=messages(6)).status_code == 200
        held.go.set()
        assert all("evidence" in x for x in slow().json()["results"])


def test_a_request_past_its_deadline_is_answered_and_leaves_the_queue(tiny_classifier, tiny_bundle):
    with busy(tiny_classifier, tiny_bundle) as (client, _):
        late = client.post("/v1/score", json={"messages": messages(5)}, headers={"X-Request-Deadline-Ms": "30"})
        check_error(late, 504, "deadline_exceeded")
        assert queue_length(client) == 0
        apple = {"_version": 1, "query": {"sender": "1", "message": {"text": TEXT}}, "app": {"version": "1"}}
        late = client.post("/v1/filter/apple", json=apple, headers={"X-Request-Deadline-Ms": "30"})
        check_error(late, 504, "deadline_exceeded")


def test_the_default_deadline_is_a_setting(tiny_classifier, tiny_bundle):
    with busy(tiny_classifier, tiny_bundle, deadline_ms=30) as (client, held):
        check_error(post(client, messages=messages(1)), 504, "deadline_exceeded")


@pytest.mark.parametrize("value", ["0", "-5", "soon", "1.5", "99999999999", ""])
def test_a_deadline_that_is_no_number_is_refused(tiny_classifier, tiny_bundle, value):
    with serving(tiny_classifier, tiny_bundle) as client:
        answer = client.post("/v1/score", json={"messages": []}, headers={"X-Request-Deadline-Ms": value})
        assert "X-Request-Deadline-Ms" in check_error(answer, 422, "invalid_request")


def test_a_body_that_does_not_arrive_is_given_up(tiny_classifier, tiny_bundle):
    with serving(tiny_classifier, tiny_bundle, Settings(body_timeout_s=0.5)) as client:
        with connected(client, *HEAD) as connection:
            connection.sendall(b'{"messages": [')
            status, body = read_answer(connection)  # ends, since the service closes the connection
        assert (status, body["code"]) == (408, "read_timeout")
        with connected(client, *HEAD, "X-Request-Deadline-Ms: 10") as connection:
            assert read_answer(connection)[0] == 504


def test_all_bodies_together_are_bounded(tiny_classifier, tiny_bundle):
    settings = Settings(max_body_bytes=20_000, max_held_bytes=30_000, max_characters=20_000, body_timeout_s=5)
    large = b" " * 15_000 + b'{"messages": []}'
    headers = {"Content-Type": "application/json"}
    with serving(tiny_classifier, tiny_bundle, settings) as client:
        head = (*HEAD[:3], "Content-Length: 19000")
        with connected(client, *head, "Expect: 100-continue") as connection:
            assert b"100 Continue" in connection.recv(100)
            connection.sendall(b" " * 18_000)
            wait_until(lambda: client.post("/v1/score", content=large, headers=headers).status_code == 429)
        # The one that held the memory has gone away.
        wait_until(lambda: client.post("/v1/score", content=large, headers=headers).status_code == 200)


def test_a_client_that_does_not_read_is_dropped(tiny_classifier, tiny_bundle):
    head = ("POST /v1/score/stream HTTP/1.1", "Host: x", "Content-Type: application/x-ndjson")
    lines = (json.dumps({"id": "i" * 200, "text": "hi"}).encode() + b"\n") * 1000

    def send(connection):
        # Far more than all buffers between the two take; without the limit this would wait for ever.
        with contextlib.suppress(OSError):
            for _ in range(1000):
                connection.sendall(lines)
            return "everything was taken"
        return "dropped"

    with serving(tiny_classifier, tiny_bundle, Settings(send_timeout_s=0.05, body_timeout_s=5)) as client:
        with connected(client, *head, f"Content-Length: {10**9}") as connection:
            sent = in_background(send, connection)
            # The service gives up, or the kernel that was told the same limit does so first.
            gone = 'forewarn_requests_total{route="/v1/score/stream"'
            wait_until(lambda: gone in client.get("/metrics").text)
            assert sent() == "dropped"
        assert client.get("/healthz").status_code == 200


def test_a_client_that_goes_away_leaves_the_service_as_it_was(tiny_classifier, tiny_bundle):
    with serving(tiny_classifier, tiny_bundle) as client:
        with connected(client, *HEAD) as connection:
            connection.sendall(b'{"messages": [')
        wait_until(lambda: 'requests_total{route="/v1/score",status="499"} 1.0' in client.get("/metrics").text)
        assert post(client, messages=messages(1)).status_code == 200
