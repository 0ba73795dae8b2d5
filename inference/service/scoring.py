"""From texts to verdicts on the event loop: the cache, then the model in batches; explanations beside it."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from forewarn.inference.bundle import GoldenVector
from forewarn.inference.classifier import ScamClassifier, Verdict
from forewarn.inference.service.batcher import Batcher
from forewarn.inference.service.cache import VerdictCache
from forewarn.inference.service.errors import place
from forewarn.inference.service.logs import LOGGER
from forewarn.inference.service.metrics import Metrics
from forewarn.inference.service.settings import Settings
from forewarn.inference.service.tracing import tell

# An explanation takes up to 49 passes, so that a few texts make a batch.
_EXPLAIN_BATCH = 4
# Texts looked up before other requests get a turn on the event loop.
_LOOKUPS = 32
_PROBE_S = 60.0

logger = logging.getLogger(LOGGER)


class Asked(NamedTuple):
    """A text, who sent it, and the tag of the person's language and country."""

    text: str
    sender: str | None = None
    locale: str | None = None


def with_senders(classifier: ScamClassifier, verdicts: Sequence[Verdict], messages: Sequence[Asked]) -> list[Verdict]:
    """The verdicts on the texts of messages, once their senders are known."""
    return [
        classifier.with_sender(verdict, message.sender, message.locale)
        for verdict, message in zip(verdicts, messages, strict=True)
    ]


class Scorer:
    """The classifier as the service uses it: shared by all requests, never on the event loop."""

    def __init__(
        self,
        classifier: ScamClassifier,
        golden: GoldenVector,
        settings: Settings,
        metrics: Metrics,
        verified: bool = False,
    ) -> None:
        """Set up; nothing runs before `start`.

        Args:
            classifier: what scores.
            golden: what it must answer rightly.
            settings: limits and times.
            metrics: where batches, times and verdicts are counted.
            verified: whether it has given its golden vectors already.
        """
        self._classifier = classifier
        self._golden = golden
        self._metrics = metrics
        self._cache = VerdictCache(settings.cache_bytes)
        self._ready = verified
        self._probing = asyncio.Lock()
        self._requests = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._score: Batcher[str, Verdict] = Batcher(
            self._run_score,
            lane="score",
            max_batch=settings.max_batch,
            max_waiting=settings.max_waiting,
            wait_s=settings.batch_wait_ms / 1000,
            metrics=metrics,
        )
        self._explain: Batcher[Asked, Verdict] = Batcher(
            self._run_explain,
            lane="explain",
            max_batch=_EXPLAIN_BATCH,
            max_waiting=settings.max_waiting,
            wait_s=0,
            metrics=metrics,
        )

    @property
    def classifier(self) -> ScamClassifier:
        """What scores."""
        return self._classifier

    @property
    def waiting(self) -> int:
        """Messages that wait to be scored."""
        return self._score.waiting

    @property
    def full_for_s(self) -> float | None:
        """See `Batcher.full_for_s`."""
        return self._score.full_for_s

    def start(self) -> None:
        """Begin to answer; from within the event loop."""
        self._score.start()
        self._explain.start()

    def stop(self) -> None:
        """Stop the worker threads, after the last request."""
        self._score.stop()
        self._explain.stop()

    async def retire(self) -> None:
        """Stop as soon as the requests that began here have their answers."""
        self.forget()
        try:
            await self._idle.wait()
        finally:
            self.stop()

    def forget(self) -> None:
        """Empty the cache, for a model that answers nobody now."""
        self._cache.clear()

    async def score(self, messages: Sequence[Asked], deadline: float, patient: bool = False) -> list[Verdict]:
        """Verdicts in order; see `Batcher.submit` for the rest."""
        texts = [message.text for message in messages]
        with self._in_use():
            if self._cache:
                verdicts = await self._score_cached(texts, deadline, patient)
            else:
                verdicts = await self._score.submit(texts, deadline, patient)
        # After the cache, which knows texts alone: a campaign comes from many senders.
        verdicts = with_senders(self._classifier, verdicts, messages)
        self._metrics.count_verdicts(verdicts)
        return verdicts

    async def explain(self, messages: Sequence[Asked], deadline: float) -> list[Verdict]:
        """Verdicts with evidence and forewarning, in order; see `Batcher.submit`."""
        with self._in_use():
            verdicts = await self._explain.submit(messages, deadline)
        self._metrics.count_verdicts(verdicts)
        return verdicts

    async def ready(self) -> bool:
        """Whether the model has answered a golden vector rightly; asks it if it has not and nobody is asking."""
        if self._ready or self._probing.locked():
            return self._ready
        async with self._probing:
            try:
                deadline = asyncio.get_running_loop().time() + _PROBE_S
                with self._in_use():
                    [verdict] = await self._score.submit([self._golden.text], deadline, patient=True)
            except Exception as error:
                logger.error("the golden vector could not be scored", extra={"fields": {"error": place(error)}})
                return False
            self._ready = verdict.verdict == self._golden.verdict
            if self._ready:
                logger.info("ready", extra={"fields": {"model": self._classifier.version}})
            else:
                fields = {"expected": self._golden.verdict, "answered": verdict.verdict}
                logger.error("the golden vector got another verdict; export the bundle again", extra={"fields": fields})
        return self._ready

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        tell("forewarn.model", self._classifier.version)
        self._requests += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._requests -= 1
            if not self._requests:
                self._idle.set()

    async def _score_cached(self, texts: Sequence[str], deadline: float, patient: bool) -> list[Verdict]:
        keys: list[bytes] = []
        known: dict[bytes, Verdict] = {}
        # Equal texts within the request are scored once.
        missing: dict[bytes, str] = {}
        hits = 0
        for i, text in enumerate(texts, start=1):
            key = self._cache.key(self._classifier.canonical(text))
            keys.append(key)
            if not i % _LOOKUPS:
                await asyncio.sleep(0)
            if key in missing:
                continue
            verdict = known.get(key) or self._cache.get(key)
            if verdict is None:
                missing[key] = text
            else:
                known[key] = verdict
                hits += 1
        answers = await self._score.submit(list(missing.values()), deadline, patient)
        for key, verdict in zip(missing, answers, strict=True):
            self._cache.put(key, verdict)
            known[key] = verdict
        self._metrics.cache_hits.inc(hits)
        self._metrics.cache_misses.inc(len(texts) - hits)
        self._metrics.cache_bytes.set(self._cache.size_bytes)
        return [known[key] for key in keys]

    def _run_score(self, texts: list[str]) -> list[Verdict]:
        # A campaign fills a batch with one text before its first verdict is in the cache.
        unique = list(dict.fromkeys(texts))
        by_text = dict(zip(unique, self._classifier.score(unique), strict=True))
        return [by_text[text] for text in texts]

    def _run_explain(self, items: list[Asked]) -> list[Verdict]:
        # The classifier takes one locale a call.
        by_locale: dict[str | None, list[int]] = defaultdict(list)
        for i, item in enumerate(items):
            by_locale[item.locale].append(i)
        verdicts: dict[int, Verdict] = {}
        for locale, rows in by_locale.items():
            texts, senders = [items[i].text for i in rows], [items[i].sender for i in rows]
            answers = self._classifier.score(texts, explain=True, locale=locale, senders=senders)
            verdicts.update(zip(rows, answers, strict=True))
        return [verdicts[i] for i in range(len(items))]
