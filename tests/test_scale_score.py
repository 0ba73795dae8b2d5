"""Folders scored on a Ray cluster of two nodes; `make test-scale` runs this."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_batch import MARK, contents, message, write_folder

pytest.importorskip("ray")
pytestmark = pytest.mark.scale

import forewarn.inference.scale  # noqa: E402, F401  (before Ray: it turns Ray's reports off)
import ray  # noqa: E402
from forewarn.inference import batch  # noqa: E402
from forewarn.inference.cli import main  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402

IN_SMALL_BLOCKS = (
    "import sys; from forewarn.inference import batch, cli; batch.BLOCK_ROWS = 20; sys.exit(cli.main(sys.argv[1:]))"
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two nodes with a core each."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(scope="module")
def session(cluster: Cluster) -> Path:
    """The folder in which Ray keeps its logs and whatever it writes."""
    return Path(cluster.head_node.get_session_dir_path())


@pytest.fixture
def score(tiny_bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(batch, "BLOCK_ROWS", 20)

    def run(*args: object) -> tuple[int, str, str]:
        code = main(["score", "--bundle", str(tiny_bundle), *map(str, args)])
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def much(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of 40 blocks in all; with explanations they take a while."""
    folder = tmp_path_factory.mktemp("much")
    for name in ("a", "b"):
        lines = [json.dumps(message(i)) for i in range(400)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def verdicts(much: Path, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What this process alone makes of them."""
    output = tmp_path_factory.mktemp("verdicts") / "out"
    options = ["--input", str(much), "--output", str(output), "--explain"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(batch, "BLOCK_ROWS", 20)
        assert main(["score", "--bundle", str(tiny_bundle), *options]) == 0
    return contents(output)


def wait_for(condition, seconds: float = 120) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


def parts(output: Path) -> list[Path]:
    return list(output.glob(".forewarn-parts/*/0*"))


def test_the_cluster_writes_what_one_machine_writes(score, cluster: Cluster, session: Path, tmp_path: Path) -> None:
    source = write_folder(tmp_path / "in", rows=100)
    (source / "broken.parquet").write_text(MARK, encoding="utf-8")
    local = score("--input", source, "--output", tmp_path / "local")
    answer = score("--input", source, "--output", tmp_path / "ray", "--engine", "ray")
    assert (answer[0], sorted(answer[2].splitlines())) == (2, sorted(local[2].splitlines()))
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")
    again = score("--input", source, "--output", tmp_path / "ray", "--engine", "ray")
    assert again[0] == 2 and "5 files were done before, but for 3 rows" in again[2]
    (source / "a.jsonl").write_text("\n".join(json.dumps(message(i)) for i in range(50)), encoding="utf-8")
    anew = score("--input", source, "--output", tmp_path / "ray", "--engine", "ray")
    assert "50 messages of 1 files scored" in anew[2] and "4 files were done before" in anew[2]
    assert len((tmp_path / "ray" / "a.jsonl").read_bytes().splitlines()) == 50
    for text in (MARK, "Claim your tax rebate", "+15550100"):
        assert not [x for x in session.rglob("*") if x.is_file() and text.encode() in x.read_bytes()]


def test_a_lost_machine_loses_nothing(score, cluster: Cluster, much: Path, verdicts, tmp_path: Path) -> None:
    output = tmp_path / "ray"
    [worker] = cluster.worker_nodes
    ended, under_way = threading.Event(), []

    def lose_it() -> None:
        wait_for(lambda: len(parts(output)) > 10 or ended.is_set())
        under_way.append(not ended.is_set())
        cluster.remove_node(worker, allow_graceful=False)

    losing = threading.Thread(target=lose_it)
    losing.start()
    answer = score("--input", much, "--output", output, "--engine", "ray", "--explain")
    ended.set()
    losing.join()
    assert under_way == [True]
    cluster.add_node(num_cpus=1)
    assert (answer[0], answer[2]) == (0, "")
    assert answer[1].endswith("800 messages of 2 files scored\n")  # Ray says before it that it has lost a machine
    assert contents(output) == verdicts


def test_a_killed_job_goes_on(score, cluster: Cluster, tiny_bundle: Path, much: Path, verdicts, tmp_path: Path) -> None:
    output = tmp_path / "ray"
    options = ["--input", str(much), "--output", str(output), "--engine", "ray", "--explain"]
    command = [sys.executable, "-c", IN_SMALL_BLOCKS, "score", "--bundle", str(tiny_bundle), *options]
    with subprocess.Popen(command, env={**os.environ, "RAY_ADDRESS": cluster.address}) as process:
        wait_for(lambda: len(parts(output)) > 10 or process.poll() is not None)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert parts(output) and not (output / "b.jsonl").exists()
    assert score(*options)[0] == 0
    assert contents(output) == verdicts


def test_another_bundle_on_a_machine_ends_the_job(score, cluster: Cluster, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("forewarn.inference.bundle.Bundle.digest", "of another one")
    (tmp_path / "m.txt").write_text("hello", encoding="utf-8")
    code, _, err = score("--input", tmp_path / "m.txt", "--output", tmp_path / "out", "--engine", "ray")
    assert (code, err.count("\n")) == (3, 1)
    assert "is another one on one of the machines" in err


def test_nothing_is_reported_to_the_maker_of_ray(session: Path) -> None:
    code = (
        "import forewarn.inference.scale; from ray._common.usage import usage_lib as u; print(u.usage_stats_enabled())"
    )
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "1"}
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"
    assert not list(session.glob("usage_stats*"))
    assert "Usage reporting is disabled" in (session / "logs" / "dashboard.log").read_text(encoding="utf-8")
