"""Keys and the counts of rate limits in every store, against the real servers of Debian's packages."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from forewarn.inference.errors import ForewarnError
from forewarn.inference.service import Settings
from forewarn.inference.service.keys import StoreError, new_key
from forewarn.inference.service.keys_store import open_store
from forewarn.inference.service.limits import RateLimits
from limits import RateLimitItemPerMinute
from limits.strategies import FixedWindowRateLimiter, SlidingWindowCounterRateLimiter
from test_server import check_error, post, serving, wait_until

MESSAGES = [{"id": "1", "text": "Claim your tax rebate today or it expires"}]
KEYS = (sys.executable, "-m", "forewarn.inference.cli", "keys")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Server:
    """A database server that can be stopped and started again where it was."""

    def __init__(self, port, url, *command, user=None):
        self.port, self.url, self.command, self.user = port, url, command, user
        self.process = None

    def start(self):
        silent = subprocess.DEVNULL
        self.process = subprocess.Popen(self.command, stdout=silent, stderr=silent, user=self.user)
        wait_until(self.answers)

    def answers(self):
        assert self.process.poll() is None, "the server ended by itself"
        with contextlib.suppress(OSError), contextlib.closing(open_store(self.url)) as store:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            with contextlib.suppress(StoreError):
                store.all()
                return True
        return False

    def stop(self):
        if self.process:
            self.process.send_signal(2)  # SIGINT: PostgreSQL's fast shutdown, which does not wait for clients
            self.process.wait(20)
            self.process = None


@contextlib.contextmanager
def redis_server(folder):
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed (Debian: apt-get install redis-server)")
    port = free_port()
    options = ("--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", "", "--appendonly", "yes")
    server = Server(port, f"redis://127.0.0.1:{port}/0", "redis-server", *options)
    yield server
    server.stop()


@contextlib.contextmanager
def postgres_server(folder):
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not programs:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    bin_ = programs[-1].parent
    # It refuses to run as root, and its own user cannot enter a folder of pytest's.
    user = "postgres" if os.geteuid() == 0 else None
    owner = user or pwd.getpwuid(os.geteuid()).pw_name
    data = Path(tempfile.mkdtemp(prefix="forewarn-postgres-"))
    try:
        if user:
            shutil.chown(data, user)
        make = [bin_ / "initdb", "-D", data, "-U", "forewarn", "--auth=trust", "--no-sync", "--no-instructions"]
        subprocess.run(make, check=True, capture_output=True, user=user, env={**os.environ, "USER": owner})
        port = free_port()
        options = ("-h", "127.0.0.1", "-p", str(port), "-k", str(data), "-c", "fsync=off")
        url = f"postgresql://forewarn@127.0.0.1:{port}/postgres"
        server = Server(port, url, str(bin_ / "postgres"), "-D", str(data), *options, user=user)
        yield server
        server.stop()
    finally:
        shutil.rmtree(data, ignore_errors=True)


SERVERS = {"postgresql": postgres_server, "redis": redis_server}


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Starts a server of a kind the first time that a test asks for it."""
    running = {}
    with contextlib.ExitStack() as stack:

        def get(kind):
            if kind not in running:
                running[kind] = stack.enter_context(SERVERS[kind](tmp_path_factory.mktemp(kind)))
                running[kind].start()
            return running[kind]

        yield get


@pytest.fixture(params=["sqlite", *SERVERS])
def url(request, servers, tmp_path):
    return f"sqlite:///{tmp_path}/keys.db" if request.param == "sqlite" else servers(request.param).url


@pytest.fixture
def store(url):
    with contextlib.closing(open_store(url)) as opened:
        opened.counters().reset()
        yield opened


@pytest.fixture(autouse=True)
def middle_of_a_minute():
    """Counting starts with time left in the minute, so that no test straddles two."""
    left = 60 - time.time() % 60
    if left < 8:
        time.sleep(left + 0.1)


def test_a_key_is_kept_as_it_is_and_only_its_hash(store, url):
    before = store.all()
    key, token = new_key("Carrier, Ä", ["metrics", "score"], 600)
    other, _ = new_key("another")
    store.add(key)
    store.add(other)
    with contextlib.closing(open_store(url)) as again:
        after = [x for x in again.all() if x not in before]
    assert sorted(after, key=lambda x: x.id) == sorted([key, other], key=lambda x: x.id)
    assert token.rsplit("_", 1)[1] not in repr(after)


def test_a_revoked_key_keeps_the_time_of_its_first_revocation(store):
    key, _ = new_key("short-lived")
    store.add(key)
    assert store.revoke(key.id)
    [revoked] = [x for x in store.all() if x.id == key.id]
    assert revoked == replace(key, revoked=revoked.revoked) and revoked.revoked >= key.created
    assert store.revoke(key.id)
    assert revoked in store.all()
    assert not store.revoke("0123456789ab")


def test_counting_is_exact_under_concurrency(store, url):
    # Each thread has a store of its own, as each worker process has.
    def ask(_):
        with contextlib.closing(open_store(url)) as own:
            limiter = SlidingWindowCounterRateLimiter(own.counters())
            return sum(limiter.hit(RateLimitItemPerMinute(100), "k", cost=3) for _ in range(10))

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(ask, range(8))) == 33
    limiter = SlidingWindowCounterRateLimiter(store.counters())
    assert limiter.get_window_stats(RateLimitItemPerMinute(100), "k").remaining == 1
    assert not limiter.hit(RateLimitItemPerMinute(100), "k", cost=2)
    assert limiter.hit(RateLimitItemPerMinute(100), "k")
    assert limiter.hit(RateLimitItemPerMinute(100), "another key", cost=100)
    limiter.clear(RateLimitItemPerMinute(100), "k")
    assert limiter.hit(RateLimitItemPerMinute(100), "k", cost=100)


def test_the_window_slides(store):
    # Windows of two seconds, since nobody waits for minutes.
    counters = store.counters()
    time.sleep(2 - time.time() % 2)
    started = time.time()
    assert counters.acquire_sliding_window_entry("s", 10, 2, 10)
    assert not counters.acquire_sliding_window_entry("s", 10, 2, 1)
    time.sleep(started + 3 - time.time())  # half of the next window: half of the ten still weigh
    assert not counters.acquire_sliding_window_entry("s", 10, 2, 7)
    assert counters.acquire_sliding_window_entry("s", 10, 2, 4)
    previous, _, current, _ = counters.get_sliding_window("s", 2)
    assert (previous, current) == (10, 4)


def test_plain_counters_count_and_end(store):
    counters = store.counters()
    assert counters.check()
    limiter = FixedWindowRateLimiter(counters)
    assert [limiter.hit(RateLimitItemPerMinute(5), "f", cost=2) for _ in range(3)] == [True, True, False]
    assert counters.get_expiry("ends") <= time.time() + 1
    assert counters.incr("ends", 1, 4) == 4
    assert counters.get("ends") == 4
    time.sleep(1.2)
    assert counters.get("ends") == 0
    assert counters.incr("ends", 60) == 1
    counters.clear("ends")
    assert counters.get("ends") == 0


def test_the_time_to_wait_is_long_enough(store):
    key, _ = new_key("limited", per_minute=6)
    limits = RateLimits(store.counters(), failed=lambda: pytest.fail("the store is up"))
    assert limits.take(key, 4) == (4, 0)
    taken, wait = limits.take(key, 64)
    assert taken == 2 and 1 <= wait <= 120
    assert limits.hit(key, 7) == float("inf")


def test_many_processes_make_the_tables_at_once(url):
    def first(_):
        with contextlib.closing(open_store(url)) as store:
            return len(store.all()) >= 0

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(first, range(16)))


@pytest.mark.parametrize("kind", SERVERS)
def test_while_the_store_is_down_known_keys_go_on_and_others_wait(
    kind, servers, tiny_classifier, tiny_bundle, caplog, monkeypatch
):
    monkeypatch.setattr("forewarn.inference.service.limits._LEFT_ALONE_S", 0.2)
    server = servers(kind)
    (key, token), (late, late_token) = new_key("known", per_minute=5), new_key("added while nobody could look")
    with contextlib.closing(open_store(server.url)) as store:
        store.counters().reset()
        store.add(key)
        try:
            with serving(tiny_classifier, tiny_bundle, Settings(keys=server.url, keys_refresh_s=0.2)) as client:

                def ask(sent, number=1):
                    client.headers["Authorization"] = f"Bearer {sent}"
                    return post(client, messages=MESSAGES * number)

                assert ask(token, 5).status_code == 200
                check_error(ask(token), 429, "rate_limited")
                check_error(ask(late_token), 401, "key_invalid")
                server.stop()
                wait_until(lambda: ask(late_token).status_code == 503)
                refused = ask(late_token)
                check_error(refused, 503, "store_unavailable")
                assert refused.headers["Retry-After"]
                check_error(ask(token[:-1] + ("A" if token[-1] != "A" else "B")), 401, "key_invalid")
                # Counted by the process alone now, so that there is room again, but not without end.
                assert ask(token, 5).status_code == 200
                check_error(ask(token), 429, "rate_limited")
                assert client.get("/readyz").status_code == 200
                server.start()
                store.add(late)
                wait_until(lambda: ask(late_token).status_code == 200)
                # Redis was told to write what it had counted to its file, as PostgreSQL always does.
                wait_until(lambda: ask(token).status_code == 429)
        finally:
            if not server.process:
                server.start()
    assert token not in caplog.text and key.id not in caplog.text


def test_a_service_that_starts_before_its_store_is_not_ready(servers, tiny_classifier, tiny_bundle):
    server = servers("redis")
    server.stop()
    try:
        with serving(tiny_classifier, tiny_bundle, Settings(keys=server.url, keys_refresh_s=0.2)) as client:
            check_error(client.get("/readyz"), 503, "store_unavailable")
            assert client.get("/healthz").status_code == 200
            client.headers["Authorization"] = f"Bearer {new_key('x')[1]}"
            check_error(post(client, messages=MESSAGES), 503, "store_unavailable")
            server.start()
            wait_until(lambda: client.get("/readyz").status_code == 200)
            check_error(post(client, messages=MESSAGES), 401, "key_invalid")
    finally:
        if not server.process:
            server.start()


def test_health_answers_while_the_store_hangs(tiny_classifier, tiny_bundle):
    # A server that takes connections and says nothing.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = Settings(keys=f"redis://127.0.0.1:{silent.getsockname()[1]}/0", keys_refresh_s=0.2)
        with serving(tiny_classifier, tiny_bundle, settings) as client:
            assert client.get("/readyz").status_code == 503
            slowest = 0.0
            for _ in range(100):
                started = time.monotonic()
                assert client.get("/healthz").status_code == 200
                slowest = max(slowest, time.monotonic() - started)
                threading.Event().wait(0.01)
            assert slowest < 1


@pytest.mark.parametrize("scheme", ["postgresql", "redis"])
def test_an_error_names_the_host_and_not_the_password(scheme):
    with pytest.raises(StoreError) as raised:
        open_store(f"{scheme}://u:zq7marked@127.0.0.1:{free_port()}/1").all()
    assert "127.0.0.1" in str(raised.value) and "zq7marked" not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    ["", "keys.db", "sqlite://", "sqlite:///", "sqlite:///:memory:", "mysql://h/zq7marked", "redis://h:zq7marked"],
)
def test_what_is_no_store_is_refused_without_quoting_it(url):
    with pytest.raises(ForewarnError) as raised:
        open_store(url)
    assert "sqlite:///PATH" in str(raised.value) and "zq7marked" not in str(raised.value)


def test_a_file_that_is_no_database_and_a_folder_that_is_not_there_are_told(tmp_path):
    (tmp_path / "text.db").write_text("hello, this is no database at all\n" * 99)
    for name in ("text.db", "none/keys.db"):
        with pytest.raises(StoreError, match=name):
            open_store(f"sqlite:///{tmp_path}/{name}").all()


def test_what_another_process_writes_is_seen_by_all_threads(tmp_path):
    url = f"sqlite:///{tmp_path}/keys.db"
    key, _ = new_key("revoked elsewhere")
    with contextlib.closing(open_store(url)) as store, ThreadPoolExecutor(3) as threads:
        store.add(key)
        meeting = threading.Barrier(3)  # so that each thread connects
        assert [len(x) for x in threads.map(lambda _: (store.all(), meeting.wait())[0], range(3))] == [1, 1, 1]
        for number in (2, 3):
            subprocess.run([*KEYS, "add", "another", "--store", url], check=True, capture_output=True)
            assert len(store.all()) == number
        subprocess.run([*KEYS, "revoke", key.id, "--store", url], check=True, capture_output=True)
        assert [x.id for x in store.all() if x.revoked] == [key.id]


def test_the_file_of_keys_is_for_its_owner_only(tmp_path):
    with contextlib.closing(open_store(f"sqlite:///{tmp_path}/keys.db")) as store:
        store.add(new_key("x")[0])
        assert {x.stat().st_mode & 0o777 for x in tmp_path.iterdir()} == {0o600}
