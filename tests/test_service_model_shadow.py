"""A model that scores behind the one that answers: what it counts, what it leaves out, and that it may take over."""

import asyncio

from forewarn.inference.classifier import ScamClassifier
from forewarn.inference.service.metrics import Metrics
from forewarn.inference.service.scoring import Asked
from forewarn.inference.service.shadow import Shadow
from test_server import Held, post, wait_until
from test_service_bounds import in_background
from test_service_metrics import samples, value
from test_service_model_change import ADMIN, SCAM, TEXTS, ask, change, digest_of, service
from tinybundle import NEXT_VERSION as NEW
from tinybundle import VERSION as OLD


def test_a_shadow_counts_agreement_and_takes_over_when_told_to(bundles):
    foreign = {"sender": "+44 7700 900123", "locale": "en-SG"}
    with service(bundles) as client:
        about = change(client, "new", shadow=1).json()
        assert (about["version"], about["before"], about["shadow"]["version"]) == (OLD, None, NEW)
        messages = [{"id": str(i), "text": x, **foreign} for i, x in enumerate(TEXTS)]
        for explain in (False, True):
            answer = post(client, messages=messages, explain=explain).json()
            assert {x["model"] for x in answer["results"]} == {OLD}
        wait_until(lambda: client.get(ADMIN).json()["shadow"]["messages"] == 6)
        shadow = client.get(ADMIN).json()["shadow"]
        assert (shadow["share"], shadow["dropped"]) == (1, 0)
        assert {x["action"] for x in answer["results"]} == {"block", "allow"}
        new = ScamClassifier.load(bundles / "new", threads=1)
        said = new.score(TEXTS, senders=[foreign["sender"]] * 3, locale=foreign["locale"])
        assert sum(shadow["actions"]["block"].values()) == 4
        assert shadow["actions"]["block"] == {said[0].action: 4}
        assert shadow["verdicts"] == {"scam": {"scam": 4}, "legitimate": {"legitimate": 2}}
        found = samples(client)
        assert value(found, "forewarn_shadow_verdicts_total", running="scam", shadow="scam") == 4
        assert value(found, "forewarn_shadow_actions_total", running="block", shadow=said[0].action) == 4
        assert value(found, "forewarn_messages_total") == 6  # what the shadow scored counts as nobody's
        assert change(client, "new").json() == {
            "version": NEW,
            "digest": digest_of(bundles / "new"),
            "before": OLD,
            "shadow": None,
            "workers": {"all": 1, "changed": 1},
        }


def test_a_shadow_takes_its_share(bundles):
    with service(bundles) as client:
        change(client, "new", shadow=0.1)
        for i in range(5):
            ask(client, *(f"{SCAM} {i} {j}" for j in range(200)))
        # Of a thousand; some of them may wait still.
        wait_until(lambda: counted(client) > 60)
        assert counted(client) < 200


def counted(client):
    shadow = client.get(ADMIN).json()["shadow"]
    return shadow["messages"] + shadow["dropped"]


def test_a_shadow_drops_what_comes_while_messages_wait(tiny_classifier):
    verdicts = tiny_classifier.score(TEXTS)

    async def tally(busy):
        shadow = Shadow(tiny_classifier, 1.0, lambda: busy, Metrics())
        shadow.start()
        shadow.offer([Asked(text) for text in TEXTS], verdicts)
        while shadow.tally["messages"] + shadow.tally["dropped"] < 3:
            await asyncio.sleep(0.01)
        shadow.stop()
        return shadow.tally

    busy, idle = (asyncio.run(tally(x)) for x in (True, False))
    assert (busy["messages"], busy["dropped"]) == (0, 3)
    assert (idle["messages"], idle["dropped"]) == (3, 0)


def test_a_shadow_holds_only_a_few_messages(bundles):
    held = Held(ScamClassifier.load(bundles / "old", threads=1))
    with service(bundles, held, cache_bytes=0) as client:
        assert held.entered.acquire(timeout=10)
        change(client, "new", shadow=1)
        asked = [in_background(ask, client, *TEXTS * 30) for _ in range(3)]
        wait_until(lambda: value(samples(client), "forewarn_queue_messages", lane="score") == 270)
        held.go.set()
        for finished in asked:
            finished()
        shadow = client.get(ADMIN).json()["shadow"]
        assert shadow["dropped"] > 0
        assert value(samples(client), "forewarn_shadow_dropped_total") == shadow["dropped"]
