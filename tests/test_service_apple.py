"""What an iPhone's message filter extension gets when it defers to the network."""

import pytest
from forewarn.inference.classifier import Verdict
from forewarn.inference.service import Settings
from forewarn.inference.service.apple import apple_answer
from test_server import check_error, serving

SCAM = "Claim your tax rebate today or it expires"


def query(text, **changes):
    body = {
        "_version": 1,
        "query": {"sender": "14085550001", "message": {"text": text}},
        "app": {"version": "1.1"},
    }
    return {**body, **changes}


def test_a_scam_is_junk_and_a_word_from_mum_is_allowed(tiny_classifier, tiny_bundle):
    with serving(tiny_classifier, tiny_bundle) as client:
        headers = {"Content-Type": "application/json; charset=utf-8", "Accept": "*/*"}
        answer = client.post("/v1/filter/apple", json=query(SCAM), headers=headers)
        assert answer.status_code == 200
        assert answer.json() == {"action": 2, "sub_action": 0}
        ham = client.post("/v1/filter/apple", json=query("See you at dinner tonight, love mum"))
        assert ham.json() == {"action": 1, "sub_action": 0}
        # A later iOS may send more.
        later = client.post("/v1/filter/apple", json=query(SCAM, _version=2, device={"os": "30"}))
        assert later.json() == {"action": 2, "sub_action": 0}


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"_version": 1, "app": {"version": "1"}}, "query: missing"),
        ({"_version": 1, "query": {"sender": "1", "message": {}}}, "query.message.text: missing"),
        ({"_version": "zebra", "query": {"message": {"text": "a"}}}, "_version: must be a whole number"),
        ("zebra", "the body: must be an object"),
    ],
)
def test_another_body_is_refused_without_quoting(tiny_classifier, tiny_bundle, body, names):
    with serving(tiny_classifier, tiny_bundle) as client:
        message = check_error(client.post("/v1/filter/apple", json=body), 422, "invalid_request")
    assert names in message
    assert "zebra" not in message


@pytest.mark.parametrize(
    ("verdict", "action", "type", "answer"),
    [
        ("scam", "block", "prize", (2, 0)),
        ("scam", "warn", "prize", (2, 0)),
        ("scam", "allow", "prize", (1, 0)),
        ("promotion", "allow", "promotion", (3, 0)),
        ("legitimate", "allow", "transactional", (4, 0)),
        ("legitimate", "allow", "public_notice", (4, 10008)),
        ("legitimate", "allow", "personal", (1, 0)),
    ],
)
def test_every_kind_of_verdict_has_its_numbers(verdict, action, type, answer):
    given = apple_answer(Verdict(verdict, 0.5, action, type, 0.5, (), "2026.11.0"))
    assert (given.action, given.sub_action) == answer


def test_the_association_file_is_there_when_apps_are_set(tiny_classifier, tiny_bundle):
    path = "/.well-known/apple-app-site-association"
    with serving(tiny_classifier, tiny_bundle, Settings(apple_app_ids=["TEAM.com.example.app"])) as client:
        answer = client.get(path)
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() == {"messagefilter": {"apps": ["TEAM.com.example.app"]}}
    with serving(tiny_classifier, tiny_bundle) as client:
        check_error(client.get(path), 404, "not_found")
