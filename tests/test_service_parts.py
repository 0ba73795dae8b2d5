"""Parts of long SMS messages: put together in any order, scored once, in bounded memory, for a short time."""

import json
import signal
import tracemalloc
from contextlib import contextmanager

import httpx
import pytest
from forewarn.inference.service import Settings
from forewarn.inference.service.keys import new_key
from forewarn.inference.service.keys_store import open_store
from forewarn.inference.service.parts import MESSAGE_BYTES, PART_BYTES, Part, PartBuffer
from hypothesis import given
from hypothesis import strategies as st
from test_server import Held, check_error, post, serving, wait_until
from test_service_bounds import in_background, queue_length
from test_service_cache import Counting, metric
from test_service_drain import process
from test_service_stream import stream

WHOLE = "Claim your tax rebate today or it expires: http://refund.example"
PIECES = ["Claim your tax ", "rebate today or ", "it expires: http://refund.example"]


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def buffer(max_bytes=1 << 20, max_messages=1000, wait_s=60.0, clock=None):
    return PartBuffer(max_bytes, max_messages, wait_s, clock or Clock())


def pieces(texts, owner="a carrier", sender="+15550100", recipient="", reference=7):
    return [Part(owner, sender, recipient, reference, i, len(texts), x) for i, x in enumerate(texts, start=1)]


# Lone surrogates too: a character may be cut in two where a part ends.
TEXTS = st.lists(st.text(st.characters(), max_size=8), min_size=2, max_size=6)


@st.composite
def traffic(draw):
    """Some messages, and their parts as they come: in any order, mixed with one another, some of them repeated."""
    messages = []
    for i, texts in enumerate(draw(st.lists(TEXTS, min_size=1, max_size=6))):
        # They differ in one thing only; all else is the same.
        differs = draw(st.sampled_from(["owner", "sender", "recipient", "reference"]))
        messages.append(pieces(texts, **{differs: i if differs == "reference" else f"{differs} {i}"}))
    once = [part for parts in messages for part in parts]
    again = draw(st.lists(st.sampled_from(once), max_size=10))
    return messages, draw(st.permutations(once + again))


@given(traffic(), st.data())
def test_whatever_comes_in_whatever_order_is_what_joining_by_hand_gives(made, data):
    messages, coming = made
    held, seen = buffer(), set()
    while coming:
        size = data.draw(st.integers(1, len(coming)))
        request, coming = coming[:size], coming[size:]
        before = set(seen)
        seen.update(request)
        for part, state in zip(request, held.add(request), strict=True):
            [whole] = [parts for parts in messages if part in parts]
            there = [x for x in whole if x in seen]
            joined = "".join(x.text for x in whole).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
            assert state.seen == len(there)
            assert state.text == (joined if len(there) == len(whole) else None)
            assert state.new == (part not in before)
            before.add(part)
    report = held.report()
    assert (report.joined, report.lost) == (len(messages), {})


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4), st.integers(0, 300), st.integers(0, 9)), max_size=60),
    st.integers(0, 4000),
    st.integers(1, 5),
)
def test_the_bounds_are_never_passed(coming, max_bytes, max_messages):
    clock = Clock()
    held = buffer(max_bytes, max_messages, wait_s=20, clock=clock)
    begun = set()
    for reference, number, length, seconds in coming:
        clock.now += seconds
        part = Part("", "+1", "", reference, number, 4, "x" * length)
        held.add([part])
        begun.add(part)
        sizes = [MESSAGE_BYTES + sum(PART_BYTES + len(x) for x in m.parts.values()) for m in held._messages.values()]
        assert held.size_bytes == sum(sizes) <= max_bytes
        assert len(held) <= max_messages
    clock.now += 21
    report = held.report()
    assert len(held) == held.size_bytes == report.size_bytes == 0
    assert bool(begun) == bool(report.joined + sum(report.lost.values()))
    assert set(report.lost) <= {"expired", "evicted", "replaced"}


def test_a_message_expires_with_the_time_of_its_first_part_and_its_text_is_overwritten():
    clock = Clock()
    held = buffer(wait_s=60, clock=clock)
    first, second, third = pieces(PIECES)
    held.add([first])
    clock.now += 59
    assert held.add([second])[0].seen == 2
    texts = [text for message in held._messages.values() for text in message.parts.values()]
    assert "Claim".encode("utf-16-le") in texts[0]
    clock.now += 1
    assert held.report().lost == {"expired": 1}
    assert not any(any(text) for text in texts)
    assert held.add([third])[0] == (1, None, True)  # too late for the others
    assert held.report().lost == {}  # each is told once


def test_what_is_whole_makes_room_first_and_an_incomplete_one_is_counted():
    held = buffer(max_messages=2)
    held.add(pieces(PIECES[:2], reference=1)[:1])
    held.add(pieces(PIECES[:2], reference=2))
    held.add(pieces(PIECES[:2], reference=3)[:1])
    assert held.report().lost == {}
    assert held.add(pieces(PIECES[:2], reference=1)[1:])[0].text == "Claim your tax rebate today or "
    held.add(pieces(PIECES[:2], reference=4)[:1])
    held.add(pieces(PIECES[:2], reference=5)[:1])
    assert held.report().lost == {"evicted": 1}  # 1 was whole and went for 4; 3 was not


def test_another_text_in_the_place_of_a_part_begins_another_message():
    held = buffer()
    held.add(pieces(["your code ", "is 12"])[:1])
    new = pieces(["see you ", "at seven"])
    assert held.add([new[0]])[0] == (1, None, True)
    assert held.add([new[1]])[0].text == "see you at seven"
    assert held.report().lost == {"replaced": 1}


def test_a_part_is_taken_back_unless_somebody_else_sent_it_too():
    held = buffer()
    first, second, third = pieces(PIECES)
    held.add([first])
    held.add([second, third])
    held.remove([second, third])
    assert held.add([second])[0] == (2, None, True)
    held.add([second])
    held.remove([second])
    assert held.add([third])[0].text == WHOLE
    other = pieces(["a", "b"], reference=9)
    size = held.size_bytes
    held.add(other[:1])
    held.remove(other)
    assert held.size_bytes == size
    assert held.report().lost == {}


def test_what_is_counted_is_at_least_what_is_used():
    held = buffer(max_bytes=1 << 40, max_messages=1 << 30)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for i in range(2000):
        held.add(pieces(["x" * 153] * (1 + i % 4), sender=f"+1555{i}"))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held.size_bytes / 2 < after - before < held.size_bytes


def test_the_buffer_holds_no_sender_and_no_recipient():
    held = buffer()
    held.add(pieces(PIECES, sender="+zebra", recipient="+giraffe")[:1])
    assert "zebra" not in repr(vars(held)) and "giraffe" not in repr(vars(held))


# The service.


def part(number, text=None, id=None, of=3, reference=7, **more):
    text = PIECES[number - 1] if text is None else text
    concat = {"reference": reference, "part": number, "parts": of, **more.pop("concat", {})}
    return {"id": id or f"p{number}", "text": text, "sender": "+15550100", "concat": concat, **more}


def ask(client, *messages, **fields):
    answer = post(client, messages=list(messages), **fields)
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


def waiting(number, seen, of=3):
    return {"id": f"p{number}", "status": "waiting", "seen": seen, "parts": of}


@contextmanager
def service(classifier, bundle, **given):
    counting = Counting(classifier)
    with serving(counting, bundle, Settings(**given)) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        del counting.texts[:]  # the golden vector
        yield client, counting


def test_the_verdict_is_on_the_whole_and_comes_with_the_last_part(tiny_classifier, tiny_bundle):
    [verdict] = tiny_classifier.score([WHOLE])
    with service(tiny_classifier, tiny_bundle) as (client, counting):
        assert ask(client, part(3)) == [waiting(3, 1)]
        assert ask(client, part(1)) == [waiting(1, 2)]
        assert ask(client, part(1)) == [waiting(1, 2)]  # sent again
        assert counting.texts == []
        [result] = ask(client, part(2))
        assert result.pop("parts") == 3
        assert result == {**verdict.to_dict("p2"), "risk": pytest.approx(verdict.risk, abs=1e-4)} | {
            "type_score": pytest.approx(verdict.type_score, abs=1e-4)
        }
        # Its answer may have been lost.
        assert ask(client, part(2))[0]["verdict"] == ask(client, part(1))[0]["verdict"] == verdict.verdict
        assert counting.texts == [WHOLE]
        wait_until(lambda: metric(client, "parts_joined_total") == 1)
        assert metric(client, "parts_bytes") > 0


def test_all_parts_in_one_request_get_the_verdict_beside_others(tiny_classifier, tiny_bundle):
    plain = {"id": "plain", "text": "See you at dinner tonight, love mum"}
    with service(tiny_classifier, tiny_bundle) as (client, counting):
        results = ask(client, part(2), plain, part(1), part(1, "Running late, ", "x", of=2, reference=8), part(3))
        assert [x["id"] for x in results] == ["p2", "plain", "p1", "x", "p3"]
        assert [x.get("verdict") for x in results] == ["scam", "legitimate", "scam", None, "scam"]
        assert [x.get("parts") for x in results] == [3, None, 3, 2, 3]
        assert sorted(counting.texts) == sorted([WHOLE, plain["text"]])
        assert metric(client, "messages_total") == 2  # each message once


def test_a_message_of_one_part_is_scored_at_once(tiny_classifier, tiny_bundle):
    with service(tiny_classifier, tiny_bundle) as (client, _):
        [result] = ask(client, part(1, WHOLE, of=1))
        assert (result["verdict"], result["parts"]) == ("scam", 1)


def test_an_explanation_is_of_the_whole(tiny_classifier, tiny_bundle):
    with service(tiny_classifier, tiny_bundle) as (client, _):
        assert ask(client, part(1), explain=True) == [waiting(1, 1)]
        *_, result = ask(client, part(3), part(2), explain=True)
        assert result["forewarning"]
        for span in result["evidence"]:
            assert WHOLE[span["start"] : span["end"]] == span["text"]


def test_a_character_that_was_cut_in_two_is_whole_again(tiny_classifier, tiny_bundle):
    halves, alone = ["You won a prize \ud83d", "\udcb0 claim it now"], {"id": "1", "text": "alone \ud83d"}
    with service(tiny_classifier, tiny_bundle) as (client, counting):
        for message in (*(part(i, half, of=2, encoding="ucs2") for i, half in enumerate(halves, start=1)), alone):
            # As JSON escapes: no UTF-8 has half a character.
            content = json.dumps({"messages": [message]})
            client.post("/v1/score", content=content, headers={"Content-Type": "application/json"}).raise_for_status()
        assert counting.texts == ["You won a prize \U0001f4b0 claim it now", "alone \ufffd"]


def test_parts_in_a_stream(tiny_classifier, tiny_bundle):
    lines = [part(1), {"id": "plain", "text": "hello mum"}, part(4, "x"), part(3), part(2)]
    with service(tiny_classifier, tiny_bundle, max_batch=1) as (client, counting):
        results = stream(client, "".join(json.dumps(x) + "\n" for x in lines))
        assert results[0] == waiting(1, 1) and results[3] == waiting(3, 2)
        assert (results[2]["line"], results[2]["message"]) == (3, "concat.part: must not be above parts")
        assert (results[1]["verdict"], results[4]["verdict"]) == ("legitimate", "scam")
        assert counting.texts == ["hello mum", WHOLE]


@pytest.mark.parametrize(
    "changed",
    [{"sender": "+15550101"}, {"concat": {"reference": 8}}, {"concat": {"recipient": "b"}}, {"of": 4}],
)
def test_parts_of_another_message_stay_apart(tiny_classifier, tiny_bundle, changed):
    with service(tiny_classifier, tiny_bundle) as (client, _):
        ask(client, part(1, concat={"recipient": "a"}), part(2, concat={"recipient": "a"}))
        other = part(3, **{"concat": {"recipient": "a"}, **changed})
        assert ask(client, other)[0]["seen"] == 1


def test_parts_of_two_keys_stay_apart(tiny_classifier, tiny_bundle, tmp_path):
    url, headers = f"sqlite:///{tmp_path}/keys.db", []
    store = open_store(url)
    for name in ("one", "another"):
        key, token = new_key(name)
        store.add(key)
        headers.append({"Authorization": f"Bearer {token}"})
    store.close()
    with serving(tiny_classifier, tiny_bundle, Settings(keys=url)) as client:
        for given_headers, number, seen in [(headers[0], 1, 1), (headers[1], 2, 1), (headers[0], 2, 2)]:
            answer = client.post("/v1/score", json={"messages": [part(number)]}, headers=given_headers)
            assert answer.json()["results"] == [waiting(number, seen)]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"encoding": "gsm7", "text": "x" * 154}, "text: longer than the 153 septets of a part of an SMS"),
        ({"encoding": "gsm7", "text": "€" * 76 + "xx"}, "text: longer than the 153 septets of a part of an SMS"),
        ({"encoding": "ucs2", "text": "x" * 68}, "text: longer than the 67 UCS-2 units of a part of an SMS"),
        ({"encoding": "ucs2", "text": "\U0001f4b0" * 34}, "text: longer than the 67 UCS-2 units of a part of an SMS"),
        ({"text": "x" * 154}, "text: a part has at most 153 characters"),
        ({"encoding": "gsm7", "text": "x" * 161, "concat": None}, "text: longer than the 160 septets of an SMS"),
        ({"encoding": "ucs2", "text": "x" * 71, "concat": None}, "text: longer than the 70 UCS-2 units of an SMS"),
        ({"encoding": "zebra"}, "encoding: is none of the values"),
        ({"sender": None}, "sender: must be there with concat"),
        ({"sender": ""}, "sender: must be there with concat"),
        ({"text": ["zebra"]}, "text: must be a string"),
        *(
            ({"concat": {"reference": 7, "part": 1, "parts": 3, **concat}}, told)
            for concat, told in [
                ({"part": 4}, "concat.part: must not be above parts"),
                ({"part": 0}, "concat.part: is out of range"),
                ({"parts": 256}, "concat.parts: is out of range"),
                ({"reference": 65536}, "concat.reference: is out of range"),
                ({"reference": -1}, "concat.reference: is out of range"),
                ({"reference": "zebra"}, "concat.reference: must be a whole number"),
                ({"recipient": "zebra" * 60}, "concat.recipient: is too long"),
                ({"zebra": 1}, "concat: has a field that this service does not know"),
            ]
        ),
    ],
)
def test_what_cannot_be_is_refused(part_client, changes, told):
    message = {**part(1), **changes}
    refused = check_error(post(part_client, messages=[{"id": "0", "text": "hi"}, message]), 422, "invalid_request")
    assert refused.startswith(f"messages[1].{told}")
    assert "zebra" not in refused and "xxx" not in refused
    [error] = stream(part_client, json.dumps(message))
    assert error["message"].startswith(told)


@pytest.fixture(scope="module")
def part_client(tiny_classifier, tiny_bundle):
    with serving(tiny_classifier, tiny_bundle, Settings()) as client:
        yield client


@pytest.mark.parametrize(
    ("text", "encoding", "joined"),
    [
        ("x" * 160, "gsm7", False),
        ("€" * 76 + "x", "gsm7", True),
        ("ç" * 153, "gsm7", True),  # Turkish and Portuguese networks have it, and do not say so
        ("\U0001f4b0" * 33 + "x", "ucs2", True),
        ("字" * 70, "ucs2", False),
        ("字" * 153, None, True),
        ("x" * 5000, None, False),
    ],
)
def test_what_fits_is_taken(part_client, text, encoding, joined):
    message = part(1, text, of=1)
    if not joined:
        del message["concat"]
    assert ask(part_client, {**message, "encoding": encoding})[0]["verdict"]


def test_parts_that_wait_too_long_are_forgotten_and_counted(tiny_classifier, tiny_bundle):
    with service(tiny_classifier, tiny_bundle, parts_wait_s=0.1) as (client, _):
        ask(client, part(1), part(2))
        wait_until(lambda: metric(client, 'parts_lost_total{reason="expired"}') == 1)
        assert metric(client, "parts_bytes") == 0
        assert ask(client, part(3)) == [waiting(3, 1)]


def test_a_request_that_is_refused_leaves_none_of_its_parts(tiny_classifier, tiny_bundle):
    held = Held(tiny_classifier)
    with serving(held, tiny_bundle, Settings(max_waiting=2, max_messages=2)) as client:
        assert held.entered.acquire(timeout=10)
        busy = in_background(post, client, messages=[{"id": str(i), "text": f"hello mum {i}"} for i in range(2)])
        wait_until(lambda: queue_length(client) == 2)
        check_error(post(client, messages=[part(1), {"id": "1", "text": "another"}]), 429, "overloaded")
        held.go.set()
        assert busy().status_code == 200
        assert ask(client, part(2)) == [waiting(2, 1)]
        assert ask(client, part(3)) == [waiting(3, 2)]
        assert ask(client, part(1))[0]["verdict"] == "scam"


def test_the_workers_of_a_machine_share_what_they_hold(tiny_bundle, tmp_path):
    (tmp_path / "tmp").mkdir()
    with process(tiny_bundle, "--workers", "2", TMPDIR=str(tmp_path / "tmp"), FOREWARN_PARTS_WAIT_S="2") as (
        server,
        port,
    ):

        def alone(message):
            # Each new connection may be another worker's.
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
                return ask(client, message)[0]

        wait_until(lambda: httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=30).status_code == 200)
        for reference in range(20):
            assert alone(part(3, reference=reference))["seen"] == 1
            assert alone(part(1, reference=reference))["seen"] == 2
            assert alone(part(2, reference=reference))["verdict"] == "scam"
        alone(part(1, reference=100))
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            wait_until(lambda: metric(client, 'parts_lost_total{reason="expired"}') == 1)
            wait_until(lambda: metric(client, "parts_joined_total") == 20)
        written = b"".join(x.read_bytes() for x in (tmp_path / "tmp").rglob("*") if x.is_file())
        assert b"expires" not in written and b"15550100" not in written
        server.send_signal(signal.SIGTERM)
        _, logged = server.communicate(timeout=20)
        assert server.returncode == 0
        assert {json.loads(x)["level"] for x in logged.splitlines()} == {"info"}
    assert not list((tmp_path / "tmp").iterdir())
