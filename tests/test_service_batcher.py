"""How requests share batches: with a fake model that waits until it is let go."""

import asyncio
import threading
import time
from contextlib import asynccontextmanager

import pytest
from forewarn.inference.service.batcher import Batcher
from forewarn.inference.service.errors import Refusal
from forewarn.inference.service.metrics import Metrics


class Model:
    """Doubles numbers, fails on negative ones, and keeps what it got; each batch needs a `go`."""

    def __init__(self, gated=True):
        self.batches, self.go, self.entered, self.gated = [], threading.Semaphore(0), threading.Semaphore(0), gated

    def __call__(self, items):
        self.batches.append(list(items))
        self.entered.release()
        if self.gated:
            assert self.go.acquire(timeout=10)
        if min(items) < 0:
            raise ValueError("negative")
        return [2 * item for item in items]

    async def busy(self):
        assert await asyncio.to_thread(self.entered.acquire, timeout=10)


@asynccontextmanager
async def batching(model, max_batch=8, max_waiting=100, wait_s=0.0):
    batcher = Batcher(
        model, lane="score", max_batch=max_batch, max_waiting=max_waiting, wait_s=wait_s, metrics=Metrics()
    )
    batcher.start()
    try:
        yield batcher
    finally:
        model.go.release(1000)
        batcher.stop()


def submit(batcher, *items, seconds=10.0, patient=False):
    """A task with the answers to `items`."""
    deadline = asyncio.get_running_loop().time() + seconds
    return asyncio.create_task(batcher.submit(items, deadline, patient))


async def settle():
    """Let the tasks that were just made reach the queue."""
    for _ in range(3):
        await asyncio.sleep(0)


def test_a_lone_request_does_not_wait_for_others():
    async def run():
        async with batching(Model(gated=False), wait_s=30) as batcher:
            started = time.monotonic()
            for number in range(3):
                assert await submit(batcher, number) == [2 * number]
            assert time.monotonic() - started < 5

    asyncio.run(run())


def test_requests_that_wait_share_a_batch_and_each_gets_its_own_answers():
    async def run():
        model = Model()
        async with batching(model) as batcher:
            first = submit(batcher, 1)
            await model.busy()
            others = [submit(batcher, 2, 3), submit(batcher, 4), submit(batcher, 5, 6)]
            await settle()
            model.go.release(2)
            assert await first == [2]
            assert [await task for task in others] == [[4, 6], [8], [10, 12]]
            assert model.batches == [[1], [2, 3, 4, 5, 6]]

    asyncio.run(run())


def test_a_busy_service_waits_a_little_for_a_batch_to_fill():
    async def run():
        model = Model()
        async with batching(model, max_batch=2, wait_s=20) as batcher:
            tasks = [submit(batcher, 1)]
            await model.busy()
            tasks += [submit(batcher, 2), submit(batcher, 3)]
            await settle()
            model.go.release()
            await model.busy()  # two requests share this batch
            tasks.append(submit(batcher, 4))
            await settle()
            model.go.release()
            await tasks[2]
            assert len(model.batches) == 2  # 4 waits for company
            tasks.append(submit(batcher, 5))
            model.go.release()
            await asyncio.gather(*tasks)
            assert model.batches == [[1], [2, 3], [4, 5]]

    asyncio.run(run())


def test_the_wait_for_a_batch_to_fill_ends():
    async def run():
        model = Model()
        async with batching(model, wait_s=0.02) as batcher:
            tasks = [submit(batcher, 1)]
            await model.busy()
            tasks += [submit(batcher, 2), submit(batcher, 3)]
            await settle()
            model.go.release()
            await model.busy()
            tasks.append(submit(batcher, 4))
            await settle()
            model.go.release(2)
            assert await asyncio.wait_for(tasks[-1], 5) == [8]

    asyncio.run(run())


def test_a_large_request_does_not_hold_up_a_small_one():
    async def run():
        model = Model()
        async with batching(model, max_batch=8) as batcher:
            large = submit(batcher, *range(1, 33))
            await model.busy()
            small = submit(batcher, 100)
            await settle()
            model.go.release(2)
            assert await small == [200]
            assert 100 in model.batches[1]
            assert not large.done()
            model.go.release(10)
            assert await large == [2 * x for x in range(1, 33)]
            assert max(map(len, model.batches)) == 8

    asyncio.run(run())


def test_without_room_the_whole_request_is_refused_and_what_waits_is_answered():
    async def run():
        model = Model()
        async with batching(model, max_waiting=4) as batcher:
            running = submit(batcher, 1)
            await model.busy()
            waiting = submit(batcher, 2, 3, 4)
            await settle()
            with pytest.raises(Refusal) as refused:
                await submit(batcher, 5, 6)
            assert (refused.value.status, refused.value.code) == (429, "overloaded")
            assert int(refused.value.headers["Retry-After"]) >= 1
            fits = submit(batcher, 7)
            await settle()
            model.go.release(2)
            assert await running == [2] and await waiting == [4, 6, 8] and await fits == [14]
            assert not {5, 6} & {item for batch in model.batches for item in batch}
            assert batcher.waiting == 0

    asyncio.run(run())


def test_it_is_full_while_not_one_more_item_has_room():
    async def run():
        model = Model()
        async with batching(model, max_batch=2, max_waiting=3) as batcher:
            tasks = [submit(batcher, 1)]
            await model.busy()
            tasks.append(submit(batcher, 2, 3))
            await settle()
            assert batcher.full_for_s is None
            tasks.append(submit(batcher, 4))
            await settle()
            assert batcher.full_for_s == 0  # nothing is known of the model's speed yet
            model.go.release()
            await model.busy()
            assert batcher.full_for_s is None
            tasks.append(submit(batcher, 5, 6))
            await settle()
            assert batcher.full_for_s > 0
            model.go.release(3)
            await asyncio.gather(*tasks)
            assert batcher.full_for_s is None

    asyncio.run(run())


def test_a_patient_request_waits_for_room():
    async def run():
        model = Model()
        async with batching(model, max_waiting=2) as batcher:
            tasks = [submit(batcher, 1)]
            await model.busy()
            tasks += [submit(batcher, 2, 3), submit(batcher, 4, 5, patient=True)]
            await settle()
            assert batcher.waiting == 2
            model.go.release(3)
            assert await asyncio.gather(*tasks) == [[2], [4, 6], [8, 10]]

    asyncio.run(run())


def test_those_who_wait_for_room_get_it_in_the_order_in_which_they_came():
    async def run():
        model = Model()
        async with batching(model, max_waiting=4) as batcher:
            tasks = [submit(batcher, 1)]
            await model.busy()
            # Large and small ones: a small one that would fit does not overtake.
            tasks += [
                submit(batcher, 2, 3, 4),
                *(submit(batcher, *[n] * (n % 4 + 1), patient=True) for n in range(5, 15)),
            ]
            late = submit(batcher, 100, seconds=0.01, patient=True)
            await settle()
            with pytest.raises(Refusal):
                await late
            model.go.release(100)
            await asyncio.gather(*tasks)
            order = [item for batch in model.batches for item in batch]
            assert order == sorted(order) and order[-1] == 14
            assert await submit(batcher, 15, patient=True) == [30]

    asyncio.run(run())


def test_what_is_past_its_deadline_leaves_the_queue_unscored():
    async def run():
        model = Model()
        async with batching(model) as batcher:
            running = submit(batcher, 1)
            await model.busy()
            late = submit(batcher, 2, 3, seconds=0.01)
            with pytest.raises(Refusal) as refused:
                await late
            assert (refused.value.status, refused.value.code) == (504, "deadline_exceeded")
            assert batcher.waiting == 0
            model.go.release(2)
            assert await running == [2]
            assert await submit(batcher, 4) == [8]
            assert model.batches == [[1], [4]]
            with pytest.raises(Refusal):
                await submit(batcher, 5, seconds=-1)

    asyncio.run(run())


def test_a_request_that_fails_does_not_fail_those_it_shares_a_batch_with():
    async def run():
        model = Model()
        async with batching(model) as batcher:
            tasks = [submit(batcher, 1)]
            await model.busy()
            tasks += [submit(batcher, 2), submit(batcher, -3, *range(20)), submit(batcher, 4)]
            await settle()
            model.go.release(20)
            first, second, failed, third = await asyncio.gather(*tasks, return_exceptions=True)
            assert (first, second, third) == ([2], [4], [8])
            assert isinstance(failed, ValueError)
            assert batcher.waiting == 0
            assert await submit(batcher, 5) == [10]

    asyncio.run(run())
