"""Invented messages to send: scripts of the repository with their slots filled, none of them sent twice."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from forewarn.training.scripts.corpus import all_scripts
from forewarn.training.scripts.slots import fill

SHORTEST, LONGEST = 20, 300
_NUMBER = 7  # characters that make a text distinct: a space and six digits
_GOLDEN = 0.6180339887498949


def invented_texts(count: int, seed: int = 7) -> list[str]:
    """Texts in all languages, 20 to 300 characters, spread so that any stretch of them holds short and long ones alike.

    A slow server gets through a short stretch: in another order it might be one of long messages.

    Args:
        count: how many; each comes from another script.
        seed: the same seed gives the same texts.
    """
    rng = random.Random(seed)
    scripts = [x for x in all_scripts() if x.channel != "call"]
    rng.shuffle(scripts)
    filled = (fill(script, rng) for script in scripts)
    fitting = (text for text in filled if SHORTEST <= len(text) <= LONGEST - _NUMBER)
    by_length = sorted(itertools.islice(fitting, count), key=len)
    order = sorted(range(len(by_length)), key=lambda rank: (rank * _GOLDEN) % 1)
    return [by_length[rank] for rank in order]


def distinct(texts: Sequence[str], first: int = 0) -> Iterator[str]:
    """The texts over and over, each time with another number behind it, so that no cache knows it.

    Args:
        texts: to begin from.
        first: where the numbers begin; whoever sends to the same server takes another stretch of them.
    """
    for number in itertools.count(first):
        yield f"{texts[number % len(texts)]} {number:06d}"


def _as_json(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode()


@dataclass(frozen=True)
class Dialect:
    """How a server wants its messages.

    Attributes:
        path: of the request.
        body: the request's body from texts that are JSON strings already.
        headers: beside those that every request has.
    """

    path: str
    body: Callable[[list[bytes]], bytes]
    headers: tuple[str, ...] = ()

    def request(self, texts: list[bytes]) -> bytes:
        """A whole HTTP request for texts that are JSON strings already."""
        body = self.body(texts)
        head = (
            f"POST {self.path} HTTP/1.1",
            "Host: benchmark",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            *self.headers,
        )
        return "\r\n".join((*head, "", "")).encode() + body


def forewarn_dialect(key: str | None = None) -> Dialect:
    """Of `forewarn serve`; `key` is sent where there is one."""
    item = b'{"id":"1","text":'
    return Dialect(
        "/v1/score",
        lambda texts: b'{"messages":[' + b",".join(item + text + b"}" for text in texts) + b"]}",
        (f"Authorization: Bearer {key}",) if key else (),
    )


def requests(
    dialect: Dialect, texts: Sequence[str], each: int, first: int = 0, campaign: bool = False
) -> Iterator[bytes]:
    """HTTP requests without end.

    Args:
        dialect: of the server.
        texts: to begin from.
        each: messages a request.
        first: see `distinct`.
        campaign: the same few texts again and again, as a campaign sends them; a cache knows them.
    """
    if campaign:
        whole = [dialect.request([_as_json(x) for x in texts[at : at + each]]) for at in range(0, 64 * each, each)]
        yield from itertools.cycle(whole)
    # Encoded once: the generator must not be slower than what it measures. The number goes in before the last quote.
    encoded = [_as_json(text)[:-1] for text in texts]
    for number in itertools.count(first, each):
        yield dialect.request([b'%b %06d"' % (encoded[i % len(encoded)], i) for i in range(number, number + each)])
