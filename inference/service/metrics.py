"""What the service counts, as Prometheus reads it. No label value is from a request."""

from __future__ import annotations

import os
import re
from collections import Counter as Tally
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from forewarn.inference.classifier import Verdict
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

# prometheus_client's own name: where it is set, the numbers of all worker processes live in files there.
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_MESSAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The metrics of one application."""

    def __init__(self) -> None:
        disable_created_metrics()
        self._registry = CollectorRegistry()

        def counter(name: str, about: str, *labels: str) -> Counter:
            return Counter(f"forewarn_{name}", about, labels, registry=self._registry)

        def histogram(name: str, about: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"forewarn_{name}", about, labels, buckets=buckets, registry=self._registry)

        def gauge(name: str, about: str, *labels: str, mode: Literal["livesum", "livemax"] = "livesum") -> Gauge:
            return Gauge(f"forewarn_{name}", about, labels, registry=self._registry, multiprocess_mode=mode)

        self.requests = counter("requests", "Requests answered", "route", "status")
        self.request_seconds = histogram("request_seconds", "From a request's headers to its answer", _SECONDS, "route")
        self.rejected = counter("rejected", "Requests, and lines of streams, answered with an error", "reason")
        self.messages = counter("messages", "Messages scored, from the cache or by the model")
        self.verdicts = counter("verdicts", "Verdicts given", "verdict", "type", "action")
        self.cache_hits = counter("cache_hits", "Messages answered from the cache")
        self.cache_misses = counter("cache_misses", "Messages that were not in the cache")
        self.cache_bytes = gauge("cache_bytes", "Memory that the cache uses")
        self.parts_joined = counter("parts_joined", "Long SMS messages put together of their parts")
        # `reason` is expired, evicted or replaced.
        self.parts_lost = counter("parts_lost", "Long SMS messages of which parts never came", "reason")
        # Workers share what they hold, and each tells of all of it.
        self.parts_bytes = gauge("parts_bytes", "Memory that parts of messages use", mode="livemax")
        # Labels are of bundles: few, and none of them is from a request.
        self.model_running = gauge("model_running", "Processes that answer with this model", "version", "digest")
        # `result` is changed or refused.
        self.model_changes = counter("model_changes", "Models that were asked for", "result")
        # What the model that answers said, and what the one behind it would have.
        self.shadow_verdicts = counter("shadow_verdicts", "Messages that two models scored", "running", "shadow")
        self.shadow_actions = counter("shadow_actions", "Messages that two models scored", "running", "shadow")
        self.shadow_dropped = counter("shadow_dropped", "Messages that the shadow had no time for")
        # `use` is keys or limits.
        self.store_errors = counter("store_errors", "Times the store of keys did not answer", "use")
        # `lane` is score or explain.
        self.queue = gauge("queue_messages", "Messages that wait for the model", "lane")
        self.queue_wait = histogram("queue_wait_seconds", "From arrival to the model", _SECONDS, "lane")
        self.batch = histogram("batch_messages", "Messages the model got at a time", _MESSAGES, "lane")
        self.inference = histogram("inference_seconds", "The model's time for a batch", _SECONDS, "lane")

    def count_verdicts(self, verdicts: Iterable[Verdict]) -> None:
        """Add verdicts that go out."""
        for labels, number in Tally((v.verdict, v.type, v.action) for v in verdicts).items():
            self.verdicts.labels(*labels).inc(number)
            self.messages.inc(number)

    def render(self) -> bytes:
        """The text that Prometheus scrapes; with several workers, of all of them together."""
        folder = os.environ.get(FOLDER_VARIABLE)
        if not folder:
            return generate_latest(self._registry)
        _forget_dead_workers(Path(folder))
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return generate_latest(registry)


def _forget_dead_workers(folder: Path) -> None:
    """Drop the gauges of workers that were killed: their queue is gone with them."""
    for path in folder.glob("gauge_live*.db"):
        number = re.search(r"_(\d+)\.db$", path.name)
        if number:
            try:
                os.kill(int(number.group(1)), 0)
            except ProcessLookupError:
                with suppress(FileNotFoundError):  # another worker may be forgetting it too
                    mark_process_dead(int(number.group(1)))
            except PermissionError:
                # Somebody else's process has the number now; the gauge stays until that one ends.
                continue
