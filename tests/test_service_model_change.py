"""Another model while the service runs: nothing is lost, and what is wrong is refused."""

import contextlib
import json
import os
import shutil
import threading

import pytest
from forewarn.export.release import new_key as new_signing_key
from forewarn.export.release import sign
from forewarn.inference import cli
from forewarn.inference.bundle import Bundle
from forewarn.inference.classifier import ScamClassifier
from forewarn.inference.service import Settings
from forewarn.inference.service.keys import new_key
from forewarn.inference.service.keys_store import open_store
from test_server import Held, check_error, post, serving, wait_until
from test_service_bounds import in_background
from test_service_metrics import samples, value
from tinybundle import NEXT_VERSION as NEW
from tinybundle import VERSION as OLD
from tinybundle import retrain, seal

ADMIN = "/v1/admin/model"
SCAM = "Claim your tax rebate today or it expires"
TEXTS = [SCAM, "Tax refund waiting, claim your rebate now at http://refund.example", "Running late, be home at seven"]


@pytest.fixture
def risks(bundles):
    """What each version says of each text."""
    loaded = [ScamClassifier.load(bundles / name, threads=1) for name in ("old", "new")]
    return {x.version: dict(zip(TEXTS, (v.risk for v in x.score(TEXTS)), strict=True)) for x in loaded}


@contextlib.contextmanager
def service(folder, classifier=None, **settings):
    given = Settings(**{"bundle": folder / "old", "bundles": folder, "threads": 1, **settings})
    with serving(classifier or ScamClassifier.load(folder / "old", threads=1), folder / "old", given) as client:
        yield client


def change(client, bundle, **fields):
    return client.post(ADMIN, json={"bundle": bundle, **fields})


def ask(client, *texts):
    answer = post(client, messages=[{"id": str(i), "text": x} for i, x in enumerate(texts)])
    assert answer.status_code == 200
    return answer.json()


def test_a_change_under_load_loses_nothing(bundles, risks):
    answers, stopped = [], threading.Event()

    def score(client):
        while not stopped.is_set():
            answers.append(ask(client, *TEXTS))

    def explain(client):
        while not stopped.is_set():
            answer = post(client, messages=[{"id": str(i), "text": x} for i, x in enumerate(TEXTS)], explain=True)
            assert answer.status_code == 200
            answers.append(answer.json())

    def stream(client):
        content = "\n".join(json.dumps({"id": str(i), "text": x}) for i, x in enumerate(TEXTS))
        while not stopped.is_set():
            answer = client.post("/v1/score/stream", content=content, headers={"Content-Type": "application/x-ndjson"})
            # A stream may be without end: each line of it goes to the model that answers by then.
            for result in map(json.loads, answer.text.splitlines()):
                answers.append({"results": [result], "model": result["model"]})

    with service(bundles) as client:
        running = [in_background(work, client) for work in (score, score, score, explain, stream)]
        for name, version in [("new", NEW), ("old", OLD), ("new", NEW)]:
            before = len(answers)
            assert change(client, name).json()["version"] == version
            wait_until(lambda before=before: len(answers) > before + 20)
        stopped.set()
        for finished in running:
            finished()
        assert ask(client, SCAM)["model"] == NEW
    for answer in answers:
        assert {x["model"] for x in answer["results"]} == {answer["model"]}
        for result in answer["results"]:
            assert result["risk"] == pytest.approx(risks[answer["model"]][TEXTS[int(result["id"])]], abs=1e-4)
    assert {x["model"] for x in answers} == {OLD, NEW}


def test_a_request_ends_on_the_model_that_it_began_with(bundles, risks):
    held = Held(ScamClassifier.load(bundles / "old", threads=1))
    with service(bundles, held) as client:
        assert held.entered.acquire(timeout=10)  # the golden vector
        begun = in_background(ask, client, SCAM)
        wait_until(lambda: value(samples(client), "forewarn_queue_messages", lane="score") == 1)
        for name in ("new", None, "new"):  # it is not even kept for a way back by then
            assert change(client, name).status_code == 200
        assert ask(client, SCAM)["results"][0]["risk"] == pytest.approx(risks[NEW][SCAM], abs=1e-4)
        held.go.set()
        answer = begun()
        assert answer["model"] == answer["results"][0]["model"] == OLD
        assert answer["results"][0]["risk"] == pytest.approx(risks[OLD][SCAM], abs=1e-4)
        assert value(samples(client), "forewarn_queue_messages", lane="score") == 0


def test_the_cache_does_not_outlive_its_model(bundles, risks):
    with service(bundles) as client:
        for name, version in [(None, OLD), ("new", NEW), ("old", OLD)]:
            change(client, name)
            for _ in range(2):
                assert ask(client, SCAM)["results"][0]["risk"] == pytest.approx(risks[version][SCAM], abs=1e-4)


def test_the_labels_and_the_model_are_those_of_the_new_one(bundles):
    seal(bundles / "new", max_length=64)
    with service(bundles) as client:
        version = client.get("/openapi.json").json()["info"]["version"]
        answer = change(client, "new")
        rest = {"before": OLD, "shadow": None, "workers": {"all": 1, "changed": 1}}
        assert answer.json() == {"version": NEW, "digest": digest_of(bundles / "new"), **rest}
        about = client.get("/v1/model").json()
        assert (about["version"], about["max_length"]) == (NEW, 64)
        assert client.get("/readyz").status_code == 200
        assert client.get("/openapi.json").json()["info"]["version"] == version != OLD  # of the API, not of a model
        found = samples(client)
    assert value(found, "forewarn_model_changes_total", result="changed") == 1


def test_the_way_back_and_forth_again(bundles):
    with service(bundles) as client:
        assert "before" in check_error(client.delete(ADMIN), 422, "model_refused")
        change(client, "new")
        change(client, "new")  # the same once more is no change: the one before stays
        old = digest_of(bundles / "old")
        shutil.rmtree(bundles / "old")  # it is in memory
        assert client.delete(ADMIN).json() == {
            "version": OLD,
            "digest": old,
            "before": NEW,
            "shadow": None,
            "workers": {"all": 1, "changed": 1},
        }
        assert ask(client, SCAM)["model"] == OLD
        assert client.delete(ADMIN).json()["version"] == NEW
        assert ask(client, SCAM)["model"] == NEW


def digest_of(folder):
    return Bundle.open(folder).digest[:12]


def test_another_model_of_the_same_version_is_told_from_the_first(bundles, caplog):
    caplog.set_level("INFO")
    retrain(bundles / "new", OLD, factor=0.9)
    old, new = digest_of(bundles / "old"), digest_of(bundles / "new")

    def running(client, digest):
        about = client.get("/v1/model").json()
        assert (about["version"], about["digest"], client.get(ADMIN).json()["digest"]) == (OLD, digest, digest)
        found = samples(client)
        return [value(found, "forewarn_model_running", version=OLD, digest=x) for x in (old, new) if x in str(found)]

    with service(bundles) as client:
        assert running(client, old) == [1]
        assert change(client, "new", shadow=1).json()["shadow"]["digest"] == new
        assert change(client, "new").json()["digest"] == new
        assert running(client, new) == [0, 1]
        client.delete(ADMIN)
        assert running(client, old) == [1, 0]
    logged = [x.fields for x in caplog.records if x.getMessage() == "these models run now"]
    assert [x["digest"] for x in logged] == [old, new, old] and logged[0]["shadow_digest"] == new


def damage(folder):
    (folder / "model.onnx").write_bytes(b"x" + (folder / "model.onnx").read_bytes()[1:])


def other_vectors(folder):
    vectors = (folder / "vectors.jsonl").read_text(encoding="utf-8")
    (folder / "vectors.jsonl").write_text(vectors.replace('"scam"', '"promotion"'), encoding="utf-8")
    seal(folder)


def other_numbers(folder):
    kept = (folder / "vectors.jsonl").read_bytes()
    retrain(folder, factor=0.5)
    (folder / "vectors.jsonl").write_bytes(kept)
    seal(folder)


def nonsense(folder):
    (folder / "vectors.jsonl").write_bytes(b"\xff\xfe")
    seal(folder)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (damage, "model.onnx is damaged"),
        (other_vectors, "golden vectors"),
        (other_numbers, "golden vectors"),
        (nonsense, "cannot be loaded"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json is missing"),
        (lambda folder: (folder / "manifest.json").unlink(), "no manifest.json"),
        (shutil.rmtree, "no bundle"),
    ],
)
def test_a_bundle_that_is_not_right_is_refused_and_the_old_model_goes_on(bundles, spoil, told):
    with service(bundles) as client:
        before = ask(client, *TEXTS)
        spoil(bundles / "new")
        for fields in ({}, {"shadow": 1.0}):
            message = check_error(change(client, "new", **fields), 422, "model_refused")
            assert told in message
            assert str(bundles) not in message and "\n" not in message
        assert ask(client, *TEXTS) == before
        about = client.get(ADMIN).json()
        assert (about["version"], about["before"], about["shadow"]) == (OLD, None, None)
        assert value(samples(client), "forewarn_model_changes_total", result="refused") == 2


def test_only_what_the_pinned_key_has_signed_is_loaded(bundles, tmp_path):
    public = new_signing_key(tmp_path / "release.key")
    sign(bundles / "old", tmp_path / "release.key")
    with service(bundles, public_key=public) as client:
        assert "not signed" in check_error(change(client, "new"), 422, "model_refused")
        new_signing_key(tmp_path / "other.key")
        sign(bundles / "new", tmp_path / "other.key")
        assert "not signed with this key" in check_error(change(client, "new"), 422, "model_refused")
        sign(bundles / "new", tmp_path / "release.key")
        assert change(client, "new").json()["version"] == NEW


def test_the_service_does_not_start_with_a_bundle_that_is_not_signed(bundles, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("FOREWARN_PUBLIC_KEY", new_signing_key(tmp_path / "release.key"))
    assert cli.main(["serve", "--port", "0", "--bundle", str(bundles / "old")]) == 3
    assert "not signed" in capsys.readouterr().err


def test_no_path_leaves_the_folder(bundles, tiny_bundle, tmp_path):
    (bundles / "link").symlink_to(tiny_bundle)
    (bundles / "round").symlink_to("round")
    inner = shutil.copytree(bundles / "new", bundles / "inner")
    shutil.move(inner / "model.onnx", tmp_path / "model.onnx")
    (inner / "model.onnx").symlink_to(tmp_path / "model.onnx")
    (bundles / "current").symlink_to("new")
    names = [
        "link",
        "inner",
        str(tiny_bundle),
        f"../{bundles.name}/../../x",
        "..",
        ".",
        "",
        "/etc",
        "round",
        "a\0b",
        "x" * 300,
    ]
    with service(bundles) as client:
        for name in names:
            message = check_error(change(client, name), 422, "model_refused")
            assert str(tmp_path) not in message and str(tiny_bundle) not in message
        for good in ("current", "old/../new", str(bundles / "new")):
            assert change(client, good).json()["version"] == NEW
    with service(bundles, bundles=None) as client:
        check_error(change(client, "new"), 422, "model_refused")
        check_error(change(client, str(bundles / "old")), 422, "model_refused")
        assert change(client, None).json()["version"] == OLD


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"bundle": 7},
        {"bundle": "new", "shadow": 0},
        {"bundle": "new", "shadow": 1.5},
        {"bundle": "new", "shadow": "1"},
    ]
    + [{"bundle": "new", "zebra": 1}, {"bundle": "x" * 2000}, []],
)
def test_a_request_that_does_not_fit_is_refused(bundles, body):
    with service(bundles) as client:
        assert "zebra" not in check_error(client.post(ADMIN, json=body), 422, "invalid_request")
        assert client.get(ADMIN).json()["version"] == OLD


def test_one_change_at_a_time(bundles):
    (bundles / "slow").mkdir()
    os.mkfifo(bundles / "slow" / "manifest.json")
    with service(bundles) as client:
        slow = in_background(change, client, "slow")
        with (bundles / "slow" / "manifest.json").open("wb"):  # opens once the service reads there
            check_error(change(client, "new"), 409, "change_running")
            check_error(client.delete(ADMIN), 409, "change_running")
            assert ask(client, SCAM)["model"] == OLD
            assert client.get(ADMIN).status_code == client.get("/readyz").status_code == 200
        check_error(slow(), 422, "model_refused")
        assert change(client, "new").json()["version"] == NEW


def test_only_a_key_for_it_changes_the_model(bundles, tmp_path):
    url = f"sqlite:///{tmp_path}/keys.db"
    tokens = {}
    with contextlib.closing(open_store(url)) as store:
        for scope in ("score", "metrics", "admin"):
            key, tokens[scope] = new_key(scope, [scope])
            store.add(key)
    with service(bundles, keys=url) as client:
        check_error(change(client, "new"), 401, "key_missing")
        for scope in ("score", "metrics"):
            client.headers["Authorization"] = f"Bearer {tokens[scope]}"
            for answer in (change(client, "new"), client.get(ADMIN), client.delete(ADMIN)):
                check_error(answer, 403, "scope_missing")
        client.headers["Authorization"] = f"Bearer {tokens['admin']}"
        assert change(client, "new").json()["version"] == client.get(ADMIN).json()["version"] == NEW
        assert client.delete(ADMIN).json()["version"] == OLD


@pytest.mark.parametrize("address", ["203.0.113.7", "2001:db8::1", "somewhere"])
def test_without_keys_only_this_machine_changes_the_model(bundles, address):
    with service(bundles, open=True) as client:
        headers = {"X-Forwarded-For": address}  # as a proxy on this machine says it, which the server believes
        for method in ("GET", "POST", "DELETE"):
            answer = client.request(method, ADMIN, json={"bundle": "new"}, headers=headers)
            assert "keys" in check_error(answer, 403, "scope_missing")
        assert client.get("/v1/model", headers=headers).json()["version"] == OLD
