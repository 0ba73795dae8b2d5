"""The description at /openapi.json: made-up requests are answered as it says, and a client made of it works."""

import contextlib
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import schemathesis
from forewarn.inference.classifier import ScamClassifier
from forewarn.inference.service import Settings
from forewarn.inference.service.keys import new_key
from forewarn.inference.service.keys_access import OPEN
from forewarn.inference.service.keys_store import open_store
from hypothesis import HealthCheck, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from test_server import serving, wait_until

EXAMPLES = 20
NDJSON = "application/x-ndjson"


def fails_only_at_a_deadline(context, response, case):
    """A header may ask for an answer within a millisecond; beside that, nothing in a request makes the service fail."""
    assert response.status_code in (*range(200, 500), 504)


CHECKS = [
    fails_only_at_a_deadline,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
OPERATIONS = [
    ("POST", "/v1/score"),
    ("POST", "/v1/score/stream"),
    ("POST", "/v1/filter/apple"),
    ("GET", "/.well-known/apple-app-site-association"),
    ("GET", "/v1/labels"),
    ("GET", "/v1/model"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("POST", "/v1/admin/model"),
    ("GET", "/v1/admin/model"),
    ("DELETE", "/v1/admin/model"),
]


@pytest.fixture(scope="module")
def client(tiny_bundle):
    classifier = ScamClassifier.load(tiny_bundle, threads=1)
    with serving(classifier, tiny_bundle, Settings(bundle=tiny_bundle, threads=1, apple_app_ids=["TEAM.app"])) as http:
        wait_until(lambda: http.get("/readyz").status_code == 200)
        yield http


@pytest.fixture(scope="module")
def described(client):
    return schemathesis.openapi.from_url(f"{client.base_url}/openapi.json")


def test_every_operation_is_tried(client):
    paths = client.get("/openapi.json").json()["paths"]
    assert sorted((method.upper(), path) for path in paths for method in paths[path]) == sorted(OPERATIONS)


@schemathesis.serializer(NDJSON)
def write_line(context, value):
    return json.dumps(value).encode()


@schemathesis.deserializer(NDJSON)
def read_line(context, response):
    """The description is of a line, and a request that is made up is one."""
    [line] = response.content.splitlines()
    return json.loads(line)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_answers_are_as_described(described, method, path):
    operation = described[path][method]
    takes_nothing = not operation.body and not list(operation.iter_parameters())
    for mode in GenerationMode:
        # Where there is nothing to get wrong, one right request is all there is.
        if not takes_nothing:
            try_out(operation, mode, EXAMPLES)
        elif mode is GenerationMode.POSITIVE:
            try_out(operation, mode, 1)


def try_out(operation, mode, examples):
    @seed(7)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def ask(case):
        case.call_and_validate(checks=CHECKS)

    ask()


def test_what_a_locked_service_refuses_is_as_described(tiny_bundle, tmp_path):
    url = f"sqlite:///{tmp_path}/keys.db"
    with contextlib.closing(open_store(url)) as store:
        made = {scope: new_key(scope, [scope]) for scope in ("score", "metrics")}
        for key, _ in made.values():
            store.add(key)
    score, metrics = ({"Authorization": f"Bearer {token}"} for _, token in made.values())
    classifier = ScamClassifier.load(tiny_bundle, threads=1)
    with serving(classifier, tiny_bundle, Settings(bundle=tiny_bundle, keys=url)) as client:
        described = schemathesis.openapi.from_dict(client.get("/openapi.json", headers=score).json())
        for method, path in OPERATIONS:
            for headers, refused in (({}, 401), (metrics, 403)):
                case = described[path][method].Case()
                answer = case.call(base_url=str(client.base_url), headers=headers)
                case.validate_response(answer, checks=[response_schema_conformance, status_code_conformance])
                free = path in OPEN or (path == "/metrics" and headers)
                assert (answer.status_code == refused) != bool(free)


@pytest.fixture(scope="module")
def generated(client, tmp_path_factory):
    """The package that `openapi-python-client` makes of the description, imported."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "openapi.json").write_text(client.get("/openapi.json").text, encoding="utf-8")
    (folder / "config.yaml").write_text("post_hooks: []\n", encoding="utf-8")  # it would tidy up for a reader
    command = [Path(sys.executable).with_name("openapi-python-client"), "generate", "--meta", "none"]
    given_files = ["--path", folder / "openapi.json", "--config", folder / "config.yaml"]
    done = subprocess.run(
        [*command, *given_files, "--output-path", folder / "scam_client"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # The generator knows no JSON lines; all else it must understand.
    assert done.stderr.count("WARNING") == 1 and "content type application/x-ndjson" in done.stderr
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(str(folder))
        yield importlib.import_module("scam_client")
        for name in [x for x in sys.modules if x.partition(".")[0] == "scam_client"]:
            del sys.modules[name]


def test_a_generated_client_scores_is_told_off_and_reads_the_labels(generated, client, tiny_classifier):
    from scam_client.api.model import labels, model
    from scam_client.api.scoring import score
    from scam_client.models import ErrorBody, InputMessage, ScoreRequest, ScoreResponse

    texts = ["Claim your tax rebate today or it expires", "See you at dinner tonight, love mum"]
    with generated.Client(base_url=str(client.base_url)) as connection:
        messages = [InputMessage(id=str(i), text=text, sender="+15550100") for i, text in enumerate(texts)]
        answer = score.sync(client=connection, body=ScoreRequest(messages=messages, explain=True))
        assert isinstance(answer, ScoreResponse)
        assert [x.id for x in answer.results] == ["0", "1"]
        assert [x.verdict for x in answer.results] == ["scam", "legitimate"]
        assert answer.results[0].forewarning and answer.results[0].evidence[0].text in texts[0]

        refused = score.sync_detailed(
            client=connection, body=ScoreRequest(messages=[InputMessage(id="x" * 300, text="")])
        )
        assert refused.status_code == 422
        assert isinstance(refused.parsed, ErrorBody)
        assert (refused.parsed.code, refused.parsed.message) == ("invalid_request", "messages[0].id: is too long")

        told = labels.sync(client=connection)
        assert [leaf.name for leaf in told.leaves] == list(tiny_classifier.taxonomy.names)
        assert model.sync(client=connection).version == answer.model == tiny_classifier.version
