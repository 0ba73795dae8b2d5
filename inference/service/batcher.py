"""Puts the items of concurrent requests together into batches for one worker thread, in turns, with bounds.

All state lives on the event loop; the thread only runs a batch. Futures carry no items or answers, since asyncio's
debug log shows what a future holds.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from forewarn.inference.service.errors import Refusal, overloaded
from forewarn.inference.service.metrics import Metrics
from forewarn.inference.service.tracing import note

Item = TypeVar("Item")
Answer = TypeVar("Answer")

# A request gets at most a quarter of a batch a turn, so that a large one does not hold up the small ones behind it.
_SHARES = 4


class _Job(Generic[Item, Answer]):
    """The items of one request on their way through the queue."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.answers: list[Answer] = [None] * len(items)  # type: ignore[list-item]  # each is filled before it is read
        self.arrived = time.perf_counter()
        self.began = self.ended = 0.0
        self.taken = 0
        self.open = len(items)
        self.error: Exception | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()


@dataclass
class _Part(Generic[Item, Answer]):
    """Neighbouring items of a job within a batch."""

    job: _Job[Item, Answer]
    start: int
    stop: int


class Batcher(Generic[Item, Answer]):
    """A bounded queue before one worker thread.

    A request that finds the worker idle goes at once. Behind a batch that served several requests, the next one may
    wait until it is full or its first item has waited `wait_s`.
    """

    def __init__(
        self,
        run: Callable[[list[Item]], Sequence[Answer]],
        *,
        lane: str,
        max_batch: int,
        max_waiting: int,
        wait_s: float,
        metrics: Metrics,
    ) -> None:
        """Set up; nothing runs before `start`.

        Args:
            run: answers a batch, one answer an item, in order; called in the worker thread.
            lane: name in metrics.
            max_batch: items a batch.
            max_waiting: items in the queue.
            wait_s: how long a batch may wait to fill.
            metrics: where queue, batches and times are counted.
        """
        self._run = run
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._wait_s = wait_s
        self._share = max(1, max_batch // _SHARES)
        self._queue: deque[_Job[Item, Answer]] = deque()
        self._waiting = 0
        self._seconds_an_item = 0.0
        self._arrival = asyncio.Event()
        self._room = asyncio.Event()
        # Whoever waits for room does so first come, first served.
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"forewarn-{lane}")
        self._task: asyncio.Task[None] | None = None
        self._queue_gauge = metrics.queue.labels(lane)
        self._queue_wait = metrics.queue_wait.labels(lane)
        self._batch_size = metrics.batch.labels(lane)
        self._inference = metrics.inference.labels(lane)

    @property
    def waiting(self) -> int:
        """Items in the queue."""
        return self._waiting

    @property
    def full_for_s(self) -> float | None:
        """About how long what waits will take, if not one item more has room; otherwise None."""
        return self._waiting * self._seconds_an_item if self._waiting >= self._max_waiting else None

    def start(self) -> None:
        """Begin to take batches; from within the event loop."""
        self._task = asyncio.create_task(self._dispatch())

    def stop(self) -> None:
        """Take no more batches. What still waits is not answered: stop after the last request."""
        if self._task:
            self._task.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def submit(self, items: Sequence[Item], deadline: float, patient: bool = False) -> list[Answer]:
        """The answers to `items`, in order.

        Args:
            items: of one request.
            deadline: on the event loop's clock; what has not been taken by then leaves the queue.
            patient: wait for room in the queue instead of being refused, behind whoever waits for it already.

        Raises:
            Refusal: 429 without room in the queue, 504 at the deadline.
            Exception: what `run` raised on these items.
        """
        loop = asyncio.get_running_loop()
        if not items:
            return []
        if deadline <= loop.time():
            raise Refusal("deadline_exceeded")
        job: _Job[Item, Answer] | None = None
        try:
            async with asyncio.timeout_at(deadline):
                if patient:
                    async with self._turn:
                        while self._waiting + len(items) > self._max_waiting:
                            self._room.clear()
                            await self._room.wait()
                elif self._waiting + len(items) > self._max_waiting:
                    raise overloaded(self._waiting * self._seconds_an_item)
                job = _Job(items)
                self._queue.append(job)
                self._add(len(items))
                self._arrival.set()
                await job.done
        except TimeoutError:
            raise Refusal("deadline_exceeded") from None
        finally:
            if job:
                self._withdraw(job)
                _trace(job)
        if job.error:
            raise job.error
        return job.answers

    def _add(self, number: int) -> None:
        self._waiting += number
        # Not set: while the model changes, two of us count in it.
        self._queue_gauge.inc(number)
        if number < 0:
            self._room.set()

    def _withdraw(self, job: _Job[Item, Answer]) -> None:
        """Take what is left of a job out of the queue: it is done, failed, or nobody waits for it any more."""
        left = len(job.items) - job.taken
        if left:
            job.taken = len(job.items)
            self._queue.remove(job)
            self._add(-left)

    async def _dispatch(self) -> None:
        loop = asyncio.get_running_loop()
        shared = False
        while True:
            if not self._queue:
                self._arrival.clear()
                await self._arrival.wait()
            elif shared:
                await self._fill()
            parts = self._take()
            if not parts:
                continue
            shared = len({id(part.job) for part in parts}) > 1
            size = sum(part.stop - part.start for part in parts)
            self._batch_size.observe(size)
            started = time.perf_counter()
            await loop.run_in_executor(self._thread, self._work, parts)
            seconds = time.perf_counter() - started
            self._inference.observe(seconds)
            self._seconds_an_item += 0.2 * (seconds / size - self._seconds_an_item)
            self._finish(parts)

    async def _fill(self) -> None:
        """Wait for a full batch, but no longer than until the oldest in the queue has waited its share."""
        waited = time.perf_counter() - min(job.arrived for job in self._queue)
        try:
            async with asyncio.timeout(self._wait_s - waited):
                while self._queue and self._waiting < self._max_batch:
                    self._arrival.clear()
                    await self._arrival.wait()
        except TimeoutError:
            return

    def _take(self) -> list[_Part[Item, Answer]]:
        """The next batch: each job in turn gives a share, until the batch is full or the queue empty."""
        # Not the event loop's clock: uvloop's counts whole milliseconds.
        now = time.perf_counter()
        parts: list[_Part[Item, Answer]] = []
        room = self._max_batch
        while room and self._queue:
            job = self._queue.popleft()
            if not job.taken:
                job.began = now
                self._queue_wait.observe(now - job.arrived)
            number = min(room, self._share, len(job.items) - job.taken)
            parts.append(_Part(job, job.taken, job.taken + number))
            job.taken += number
            room -= number
            if job.taken < len(job.items):
                self._queue.append(job)
        self._add(room - self._max_batch)
        return parts

    def _work(self, parts: list[_Part[Item, Answer]]) -> None:
        """Run a batch; in the worker thread."""
        try:
            answers = iter(self._run([item for part in parts for item in part.job.items[part.start : part.stop]]))
            for part in parts:
                for i in range(part.start, part.stop):
                    part.job.answers[i] = next(answers)
        except Exception as error:
            if len(parts) == 1:
                parts[0].job.error = error
                return
            # One bad item must not fail the requests that it shares a batch with.
            for part in parts:
                self._work([part])

    def _finish(self, parts: list[_Part[Item, Answer]]) -> None:
        for part in parts:
            job = part.job
            job.open -= part.stop - part.start
            if (job.error or not job.open) and not job.done.done():
                job.ended = time.perf_counter()
                job.done.set_result(None)


def _trace(job: _Job[Item, Answer]) -> None:
    """Write a job that is over into the trace of its request."""
    ended = job.ended or time.perf_counter()
    note("queue", job.arrived, job.began or ended, len(job.items))
    if job.began:
        note("inference", job.began, ended, len(job.items))
