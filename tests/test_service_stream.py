"""POST /v1/score/stream: newline-delimited JSON both ways."""

import json
import tracemalloc

import httpx
import pytest
from forewarn.inference.service import Settings
from test_server import check_error, serving, wait_until
from test_service_bounds import connected, in_background

NDJSON = {"Content-Type": "application/x-ndjson"}
TEXTS = ["Claim your tax rebate today or it expires", "See you at dinner tonight, love mum", "晚上一起吃饭吗妈妈等你"]


@pytest.fixture(scope="module")
def client(tiny_classifier, tiny_bundle):
    with serving(tiny_classifier, tiny_bundle, Settings(max_characters=1000, max_batch=16)) as http:
        yield http


def stream(client: httpx.Client, content, **headers):
    answer = client.post("/v1/score/stream", content=content, headers={**NDJSON, **headers})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def line(id, text, **more):
    return json.dumps({"id": str(id), "text": text, **more}) + "\n"


def test_verdicts_come_in_input_order(client, tiny_classifier):
    texts = [TEXTS[i % 3] + " " * (i % 5) + str(i) for i in range(100)]
    results = stream(client, "".join(line(i, text) for i, text in enumerate(texts)))
    assert [x["id"] for x in results] == [str(i) for i in range(100)]
    for result, verdict in zip(results, tiny_classifier.score(texts), strict=True):
        assert result["verdict"] == verdict.verdict
        assert result["risk"] == pytest.approx(verdict.risk, abs=1e-4)


def test_a_bad_line_gets_an_error_in_its_place_and_the_stream_goes_on(client):
    content = [
        line("a", TEXTS[0]),
        "zebra\n",
        "\n",
        line("b", TEXTS[1], locale="de", sender="+49"),
        '["zebra"]\n',
        '{"id": "zebra"}\n',
        line("zebra", "x" * 1001),
        line("zebra", "x" * 100_000),
        line("c", TEXTS[2]).rstrip(),
    ]
    results = stream(client, "".join(content))
    assert [x.get("id") or (x["line"], x["code"]) for x in results] == [
        "a",
        (2, "invalid_json"),
        "b",
        (5, "invalid_request"),
        (6, "invalid_request"),
        (7, "message_too_long"),
        (8, "message_too_long"),
        "c",
    ]
    assert "text: missing" in results[4]["message"]
    assert "zebra" not in json.dumps(results)


def test_bytes_that_are_not_utf8_and_lone_surrogates(client):
    content = b'{"id": "1", "text": "caf\xe9"}\r\n{"id": "2", "text": "pay \\ud800 now"}\r\n'
    bad, good = stream(client, content)
    assert (bad["line"], bad["code"]) == (1, "invalid_json")
    assert good["id"] == "2"


def test_an_empty_stream_gives_nothing(client):
    assert stream(client, b"") == []


def test_an_answer_comes_before_the_next_line_is_sent(client):
    head = ("POST /v1/score/stream HTTP/1.1", "Host: x", "Content-Type: application/x-ndjson", "Content-Length: 100000")
    with connected(client, *head) as connection:
        answers = connection.makefile("rb")
        for i in range(3):
            connection.sendall(line(i, TEXTS[i]).encode())
            while not (got := answers.readline()).startswith(b"{"):
                assert got
            assert json.loads(got)["id"] == str(i)


def test_other_content_types_are_refused(client):
    answer = client.post("/v1/score/stream", json={"messages": []})
    assert "application/x-ndjson" in check_error(answer, 415, "unsupported_media_type")


def test_a_stream_that_stops_ends_with_an_error(tiny_classifier, tiny_bundle):
    head = ("POST /v1/score/stream HTTP/1.1", "Host: x", "Content-Type: application/x-ndjson", "Content-Length: 100000")
    with serving(tiny_classifier, tiny_bundle, Settings(body_timeout_s=0.5)) as client:
        with connected(client, *head, "Connection: close") as connection:
            connection.sendall(line("1", TEXTS[0]).encode() + b'{"id": "2", "te')
            received = b"".join(iter(lambda: connection.recv(65536), b""))
        first, last = [json.loads(x) for x in received.split(b"\r\n") if x.startswith(b"{")]
        assert first["id"] == "1"
        assert (last["line"], last["code"]) == (2, "read_timeout")


def test_unfinished_lines_count_as_held(tiny_classifier, tiny_bundle):
    settings = Settings(max_body_bytes=20_000, max_held_bytes=30_000, max_characters=20_000, body_timeout_s=60)
    head = ("POST /v1/score/stream HTTP/1.1", "Host: x", "Content-Type: application/x-ndjson", "Content-Length: 100000")
    body = b" " * 15_000 + b'{"messages": []}'
    with serving(tiny_classifier, tiny_bundle, settings) as client:

        def status():
            return client.post("/v1/score", content=body, headers={"Content-Type": "application/json"}).status_code

        with connected(client, *head) as connection:
            connection.sendall(line("1", "x" * 18_000).encode())
            while b'"verdict"' not in connection.recv(65536):
                pass
            connection.sendall(line("2", "x" * 18_000).encode()[:-10])
            wait_until(lambda: status() == 429)
            # Another stream gets its answers, and ends where it would hold as much.
            with connected(client, *head, "Connection: close") as another:
                another.sendall((line("3", TEXTS[0]) + line("4", "x" * 18_000)[:-10]).encode())
                received = b"".join(iter(lambda: another.recv(65536), b""))
            verdict, error = [json.loads(x) for x in received.split(b"\r\n") if x.startswith(b"{")]
            assert (verdict["id"], error["line"], error["code"]) == ("3", 2, "overloaded")
        wait_until(lambda: status() == 200)
        assert [x["id"] for x in stream(client, line("5", "x" * 18_000) * 3)] == ["5"] * 3


def test_a_crash_is_an_error_for_its_lines_only(tiny_classifier, tiny_bundle, monkeypatch):
    score = tiny_classifier.score

    def crash(texts, *args, **kwargs):
        if any("bad" in text for text in texts):
            raise ValueError("zebra")
        return score(texts, *args, **kwargs)

    monkeypatch.setattr(tiny_classifier, "score", crash)
    with serving(tiny_classifier, tiny_bundle, Settings(max_batch=1)) as client:
        first, second, third = stream(client, line(1, "good") + line(2, "bad") + line(3, "good again"))
    assert (first["id"], third["id"]) == ("1", "3")
    assert (second["line"], second["code"], second["status"]) == (2, "internal_error", 500)


def test_a_full_queue_makes_the_stream_wait(tiny_classifier, tiny_bundle):
    settings = Settings(max_waiting=4, max_messages=4, max_batch=64, cache_bytes=0)
    with serving(tiny_classifier, tiny_bundle, settings) as client:
        results = stream(client, "".join(line(i, f"{TEXTS[0]} {i}") for i in range(50)))
    assert [x["id"] for x in results] == [str(i) for i in range(50)]


def test_memory_stays_bounded_however_long_the_stream(client):
    count, text = 20_000, "x" * 500
    lines = "".join(line("i" * 8, text) for i in range(100)).encode()
    head = ("POST /v1/score/stream HTTP/1.1", "Host: x", "Content-Type: application/x-ndjson", "Connection: close")
    tracemalloc.start()
    with connected(client, *head, f"Content-Length: {count // 100 * len(lines)}") as connection:
        sent = in_background(lambda: [connection.sendall(lines) for _ in range(count // 100)])
        received = sum(part.count(b'"verdict"') for part in connection.makefile("rb"))
        sent()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert received == count
    assert peak < count * len(text) / 2
