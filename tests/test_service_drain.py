"""SIGTERM to a real server process while requests are in flight: what was accepted is answered, then it exits with 0.

A request that sent its head with `Expect: 100-continue` and got `100 Continue` is known to be accepted; its body
follows only after the signal.
"""

import contextlib
import json
import os
import re
import signal
import socket
import threading

import httpx
import pytest
from test_server import end, forewarn_serve, greeting_of, wait_until
from test_service_bounds import read_answer

JSON = {"Content-Type": "application/json"}
BODY = json.dumps({"messages": [{"id": "1", "text": "Claim your tax rebate today or it expires"}]}).encode()


@contextlib.contextmanager
def process(bundle, *options, **environment):
    """A server process and its port; it is stopped at the end whatever happens."""
    running = forewarn_serve("--port", "0", "--bundle", str(bundle), *options, **environment)
    hanging = threading.Timer(90, end, [running])
    hanging.start()
    try:
        yield running, int(re.search(r"127\.0\.0\.1:(\d+)", greeting_of(running)).group(1))
    finally:
        hanging.cancel()
        end(running)
        running.communicate()


def accepted(port, path="/v1/score", media_type="application/json", length=None):
    """A connection with a request whose head the service has read and whose body it waits for."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    head = (f"POST {path} HTTP/1.1", "Host: x", f"Content-Type: {media_type}", f"Content-Length: {length or len(BODY)}")
    connection.sendall("\r\n".join((*head, "Expect: 100-continue", "", "")).encode())
    assert b"100 Continue" in connection.recv(1000)
    return connection


def refuses(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("workers", ["1", "2"])
def test_accepted_requests_are_answered_and_no_new_ones_taken(tiny_bundle, workers):
    with process(tiny_bundle, "--workers", workers) as (server, port):
        connections = [accepted(port) for _ in range(8)]
        server.send_signal(signal.SIGTERM)
        wait_until(lambda: refuses(port))
        for connection in connections:
            connection.sendall(BODY)
        for connection in connections:
            status, body = read_answer(connection)
            assert (status, len(body["results"])) == (200, 1)
            connection.close()
        _, err = server.communicate(timeout=20)
        assert server.returncode == 0
        assert all(json.loads(line)["level"] in ("debug", "info") for line in err.splitlines())


def test_a_stream_gets_answers_to_what_it_sent_and_is_told_to_stop(tiny_bundle):
    with process(tiny_bundle) as (server, port):
        with accepted(port, "/v1/score/stream", "application/x-ndjson", 10_000) as connection:
            connection.sendall(b'{"id": "first", "text": "See you at dinner tonight"}\n{"id": "second", "te')
            received = b""
            while b'"first"' not in received:
                received += connection.recv(65536)
            server.send_signal(signal.SIGTERM)
            received += b"".join(iter(lambda: connection.recv(65536), b""))
        last = json.loads([x for x in received.split(b"\r\n") if x.startswith(b"{")][-1])
        assert (last["code"], last["line"]) == ("draining", 2)
        assert server.wait(20) == 0


def test_what_takes_longer_than_the_limit_is_told_so(tiny_bundle):
    with process(tiny_bundle, FOREWARN_DRAIN_S="1") as (server, port):
        with accepted(port) as connection:
            server.send_signal(signal.SIGTERM)
            status, body = read_answer(connection)
        assert (status, body["code"]) == (503, "draining")
        assert server.wait(20) == 0


def test_metrics_are_of_all_workers_and_survive_one(tiny_bundle, tmp_path):
    def total():
        # One worker's own numbers would differ from scrape to scrape; the folder is shared by both.
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=20).text
        return float(re.search(r'forewarn_requests_total\{route="/v1/score",status="200"\} (\S+)', text).group(1))

    def writers():
        return {int(re.search(r"_(\d+)\.db", x.name).group(1)) for x in tmp_path.glob("forewarn-metrics-*/counter*")}

    with process(tiny_bundle, "--workers", "2", TMPDIR=str(tmp_path)) as (server, port):
        for _ in range(12):
            answer = httpx.post(f"http://127.0.0.1:{port}/v1/score", content=BODY, headers=JSON, timeout=20)
            assert answer.status_code == 200
        wait_until(lambda: total() == 12)  # the last is counted after its answer has left
        assert {total() for _ in range(6)} == {12}
        assert b"expires" not in b"".join(x.read_bytes() for x in tmp_path.glob("*/*"))
        wait_until(lambda: len(writers()) == 2)
        os.kill(writers().pop(), signal.SIGKILL)
        wait_until(lambda: len(writers()) == 3)  # one took its place
        assert total() == 12
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
    assert not list(tmp_path.iterdir())
