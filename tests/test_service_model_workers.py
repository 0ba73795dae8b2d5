"""Another model in real server processes: SIGHUP loads it anew, and every worker follows a change."""

import contextlib
import json
import os
import re
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
from test_server import wait_until
from test_service_drain import process
from test_service_metrics import samples
from test_service_model_change import ADMIN, SCAM, ask, change, damage, digest_of
from tinybundle import NEXT_VERSION as NEW
from tinybundle import VERSION as OLD
from tinybundle import retrain


def version_of(port):
    return httpx.get(f"http://127.0.0.1:{port}/v1/model", timeout=20).json()["version"]


def errors_in(server, bundles):
    """What a server that is stopped has logged as errors; no path may be in it."""
    server.send_signal(signal.SIGTERM)
    _, err = server.communicate(timeout=20)
    assert server.returncode == 0
    assert str(bundles) not in err
    return [x for x in map(json.loads, err.splitlines()) if x["level"] == "error"]


def test_sighup_loads_the_bundle_anew(bundles):
    with process(bundles / "old") as (server, port):
        assert version_of(port) == OLD
        retrain(bundles / "old", "2026.12.1")
        server.send_signal(signal.SIGHUP)
        wait_until(lambda: version_of(port) == "2026.12.1")
        damage(bundles / "old")
        server.send_signal(signal.SIGHUP)
        wait_until(lambda: refused(port) == 1)
        assert version_of(port) == "2026.12.1"
        assert httpx.delete(f"http://127.0.0.1:{port}{ADMIN}", timeout=20).json()["version"] == OLD
        [error] = errors_in(server, bundles)
        assert "damaged" in error["why"]


def refused(port):
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        return samples(client).get(("forewarn_model_changes_total", (("result", "refused"),)), 0)


def workers_of(server):
    """Process ids of the workers that serve."""
    children = f"/proc/{server.pid}/task/{server.pid}/children"
    with open(children) as file:
        return {int(x) for x in file.read().split() if b"spawn_main" in _command(x)}


def another_worker(server):
    """Kill a worker that was asked whether it lives, and wait for the process that takes its place.

    It comes well before the 30 seconds that a worker may take to answer.
    """
    gone, stays = workers_of(server)
    os.kill(gone, signal.SIGSTOP)
    time.sleep(1)  # the supervisor asks twice a second
    os.kill(gone, signal.SIGKILL)
    wait_until(lambda: len(workers_of(server) - {gone, stays}) == 1, seconds=20)


def _command(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()
    return b""


def test_every_worker_follows(bundles, tmp_path):
    (tmp_path / "tmp").mkdir()
    given = {"FOREWARN_BUNDLES": str(bundles), "TMPDIR": str(tmp_path / "tmp")}

    def everywhere(version):
        # Each new connection may be another worker's.
        return {version_of(port) for _ in range(12)} == {version}

    with process(bundles / "old", "--workers", "2", **given) as (server, port):
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            wait_until(lambda: client.get(ADMIN).json()["workers"] == {"all": 2, "changed": 2})
            about = change(client, "new").json()
            rest = {"before": OLD, "shadow": None, "workers": {"all": 2, "changed": 2}}
            assert about == {"version": NEW, "digest": digest_of(bundles / "new"), **rest}
            assert everywhere(NEW)
            running = {dict(labels)["version"]: x for (name, labels), x in samples(client).items() if "running" in name}
            assert running == {OLD: 0, NEW: 2}

        another_worker(server)
        # The worker that takes its place runs what the others run, and can go back without having been there.
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            wait_until(lambda: client.get(ADMIN).json()["workers"] == {"all": 2, "changed": 2})
            assert everywhere(NEW)
            assert client.delete(ADMIN).json()["workers"] == {"all": 2, "changed": 2}
            assert everywhere(OLD)

            assert change(client, "new", shadow=1).json()["workers"] == {"all": 2, "changed": 2}
        for _ in range(20):
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
                ask(client, SCAM)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            wait_until(lambda: client.get(ADMIN).json()["shadow"]["messages"] == 20)  # of both, once they reported

            retrain(bundles / "old", "2026.12.1")
            server.send_signal(signal.SIGHUP)
            wait_until(lambda: client.get(ADMIN).json()["version"] == "2026.12.1")
            wait_until(lambda: client.get(ADMIN).json()["workers"] == {"all": 2, "changed": 2})
            assert everywhere("2026.12.1")
            shared = b"".join(x.read_bytes() for x in (tmp_path / "tmp").glob("*/*") if x.is_file())
            assert b"expires" not in shared
        assert errors_in(server, bundles) == []
    assert not list((tmp_path / "tmp").iterdir())


def test_a_worker_that_cannot_follow_is_counted(bundles):
    with process(bundles / "old", "--workers", "2", FOREWARN_BUNDLES=str(bundles)) as (server, port):
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            wait_until(lambda: client.get(ADMIN).json()["workers"] == {"all": 2, "changed": 2})
            assert change(client, "new").json()["workers"] == {"all": 2, "changed": 2}
        shutil.rmtree(bundles / "new")
        another_worker(server)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            wait_until(lambda: client.get(ADMIN).json()["workers"] == {"all": 2, "changed": 1})
        # Which of the workers takes a connection is up to the system: it may be the same one many times over.
        with ThreadPoolExecutor(8) as several:
            wait_until(lambda: set(several.map(version_of, [port] * 16)) == {OLD, NEW})
        [error] = errors_in(server, bundles)
        assert re.search("no bundle", error["why"])
