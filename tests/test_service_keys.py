"""The locked service: keys, scopes, rate limits, what it refuses, and its command line."""

import contextlib
import hashlib
import json
import math
import re
import shutil
import signal
import statistics
import threading
import time

import httpx
import pytest
from forewarn.inference import cli
from forewarn.inference.service import Settings
from forewarn.inference.service.keys import Keyring, new_key
from forewarn.inference.service.keys_store import open_store
from forewarn.inference.service.limits import seconds_until_room
from test_server import check_error, end, forewarn_serve, greeting_of, post, serving, wait_until
from test_service_stores import free_port

TEXT = "Claim your tax rebate today or it expires"
NDJSON = {"Content-Type": "application/x-ndjson"}


def messages(number):
    return [{"id": str(i), "text": f"{TEXT} {i}"} for i in range(number)]


def lines(number):
    return "\n".join(map(json.dumps, messages(number)))


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/keys.db"


@pytest.fixture
def store(url):
    with contextlib.closing(open_store(url)) as opened:
        yield opened


@pytest.fixture
def make(store):
    """Stores a new key; gives its text."""

    def make(*scopes, per_minute=None):
        key, token = new_key("somebody", scopes or ["score"], per_minute)
        store.add(key)
        return token

    return make


@contextlib.contextmanager
def locked(classifier, bundle, url, **settings):
    with serving(classifier, bundle, Settings(keys=url, keys_refresh_s=0.4, **settings)) as client:
        yield client


def wait_for_room_in_the_minute():
    left = 60 - time.time() % 60
    if left < 8:
        time.sleep(left + 0.1)


def test_a_key_is_told_from_every_other():
    key, token = new_key("Carrier", ["metrics", "score"], 60)
    assert re.fullmatch(r"fw_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", token)
    secret = token.split("_", 2)[2]
    assert key.secret_sha256 == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in repr(key)
    ring = Keyring([key, new_key("another")[0]])
    assert ring.find(token) is key
    swapped = new_key("x")[1].split("_", 2)[2]
    for wrong in (
        "",
        token[:-1],
        token + "A",
        f"fw_{key.id}_{swapped}",
        token.upper(),
        token + "\n",
        f"fw_{'0' * 12}_x",
    ):
        assert ring.find(wrong) is None


def test_an_unknown_key_takes_the_time_of_a_wrong_one():
    key, token = new_key("Carrier")
    ring = Keyring([key])
    wrong = token[:-4] + "AAAA"
    unknown = f"fw_{'f' * 12}_{wrong.split('_', 2)[2]}"

    def seconds(candidate):
        started = time.perf_counter()
        for _ in range(200):
            ring.find(candidate)
        return time.perf_counter() - started

    pairs = [(seconds(wrong), seconds(unknown)) for _ in range(60)]
    assert 0.75 < statistics.median(a / b for a, b in pairs) < 1.33


def test_without_a_key_only_health_is_open(tiny_classifier, tiny_bundle, url, make):
    token = make("score")
    with locked(tiny_classifier, tiny_bundle, url, apple_app_ids=["TEAM.a"]) as client:
        assert client.get("/healthz").status_code == 200
        wait_until(lambda: client.get("/readyz").status_code == 200)
        assert client.get("/.well-known/apple-app-site-association").status_code == 200
        for path in ("/v1/labels", "/v1/model", "/openapi.json", "/metrics", "/v1/zebra", "/healthz%0A", "/metrics%0A"):
            answer = client.get(path)
            check_error(answer, 401, "key_missing")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        for path in ("/v1/score", "/v1/score/stream", "/v1/filter/apple"):
            check_error(client.post(path, content=b"zebra"), 401, "key_missing")
        for value in (
            f"Bearer {token}x",
            f"Basic {token}",
            token,
            "Bearer",
            "Bearer zebra",
            f"Bearer {token} x",
        ):
            answer = client.post("/v1/score", json={}, headers={"Authorization": value})
            check_error(answer, 401, "key_invalid")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        twice = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {make()}")]
        check_error(client.get("/v1/labels", headers=twice), 401, "key_invalid")
        assert client.get("/v1/labels", headers={"authorization": f"bearer {token}"}).status_code == 200
        check_error(client.get("/v1/zebra", headers=bearer(token)), 404, "not_found")
        check_error(client.get("/v1/score", headers=bearer(token)), 405, "method_not_allowed")


def test_a_scope_opens_its_addresses_and_no_other(tiny_classifier, tiny_bundle, url, make):
    score, metrics, admin, both = make("score"), make("metrics"), make("admin"), make("score", "metrics")
    with locked(tiny_classifier, tiny_bundle, url) as client:
        for token, scoring, counting in [(score, 200, 403), (metrics, 403, 200), (admin, 403, 403), (both, 200, 200)]:
            client.headers.update(bearer(token))
            assert post(client, messages=messages(1)).status_code == scoring
            assert client.post("/v1/score/stream", content=lines(1), headers=NDJSON).status_code == scoring
            assert client.get("/v1/labels").status_code == scoring
            assert client.get("/metrics").status_code == counting
        client.headers.update(bearer(score))
        assert "scope metrics" in check_error(client.get("/metrics"), 403, "scope_missing")
        assert "scope admin" in check_error(client.get("/v1/admin/model"), 403, "scope_missing")
        # Python's regular expressions let a line end stand after the address.
        check_error(client.get("/metrics%0A"), 404, "not_found")
        client.get("/metrics", headers={"Authorization": ""})
        text = client.get("/metrics", headers=bearer(metrics)).text
    assert 'forewarn_rejected_total{reason="scope_missing"} 10.0' in text
    assert 'forewarn_rejected_total{reason="key_invalid"} 1.0' in text
    assert not any(token[:15] in text for token in (score, metrics, admin, both))


def test_a_new_key_and_a_revoked_one_count_within_the_refresh_time(tiny_classifier, tiny_bundle, url, store, make):
    make()
    with locked(tiny_classifier, tiny_bundle, url) as client:
        key, token = new_key("late")
        client.headers.update(bearer(token))
        check_error(post(client, messages=messages(1)), 401, "key_invalid")
        for change, status in [(lambda: store.add(key), 200), (lambda: store.revoke(key.id), 401)]:
            change()
            deadline = time.monotonic() + 0.4
            while time.monotonic() < deadline:
                answer = post(client, messages=messages(1))
            assert answer.status_code == status
        check_error(answer, 401, "key_invalid")


def test_a_key_that_is_revoked_in_a_file_that_took_the_place_of_the_store_counts_as_such(
    tiny_classifier, tiny_bundle, url, store, make, tmp_path
):
    token = make(per_minute=60)
    store.close()  # the file holds all of it then
    with locked(tiny_classifier, tiny_bundle, url) as client:
        client.headers.update(bearer(token))
        assert post(client, messages=messages(1)).status_code == 200
        shutil.copy(tmp_path / "keys.db", tmp_path / "new.db")
        (tmp_path / "new.db").replace(tmp_path / "keys.db")
        assert post(client, messages=messages(1)).status_code == 200
        with contextlib.closing(open_store(url)) as replaced:
            assert replaced.revoke(token.split("_")[1])
        time.sleep(0.5)
        check_error(post(client, messages=messages(1)), 401, "key_invalid")


def test_a_store_that_was_removed_is_told_counted_and_not_made_anew(
    tiny_classifier, tiny_bundle, url, store, make, tmp_path, caplog
):
    known = make("score", "metrics", per_minute=60)
    store.close()
    with locked(tiny_classifier, tiny_bundle, url) as client:
        shutil.copy(tmp_path / "keys.db", tmp_path / "kept")
        for path in tmp_path.glob("keys.db*"):
            path.unlink()
        time.sleep(0.5)
        late, token = new_key("late")
        check_error(post_as(client, token), 503, "store_unavailable")
        assert post_as(client, known).status_code == 200
        assert re.search(r'store_errors_total\{use="keys"\} [1-9]', client.get("/metrics", headers=bearer(known)).text)
        assert "the keys could not be read" in caplog.text
        assert not list(tmp_path.glob("keys.db*"))
        (tmp_path / "kept").rename(tmp_path / "keys.db")
        with contextlib.closing(open_store(url)) as restored:
            restored.add(late)
        time.sleep(0.5)
        assert post_as(client, token).status_code == post_as(client, known).status_code == 200


def post_as(client, token):
    return client.post("/v1/score", json={"messages": messages(1)}, headers=bearer(token))


def test_a_stream_ends_when_its_key_is_revoked(tiny_classifier, tiny_bundle, url, store):
    key, token = new_key("streaming")
    store.add(key)
    begun = threading.Event()

    def sent():
        yield lines(1).encode() + b"\n"
        assert begun.wait(10)
        store.revoke(key.id)
        time.sleep(0.5)
        yield lines(2).encode() + b"\n"

    with locked(tiny_classifier, tiny_bundle, url) as client:
        threading.Timer(0.3, begun.set).start()  # the first line is answered by then
        with client.stream("POST", "/v1/score/stream", content=sent(), headers={**NDJSON, **bearer(token)}) as answer:
            first, last = (json.loads(line) for line in answer.iter_lines())
    assert first["id"] == "0"
    assert (last["status"], last["code"]) == (401, "key_invalid")


def test_messages_count_and_not_requests(tiny_classifier, tiny_bundle, url, make):
    wait_for_room_in_the_minute()
    apple = {"_version": 1, "query": {"sender": "1", "message": {"text": TEXT}}, "app": {"version": "1"}}
    with locked(tiny_classifier, tiny_bundle, url) as client:
        client.headers.update(bearer(make("score", "metrics", per_minute=40)))
        time.sleep(0.5)
        assert post(client, messages=messages(32)).status_code == 200
        assert post(client, messages=messages(4), explain=True).status_code == 200
        assert post(client, messages=[]).status_code == 200
        assert post(client, messages=[{"id": 1}]).status_code == 422
        assert client.post("/v1/filter/apple", json=apple).status_code == 200
        before = client.get("/metrics").text
        refused = post(client, messages=messages(4))
        check_error(refused, 429, "rate_limited")
        assert 1 <= int(refused.headers["Retry-After"]) <= 120
        scored = "forewarn_messages_total"
        after = client.get("/metrics").text
        assert re.search(rf"{scored} (\S+)", before)[1] == re.search(rf"{scored} (\S+)", after)[1]
        assert 'forewarn_rejected_total{reason="rate_limited"} 1.0' in after
        assert post(client, messages=messages(3)).status_code == 200
        check_error(client.post("/v1/filter/apple", json=apple), 429, "rate_limited")
        assert "40 messages a minute" in check_error(post(client, messages=messages(41)), 413, "too_many_for_key")
        client.headers.update(bearer(make(per_minute=2)))
        time.sleep(0.5)
        assert post(client, messages=messages(2)).status_code == 200  # another key has its own
        client.headers.update(bearer(make()))
        time.sleep(0.5)
        assert post(client, messages=messages(200)).status_code == 200


def test_a_streams_lines_count_one_by_one(tiny_classifier, tiny_bundle, url, make):
    wait_for_room_in_the_minute()
    token = make(per_minute=100)
    with locked(tiny_classifier, tiny_bundle, url) as client:
        content = "zebra\n\n" + lines(150)
        answer = client.post("/v1/score/stream", content=content, headers={**NDJSON, **bearer(token)})
        bad, *results = [json.loads(line) for line in answer.text.splitlines()]
        assert bad["code"] == "invalid_json"
        assert [x.get("id") for x in results[:100]] == [str(i) for i in range(100)]
        assert {(x["status"], x["code"]) for x in results[100:]} == {(429, "rate_limited")}
        assert [x["line"] for x in results[100:]] == list(range(103, 153))
        check_error(
            client.post("/v1/score", json={"messages": messages(1)}, headers=bearer(token)), 429, "rate_limited"
        )


@pytest.mark.parametrize(
    ("windows", "room", "seconds"),
    [
        ((0, 0, 0, 0), 5, 0),
        ((0, 0, 10, 100), 0, 94),  # 40 s to the end of this window, and 9 of the 10 must go: 54 s
        ((0, 0, 10, 100), 9, 40),  # as soon as this window has ended, 10 weigh less than 10
        ((10, 30, 2, 90), 5, 6),  # 5 weigh now, 2 are new: below 4 there is room
        ((10, 30, 2, 90), 7, 0),
    ],
)
def test_the_time_to_wait(windows, room, seconds):
    wait = seconds_until_room(*windows, expiry=60, room=room)
    assert wait == pytest.approx(seconds)
    # What is said is right: just then, and not before, the windows weigh few enough.
    previous, left, current, current_left = windows

    def weight(t):
        turn = current_left - 60
        if current and t >= turn:
            return math.floor(current * max(0, 60 - (t - turn)) / 60)
        return math.floor(previous * max(0, left - t) / 60) + current

    assert weight(wait + 0.01) <= room
    assert wait == 0 or weight(wait - 0.01) > room


def test_every_answer_carries_the_security_headers(tiny_classifier, tiny_bundle, url, make):
    token = make(per_minute=1)
    with locked(tiny_classifier, tiny_bundle, url) as client:
        answers = [
            client.get("/healthz"),
            client.get("/v1/zebra"),
            client.post("/v1/score", json={"messages": messages(1)}, headers=bearer(token)),
            client.post("/v1/score", json={"messages": messages(1)}, headers=bearer(token)),
            client.post("/v1/score/stream", content=lines(1), headers={**NDJSON, **bearer(token)}),
            client.get("/metrics", headers=bearer(token)),
        ]
    assert [x.status_code for x in answers] == [200, 401, 200, 429, 200, 403]
    for answer in answers:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"


def test_the_description_says_that_a_key_is_needed(tiny_classifier, tiny_bundle, url, make):
    token = make()
    with locked(tiny_classifier, tiny_bundle, url) as client:
        described = client.get("/openapi.json", headers=bearer(token)).json()
    assert described["security"] == [{"key": []}]
    assert described["components"]["securitySchemes"]["key"] == {"type": "http", "scheme": "bearer"}
    assert described["paths"]["/healthz"]["get"]["security"] == []
    with serving(tiny_classifier, tiny_bundle) as client:
        assert "security" not in client.get("/openapi.json").json()


def forewarn(capsys, *argv):
    code = cli.main(["keys", *argv])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_command_line_makes_lists_and_revokes(capsys, url, monkeypatch, tmp_path):
    code, out, err = forewarn(capsys, "add", "Carrier A", "--per-minute", "600", "--store", url)
    token = out.strip()
    assert code == 0 and Keyring(open_store(url).all()).find(token)
    id_ = token.split("_")[1]
    assert id_ in err and "600 messages a minute" in err and token not in err
    monkeypatch.setenv("FOREWARN_KEYS", url)
    assert forewarn(capsys, "add", "Prometheus", "--scope", "metrics", "--scope", "admin")[0] == 0
    _, out, _ = forewarn(capsys, "list")
    head, first, second = out.splitlines()
    assert head.split() == ["ID", "NAME", "ALLOWS", "CREATED", "REVOKED"]
    assert {"Carrier A", "Prometheus"} == {x for x in ("Carrier A", "Prometheus") if x in out}
    assert token.split("_", 2)[2] not in out and "metrics, admin, any number" in out
    assert forewarn(capsys, "revoke", id_)[0] == 0
    assert not Keyring(open_store(url).all()).find(token)
    code, out, err = forewarn(capsys, "revoke", token)
    assert code == 2 and err.count("\n") == 1 and token not in err
    monkeypatch.delenv("FOREWARN_KEYS")
    assert forewarn(capsys, "list")[0] == 2
    config = tmp_path / "service.toml"
    config.write_text(f'keys = "{url}"')
    monkeypatch.setenv("FOREWARN_CONFIG", str(config))
    assert "Carrier A" in forewarn(capsys, "list")[1]


@pytest.mark.parametrize(
    "wrong", [["add", ""], ["add", "a\nb"], ["add", "x" * 65], ["add", "x", "--per-minute", "0"]], ids=repr
)
def test_a_key_that_cannot_be_is_one_line_and_exit_2(capsys, url, wrong):
    code, out, err = forewarn(capsys, *wrong, "--store", url)
    assert (code, out, err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("host", ["0.0.0.0", ""])
def test_the_network_is_not_let_in_without_keys(tiny_bundle, capsys, host):
    assert cli.main(["serve", "--host", host, "--port", "0", "--bundle", str(tiny_bundle)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "FOREWARN_KEYS" in error and "FOREWARN_OPEN=1" in error


def test_a_store_that_cannot_be_used_is_one_line_and_exit_2(tiny_bundle, capsys, monkeypatch, tmp_path):
    for url in (
        "zebra",
        f"sqlite:///{tmp_path}/none.db",
        f"sqlite:///{tmp_path}/none/keys.db",
        f"redis://:zq7marked@127.0.0.1:{free_port()}",
    ):
        monkeypatch.setenv("FOREWARN_KEYS", url)
        assert cli.main(["serve", "--port", "0", "--bundle", str(tiny_bundle)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "zq7marked" not in error
    assert not list(tmp_path.iterdir())  # the service makes no store


def test_an_open_service_beyond_this_machine_is_a_choice(tiny_bundle):
    process = forewarn_serve("--host", "0.0.0.0", "--port", "0", "--bundle", str(tiny_bundle), FOREWARN_OPEN="1")
    try:
        port = re.search(r"http://0\.0\.0\.0:(\d+)", greeting_of(process)).group(1)
        answer = httpx.get(f"http://127.0.0.1:{port}/v1/labels", timeout=20)
        assert answer.status_code == 200
        assert "server" not in answer.headers
    finally:
        end(process)
        process.communicate()


def test_workers_share_keys_and_limits(tiny_bundle, url, make):
    token = make(per_minute=50)
    wait_for_room_in_the_minute()
    options = ("--host", "0.0.0.0", "--port", "0", "--workers", "2", "--bundle", str(tiny_bundle))
    process = forewarn_serve(*options, FOREWARN_KEYS=url)
    try:
        greeting = greeting_of(process)
        assert '-H "Authorization: Bearer $KEY"' in greeting
        base = "http://127.0.0.1:" + re.search(r"0\.0\.0\.0:(\d+)", greeting).group(1)
        wait_for_room_in_the_minute()
        # A new connection each, so that both workers get some.
        statuses = [
            httpx.post(
                f"{base}/v1/score", json={"messages": messages(5)}, headers=bearer(token), timeout=20
            ).status_code
            for _ in range(30)
        ]
        assert statuses == [200] * 10 + [429] * 20
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
        assert process.returncode == 0
        assert token[:15] not in out + err
    finally:
        end(process)
        process.communicate()
