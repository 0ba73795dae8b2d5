"""A second model behind the one that answers: it scores some of the traffic too; only how far they agree is kept."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from forewarn.inference.classifier import ScamClassifier, Verdict
from forewarn.inference.service.errors import place
from forewarn.inference.service.logs import LOGGER
from forewarn.inference.service.metrics import Metrics
from forewarn.inference.service.scoring import Asked, with_senders

# Messages that wait, and that are scored at a time: few, so that the model that answers never waits long for the cores.
_MOST = 64
_BATCH = 8
_NICENESS = 10

logger = logging.getLogger(LOGGER)


class Shadow:
    """Scores a share of the traffic in a thread of low priority, and drops it while the other model is busy.

    Attributes:
        tally: how many messages were scored (`messages`) and dropped (`dropped`), and how many got which pair of
            verdicts (`verdicts`, what was answered, what the shadow says, with tabs between) and of actions.
    """

    def __init__(self, classifier: ScamClassifier, share: float, busy: Callable[[], bool], metrics: Metrics) -> None:
        """Set up; nothing runs before `start`.

        Args:
            classifier: the model behind; with one thread, or its low priority would not hold for all it does.
            share: of the messages, 0 to 1.
            busy: whether messages wait for the model that answers.
            metrics: where the agreement is counted.
        """
        self.tally: Counter[str] = Counter()
        self._classifier = classifier
        self._share = share
        self._busy = busy
        self._metrics = metrics
        self._queue: deque[tuple[Asked, Verdict]] = deque()
        self._arrival = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="forewarn-shadow", initializer=_step_back)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to score; from within the event loop."""
        self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        """Score no more."""
        if self._task:
            self._task.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._queue.clear()

    def offer(self, messages: Sequence[Asked], verdicts: Sequence[Verdict]) -> None:
        """Take a share of messages that got their verdicts, if there is time for them."""
        for pair in zip(messages, verdicts, strict=True):
            if random.random() >= self._share:
                continue
            if self._busy() or len(self._queue) >= _MOST:
                self._drop(1)
            else:
                self._queue.append(pair)
                self._arrival.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._arrival.wait()
            self._arrival.clear()
            while self._queue:
                if self._busy():
                    self._drop(len(self._queue))
                    self._queue.clear()
                    break
                pairs = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
                try:
                    verdicts = await loop.run_in_executor(self._thread, self._score, [asked for asked, _ in pairs])
                except Exception as error:
                    logger.error("the shadow failed on messages", extra={"fields": {"error": place(error)}})
                    self._drop(len(pairs))
                else:
                    for (_, running), shadow in zip(pairs, verdicts, strict=True):
                        self._count(running, shadow)

    def _score(self, messages: Sequence[Asked]) -> list[Verdict]:
        verdicts = self._classifier.score([message.text for message in messages])
        return with_senders(self._classifier, verdicts, messages)

    def _count(self, running: Verdict, shadow: Verdict) -> None:
        self.tally["messages"] += 1
        self.tally[f"verdicts\t{running.verdict}\t{shadow.verdict}"] += 1
        self.tally[f"actions\t{running.action}\t{shadow.action}"] += 1
        self._metrics.shadow_verdicts.labels(running.verdict, shadow.verdict).inc()
        self._metrics.shadow_actions.labels(running.action, shadow.action).inc()

    def _drop(self, number: int) -> None:
        self.tally["dropped"] += number
        self._metrics.shadow_dropped.inc(number)


def _step_back() -> None:
    """Give the calling thread a lower priority, where the system knows one for each thread."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
