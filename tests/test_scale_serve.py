"""The HTTP service on Ray Serve, two replicas on two nodes; `make test-scale` runs this."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from forewarn.inference.bundle import GoldenVector
from forewarn.inference.classifier import ScamClassifier
from test_server import LIMITS, serving
from test_service_bounds import connected
from test_service_stores import free_port
from tinybundle import HAM, SCAM, VERSION, seal

pytest.importorskip("ray")
pytestmark = pytest.mark.scale

import forewarn.inference.scale  # noqa: E402  (before Ray: it turns Ray's reports off)
import ray  # noqa: E402
from forewarn.inference.scale import serve as deployment  # noqa: E402
from forewarn.inference.service.app import create_app  # noqa: E402
from ray import serve  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402

MARK = "zq7marked"
NEW = "2026.12.0"
EXAMPLE = Path(forewarn.inference.scale.__file__).with_name("serve.yaml")
# What the example says of the machines.
SMALL = {"args": LIMITS.model_dump(include={"max_messages", "max_characters", "max_body_bytes"})}


class Running:
    """Ray Serve with our application, and what was said to it."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.address, self.file, self.port = cluster.address, folder / "serve.yaml", free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.session = Path(cluster.head_node.get_session_dir_path())
        nodes = [x["NodeID"] for x in ray.nodes()]
        self.metrics = [Path(tempfile.gettempdir(), f"forewarn-metrics-{node}-forewarn") for node in nodes]

    def deploy(self, bundle: str | None) -> None:
        """Give the command that the example names, with a changed file."""
        config = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
        config["proxy_location"] = "HeadOnly"  # two proxies on one machine would want one port
        config["http_options"]["port"] = self.port
        [application] = config["applications"]
        application["args"] = SMALL["args"]
        [settings] = application["deployments"]
        settings["autoscaling_config"] |= {"min_replicas": 2, "max_replicas": 2}
        if bundle:
            settings["user_config"] = {"bundle": bundle}
        self.file.write_text(yaml.safe_dump(config), encoding="utf-8")
        command = ["-m", "ray.serve.scripts", "run", "--non-blocking", f"--address={self.address}", str(self.file)]
        told = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stderr
        wait_until(self.settled)

    def settled(self) -> bool:
        application = serve.status().applications.get("forewarn")
        if not application:
            return False
        assert application.status not in ("DEPLOY_FAILED", "UNHEALTHY"), application.message
        return application.status == "RUNNING" and application.deployments["forewarn"].replica_states == {"RUNNING": 2}


def wait_until(condition, seconds: float = 240) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.1)


@pytest.fixture(scope="module")
def running(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    bundles = tmp_path_factory.mktemp("bundles")
    shutil.copytree(tiny_bundle, bundles / VERSION)
    seal(shutil.copytree(tiny_bundle, bundles / NEW), version=NEW)
    (bundles / "damaged").mkdir()
    (bundles / "damaged" / "manifest.json").write_text("{}", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patched:
        # As on the line of `ray start` in the README.
        patched.setenv("FOREWARN_OPEN", "1")
        patched.setenv("FOREWARN_BUNDLE", str(tiny_bundle))
        patched.setenv("FOREWARN_BUNDLES", str(bundles))
        patched.setenv("FOREWARN_LOG_LEVEL", "debug")
        patched.setenv("RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH", "forewarn.inference.scale.proxy:middlewares")
        head = {
            "num_cpus": 1,
            "include_dashboard": False,
            "_system_config": {"automatic_object_spilling_enabled": False},
        }
        cluster = Cluster(initialize_head=True, head_node_args=head)
        cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        ray.init(address=cluster.address, log_to_driver=False, namespace="serve")
        running = Running(cluster, tmp_path_factory.mktemp("config"))
        try:
            running.deploy(None)
            yield running
        finally:
            serve.shutdown()
            ray.shutdown()
            cluster.shutdown()
            for folder in running.metrics:
                shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def client(running: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, timeout=60) as client:
        yield client


def message(**changes: object) -> dict[str, object]:
    return {"id": "1", "text": SCAM[0], **changes}


JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}
ASKED = [
    ("POST", "/v1/score", JSON, json.dumps({"messages": [message(), message(id="2", text=HAM[0], sender="+1")]})),
    ("POST", "/v1/score", JSON, json.dumps({"messages": [message()], "explain": True})),
    ("POST", "/v1/score", JSON, json.dumps({"messages": []})),
    ("POST", "/v1/score", JSON, "{"),
    ("POST", "/v1/score", JSON, json.dumps({"messages": [message(text=[MARK])]})),
    ("POST", "/v1/score", JSON, json.dumps({"messages": [message(text="x" * 30_000)]})),
    ("POST", "/v1/score", JSON, json.dumps({"messages": [message()] * 41})),
    ("POST", "/v1/score", {"Content-Type": "text/plain"}, "hello"),
    ("POST", "/v1/score", {**JSON, "X-Request-Deadline-Ms": "soon"}, json.dumps({"messages": [message()]})),
    ("POST", "/v1/score/stream", NDJSON, "\n".join([json.dumps(message()), "no", json.dumps(message(text=HAM[1]))])),
    ("POST", "/v1/filter/apple", JSON,
     json.dumps({"_version": 1, "query": {"sender": "1", "message": {"text": SCAM[0]}}, "app": {"version": "1"}})),
    ("GET", "/.well-known/apple-app-site-association", {}, ""),
    ("GET", "/v1/labels", {}, ""),
    ("GET", "/v1/model", {}, ""),
    ("GET", "/healthz", {}, ""),
    ("GET", "/readyz", {}, ""),
    ("GET", "/openapi.json", {}, ""),
    ("GET", f"/v1/{MARK}?{MARK}={MARK}", {}, ""),
    ("GET", "/v1/score", {}, ""),
    ("GET", "/v1/score/", {}, ""),
    ("HEAD", "/healthz", {}, ""),
]  # fmt: skip


def test_it_answers_as_one_process_does(client: httpx.Client, tiny_bundle: Path, monkeypatch) -> None:
    monkeypatch.delenv("FOREWARN_BUNDLES")
    given = {"X-Request-ID": "a.request-1"}
    with serving(ScamClassifier.load(tiny_bundle), tiny_bundle, LIMITS, server_header=False) as alone:
        for method, address, headers, body in ASKED:
            answers = [x.request(method, address, headers=headers | given, content=body) for x in (client, alone)]
            assert answers[0].status_code == answers[1].status_code, address
            assert answers[0].content == answers[1].content
            for answer in answers:
                for name in ("date", "server", "transfer-encoding", "content-length", "connection"):
                    answer.headers.pop(name, None)
            assert sorted(answers[0].headers.multi_items()) == sorted(answers[1].headers.multi_items()), address


def test_a_stream_is_answered_while_it_is_sent(client: httpx.Client) -> None:
    head = ("POST /v1/score/stream HTTP/1.1", "Host: x", "Content-Type: application/x-ndjson")
    received = b""
    with connected(client, *head, "Transfer-Encoding: chunked", "Connection: close") as connection:
        for id in ("first", "second"):
            line = json.dumps(message(id=id)).encode() + b"\n"
            connection.sendall(b"%x\r\n%s\r\n" % (len(line), line))
            while f'"id":"{id}"'.encode() not in received.replace(b" ", b""):
                received += (more := connection.recv(65536))
                assert more
        connection.sendall(b"0\r\n\r\n")
        while more := connection.recv(65536):
            received += more
    assert received.endswith(b"0\r\n\r\n")


def test_parts_of_a_long_message_meet_wherever_they_arrive(client: httpx.Client) -> None:
    half = len(SCAM[1]) // 2
    for reference in range(20):
        statuses = []
        for number, text in enumerate((SCAM[1][:half], SCAM[1][half:]), start=1):
            concat = {"reference": reference, "part": number, "parts": 2}
            body = {"messages": [message(text=text, sender="+15550100", concat=concat)]}
            with httpx.Client(base_url=client.base_url, timeout=60) as other:
                [result] = other.post("/v1/score", json=body).json()["results"]
            statuses.append(result.get("status") or result["verdict"])
        assert statuses == ["waiting", "scam"]


def test_only_serve_changes_the_model(client: httpx.Client) -> None:
    assert client.get("/v1/admin/model").status_code == 200
    for answer in (client.post("/v1/admin/model", json={"bundle": NEW}), client.delete("/v1/admin/model")):
        assert (answer.status_code, answer.json()["code"]) == (422, "model_refused")
        assert "user_config" in answer.json()["message"]


def test_metrics_are_those_of_all_replicas_of_a_machine(running: Running, client: httpx.Client) -> None:
    assert "forewarn_requests_total" in client.get("/metrics").text
    assert all(list(folder.glob("counter_*.db")) for folder in running.metrics)


def test_a_new_model_takes_over_and_nothing_is_lost(running: Running) -> None:
    stop, answers, faults = threading.Event(), [], []

    def ask() -> None:
        with httpx.Client(base_url=running.url, timeout=60) as client:
            while not stop.is_set():
                try:
                    answer = client.post("/v1/score", json={"messages": [message(text=f"{SCAM[0]} {len(answers)}")]})
                    answers.append((answer.status_code, answer.json().get("model")))
                except httpx.HTTPError as error:
                    faults.append(type(error).__name__)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(answers) > 20)
        running.deploy(NEW)
        after = len(answers)
        wait_until(lambda: len(answers) > after + 50)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not faults
    assert {status for status, _ in answers} == {200}
    assert {model for _, model in answers[:10]} == {VERSION}
    assert {model for _, model in answers[after + 10 :]} == {NEW}


def test_a_bundle_that_is_no_good_changes_nothing(running: Running, client: httpx.Client) -> None:
    running.deploy("damaged")
    for _ in range(20):
        assert client.get("/v1/model").json()["version"] == NEW
    running.deploy(VERSION)
    wait_until(lambda: all(client.get("/v1/model").json()["version"] == VERSION for _ in range(10)))


def test_ray_keeps_no_text(running: Running, client: httpx.Client) -> None:
    odd = {"X-Request-ID": f"call +{MARK} now", "X-Session-Id": "1"}
    body = {"messages": [message(id=MARK, text=f"{MARK} {SCAM[0]}", sender=f"+{MARK}")]}
    for changes in ({}, {"explain": True}, {MARK: MARK}):
        answer = client.post(f"/v1/score?{MARK}", json=body | changes, headers=odd)
        assert MARK not in str(answer.headers)
    client.post("/v1/score", content=f"{{{MARK}", headers=JSON | odd)
    client.post("/v1/score/stream", content=f"{MARK}\n{json.dumps(message(text=MARK))}", headers=NDJSON | odd)
    client.get(f"/{MARK}", headers=odd)
    late = client.post("/v1/score", json=body | {"explain": True}, headers={**odd, "X-Request-Deadline-Ms": "1"})
    assert late.status_code in (200, 504)
    with pytest.raises(httpx.TimeoutException):  # one that leaves before its answer
        client.post("/v1/score", json={**body, "messages": body["messages"] * 40, "explain": True}, timeout=0.001)
    time.sleep(2)  # for what is logged late
    written = [x for x in running.session.rglob("*") if x.is_file()]
    assert any(b'"event": "request"' in x.read_bytes() for x in written)  # what is searched has the service's log in it
    assert not [x for x in written if MARK.encode() in x.read_bytes()]


# The class as it is written, without what Serve adds to it.
OUTSIDE = deployment.Service.func_or_class.__mro__[1]


def replica(golden: str, bundle: Path):
    """A replica outside of Ray, with its application."""
    service = object.__new__(OUTSIDE)
    app = create_app(ScamClassifier.load(bundle), GoldenVector(SCAM[0], golden), LIMITS)
    service._models, service._named = app.state.models, False
    return service, app


def test_a_replica_is_healthy_once_it_has_answered_a_golden_vector(tiny_bundle: Path, monkeypatch) -> None:
    monkeypatch.setattr(deployment, "_READY_S", 1)

    async def check(golden: str) -> None:
        service, app = replica(golden, tiny_bundle)
        async with app.router.lifespan_context(app):
            await service.check_health()

    asyncio.run(check("scam"))
    with pytest.raises(RuntimeError, match="golden vector"):
        asyncio.run(check("legitimate"))


def test_a_replica_that_cannot_have_its_bundle_does_not_start(tiny_bundle: Path, monkeypatch) -> None:
    monkeypatch.delenv("FOREWARN_BUNDLES", raising=False)

    async def start(user_config: dict[str, object]) -> None:
        service, app = replica("scam", tiny_bundle)
        async with app.router.lifespan_context(app):
            await service.reconfigure(user_config)

    asyncio.run(start({"bundle": None}))
    for wrong, told in [
        ({"bundle": NEW}, "bundles"),
        ({"bundel": None}, "user_config"),
        ({"bundle": 1}, "user_config"),
    ]:
        with pytest.raises(Exception, match=told):
            asyncio.run(start(wrong))


def test_without_keys_no_replica_starts(tiny_bundle: Path, monkeypatch) -> None:
    for name in ("FOREWARN_OPEN", "FOREWARN_KEYS"):
        monkeypatch.delenv(name, raising=False)
    service = object.__new__(OUTSIDE)
    service._given = {"bundle": str(tiny_bundle)}
    with pytest.raises(Exception, match="FOREWARN_KEYS"):
        service.__serve_build_asgi_app__()
