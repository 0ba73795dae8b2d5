"""The load generator of the service's benchmark counts right, against servers whose behaviour is known."""

import asyncio
import contextlib
import itertools
import json

import pytest
from benchmarks.service.load import closed_loop, open_loop
from benchmarks.service.messages import LONGEST, SHORTEST, distinct, forewarn_dialect, invented_texts, requests

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
BUSY = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\nRetry-After: 1\r\n\r\n{}"
BARE = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\n\r\n{}"
ERROR = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\n{}"
BREAK = b""
REQUEST = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"


@contextlib.asynccontextmanager
async def server(answers, seconds=0.0):
    """Gives one answer after the other (`BREAK` hangs up), each after so many seconds; gives the port."""
    answers = iter(answers)

    async def serve(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readexactly(len(REQUEST)):
                answer = next(answers)
                await asyncio.sleep(seconds)
                if answer == BREAK:
                    break
                # In two pieces, as the network may cut it.
                writer.write(answer[:20])
                await writer.drain()
                await asyncio.sleep(0)
                writer.write(answer[20:])
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1]


def run(answers, load, answer_s=0.0, **options):
    async def whole():
        async with server(answers, answer_s) as port:
            return await load(port, itertools.repeat(REQUEST), **options)

    return asyncio.run(whole())


def test_open_loop_times_hold_the_wait_for_a_connection():
    # One connection that takes 50 ms a request is asked every 20 ms: each request waits 30 ms more than the last.
    tally = run(itertools.repeat(OK), open_loop, 0.05, seconds=0.4, rate=50, connections=1)
    assert tally.due == tally.sent == tally.statuses[200] == len(tally.seconds_each) == 20
    times = list(tally.seconds_each)
    assert times == sorted(times)
    assert times[0] < 0.2 and times[-1] > times[0] + 0.03 * (len(times) - 1) * 0.9
    assert tally.percentiles()["p99"] == pytest.approx(1000 * times[-1])
    # What was answered after the end is no throughput of the time before.
    assert tally.in_time < tally.statuses[200]
    assert tally.rate == pytest.approx(tally.in_time / tally.seconds)


def test_closed_loop_times_begin_when_a_request_is_sent():
    tally = run(itertools.repeat(OK), closed_loop, 0.05, seconds=0.4, connections=2)
    assert min(tally.seconds_each) >= 0.045
    assert tally.sent <= 2 * 9  # a slow server is asked less
    assert not tally.failures


def test_refusals_are_told_from_failures():
    # Three of each kind but the last, then good ones.
    answers = itertools.chain([BUSY, OK, BARE, ERROR, BUSY, BREAK, BUSY], itertools.repeat(OK))
    tally = run(answers, open_loop, seconds=0.3, rate=100, connections=4)
    assert (tally.statuses[429], tally.bare_429, tally.statuses[500]) == (4, 1, 1)
    assert sum(tally.broken.values()) == len(tally.broken_ports) == 1
    assert tally.failures == 3  # the bare 429, the 500 and the one that got no answer
    assert tally.due == tally.sent == sum(tally.statuses.values()) + 1
    assert tally.statuses[200] == len(tally.seconds_each) == tally.due - 6


def test_a_server_that_goes_away_is_counted_and_the_load_goes_on():
    async def whole():
        async with server(itertools.chain([OK], itertools.repeat(BREAK))) as port:
            return await open_loop(port, itertools.repeat(REQUEST), seconds=0.3, rate=50, connections=2)

    tally = asyncio.run(whole())
    assert tally.statuses == {200: 1}
    assert tally.due == 1 + sum(tally.broken.values()) + tally.unsent == 15


def test_a_connection_that_was_idle_for_long_is_not_used_again(monkeypatch):
    monkeypatch.setattr("benchmarks.service.load._KEEP_IDLE_S", 0.05)
    accepted = []

    async def serve(reader, writer):
        accepted.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readexactly(len(REQUEST)):
                writer.write(OK)

    async def whole():
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            return await open_loop(port, itertools.repeat(REQUEST), seconds=0.5, rate=8, connections=1)

    tally = asyncio.run(whole())
    assert tally.statuses == {200: 4} and not tally.failures
    assert len(accepted) >= 4  # each request came an eighth of a second after the one before


def test_warming_up_does_not_count():
    tally = run(itertools.repeat(OK), closed_loop, 0.02, seconds=0.2, connections=1, warm_s=0.2)
    assert 0 < tally.in_time <= 10  # of 20 ms each
    assert tally.in_time <= len(tally.seconds_each) < tally.statuses[200]


def test_a_load_goes_on_until_what_it_waits_for_is_done():
    async def whole():
        async with server(itertools.repeat(OK)) as port:
            done = asyncio.ensure_future(asyncio.sleep(0.5))
            tally = await open_loop(port, itertools.repeat(REQUEST), 0.05, rate=100, connections=2, until=done)
            assert done.done()
            return tally

    tally = asyncio.run(whole())
    assert tally.seconds > 0.2
    assert tally.due == pytest.approx(100 * tally.seconds, abs=2)


def test_no_message_is_sent_twice_and_any_stretch_holds_short_and_long_ones():
    texts = invented_texts(64)
    assert len(set(texts)) == 64
    sent = list(itertools.islice(distinct(texts), 200))
    assert len(set(sent)) == 200
    assert all(SHORTEST <= len(text) <= LONGEST for text in sent)
    whole = sum(map(len, texts)) / 64
    for at in range(0, 64, 16):
        assert sum(map(len, texts[at : at + 16])) / 16 == pytest.approx(whole, rel=0.3)
    [first, second] = itertools.islice(requests(forewarn_dialect("KEY"), texts, 2), 2)
    head, _, body = first.partition(b"\r\n\r\n")
    assert b"Authorization: Bearer KEY" in head and f"Content-Length: {len(body)}".encode() in head
    assert [x["text"] for x in json.loads(body)["messages"]] == sent[:2]
    assert json.loads(second.partition(b"\r\n\r\n")[2])["messages"][0]["text"] == sent[2]
