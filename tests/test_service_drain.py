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
import psutil
import pytest
from forewarn.inference.service import Settings
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


def use(connection):
    """A request and its answer, after which the connection is idle."""
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    received = b""
    while not received.endswith(b'{"status":"ok"}'):
        received += connection.recv(65536)


def answers(port):
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=20).status_code == 200
    return False


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


@pytest.mark.parametrize("workers", ["1", "2"])
def test_idle_connections_do_not_hold_up_the_end(tiny_bundle, workers):
    with process(tiny_bundle, "--workers", workers) as (server, port), contextlib.ExitStack() as open_ones:
        wait_until(lambda: answers(port))
        for used in (True, False) * 4:
            connection = open_ones.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            if used:
                use(connection)
        server.send_signal(signal.SIGTERM)
        _, err = server.communicate(timeout=20)
        assert server.returncode == 0
        assert all(json.loads(line)["level"] in ("debug", "info") for line in err.splitlines())


def test_an_idle_connection_is_kept_for_as_long_as_the_setting_says(tiny_bundle):
    assert Settings().keep_alive_s > 60  # nginx and many clients let go after that, and must be first
    with (
        process(tiny_bundle, FOREWARN_KEEP_ALIVE_S="1") as (_, port),
        socket.create_connection(("127.0.0.1", port), timeout=20) as connection,
    ):
        use(connection)
        assert connection.recv(1) == b""  # closed after a second


def test_a_worker_that_is_slow_to_answer_its_parent_is_not_replaced(tiny_bundle):
    def workers():
        return {x.pid for x in psutil.Process(server.pid).children() if "spawn_main" in " ".join(x.cmdline())}

    with process(tiny_bundle, "--workers", "2") as (server, port):
        wait_until(lambda: answers(port) and len(workers()) == 2)
        before = workers()
        slow = psutil.Process(min(before))
        slow.suspend()
        threading.Event().wait(6)  # uvicorn's own limit is 5 seconds
        slow.resume()
        assert answers(port)
        assert workers() == before


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
        assert b"expires" not in b"".join(x.read_bytes() for x in tmp_path.glob("*/*") if x.is_file())
        wait_until(lambda: len(writers()) == 2)
        os.kill(writers().pop(), signal.SIGKILL)
        wait_until(lambda: len(writers()) == 3)  # one took its place
        assert total() == 12
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
    assert not list(tmp_path.iterdir())
