from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.backend import InferenceRejectedError, InferenceUnavailableError, check_batch
from inference.batching import ENOUGH, Batcher, Plan, Waiting, plan
from inference.models.cxr_demo import SPEC

POISON = 666


class Recorder:
    """A backend that answers with the first pixel, refuses any batch with POISON in it, and keeps what it saw."""

    name = "recorder"

    def __init__(self, error=None):
        self.batches, self.priorities, self.under_way, self.most, self.error = [], [], 0, 0, error

    async def infer(self, model, arrays, priority=2, deadline_s=1.0):
        check_batch(model, arrays)
        first = np.stack(arrays["image"]).reshape(len(arrays["image"]), -1)[:, 0]
        self.batches.append(first.tolist())
        self.priorities.append(priority)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0.001)
        self.under_way -= 1
        if self.error:
            raise self.error
        if POISON in first:
            raise InferenceRejectedError("poison")
        return {"logits": first[:, None].astype(np.float32)}

    async def ready(self):
        return True

    async def close(self):
        self.batches.clear()


def image(value):
    return np.full(SPEC.inputs[0].dims, value, dtype=np.uint16)


def old(*ages, priority=2):
    return [Waiting(priority, -age) for age in ages]


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [
        ([], Plan()),
        (old(0.0), Plan(wake_in=0.5)),
        (old(0.2, 0.1), Plan(wake_in=0.3)),
        (old(0.5), Plan(take=(0,))),
        (old(0.0, 0.0, 0.0), Plan(take=(0, 1, 2))),
        (old(0.0, 0.2, 0.1, 0.3), Plan(take=(3, 1, 2))),
        ([*old(0.4), *old(0.0, priority=1)], Plan(take=(1, 0))),
    ],
    ids=[
        "nothing to do", "a lone image waits", "until the oldest is due", "and no longer",
        "a full batch goes at once", "the oldest first", "an urgent one goes at once and first",
    ],
)  # fmt: skip
def test_the_plan_for(waiting, expected):
    made = plan(waiting, 0.0, max_batch=3, max_wait_s=0.5)

    assert made.take == expected.take
    assert made.wake_in == pytest.approx(expected.wake_in)


@pytest.mark.parametrize(
    ("waiting", "coming", "expected"),
    [
        (old(0.0), [2], Plan(wake_in=5.0)),
        (old(0.0, priority=1), [], Plan(take=(0,))),
        (old(0.0, priority=1), [2, 2], Plan(take=(0,))),
        (old(0.0, priority=1), [2, 1], Plan(wake_in=5.0)),
        ([*old(9.0), *old(1.0, priority=1)], [1], Plan(wake_in=4.0)),
        (old(5.0, priority=1), [1], Plan(take=(0,))),
        (old(0.0, 0.0, 0.0), [1, 2], Plan(take=(0, 1, 2))),
    ],
    ids=[
        "an image waits for announced company", "an urgent one for nobody", "nor for what is not urgent",
        "but for what is as urgent", "however long others wait", "and not for ever", "a full batch waits for nobody",
    ],
)  # fmt: skip
def test_the_plan_with_company_on_its_way_for(waiting, coming, expected):
    made = plan(waiting, 0.0, coming=coming, max_batch=3, max_wait_s=0.5, company_s=5.0)

    assert made.take == expected.take
    assert made.wake_in == pytest.approx(expected.wake_in)


@pytest.mark.parametrize(
    ("count", "under_way", "taken"),
    [(ENOUGH, 0, ENOUGH), (ENOUGH - 1, 0, 0), (ENOUGH, 1, 0), (16, 1, 16), (40, 0, 16), (3, 1, 0)],
)
def test_less_is_enough_while_the_server_is_idle(count, under_way, taken):
    made = plan(old(*[0.0] * count), 0.0, max_batch=16, max_wait_s=0.5, under_way=under_way)

    assert len(made.take) == taken


@given(
    st.lists(st.tuples(st.integers(1, 2), st.floats(0, 10)), min_size=1, max_size=40),
    st.integers(1, 16),
    st.floats(0, 12),
)
def test_no_plan_takes_too_many_or_starves_the_urgent(drawn, size, now):
    waiting = [Waiting(priority, since) for priority, since in drawn]

    made = plan(waiting, now, max_batch=size, max_wait_s=1.0)

    assert len(set(made.take)) == len(made.take) <= size
    assert bool(made.take) != (made.wake_in is not None)
    left = [w.priority for i, w in enumerate(waiting) if i not in made.take]
    assert not made.take or all(waiting[i].priority <= min(left, default=9) for i in made.take)


async def test_images_of_many_callers_go_together_and_each_gets_its_own_row():
    backend = Recorder()
    batcher = Batcher(backend, max_batch=8, in_flight=2, max_wait_s=30.0)

    answers = await asyncio.gather(*(batcher.submit(SPEC, image(i)) for i in range(24)))

    assert [float(a["logits"][0]) for a in answers] == list(range(24))
    assert [len(b) for b in backend.batches] == [8, 8, 8]
    assert backend.most == 2


async def test_images_that_become_ready_one_after_the_other_go_together_if_announced():
    backend = Recorder()
    batcher = Batcher(backend, max_batch=8, max_wait_s=0.0)

    async def made_ready(value):
        with batcher.announced(SPEC, 1):
            await asyncio.sleep(0.001 * value)
        return await batcher.submit(SPEC, image(value), 1)

    await asyncio.gather(*(made_ready(i) for i in range(12)))

    assert [len(b) for b in backend.batches] == [8, 4]


async def test_those_who_wait_for_an_image_that_never_comes_go_without_it():
    backend = Recorder()
    batcher = Batcher(backend, max_batch=8)

    async def refused():
        with batcher.announced(SPEC, 1):
            await asyncio.sleep(0.001)
            raise ZeroDivisionError

    answers = await asyncio.gather(batcher.submit(SPEC, image(1), 1), refused(), return_exceptions=True)

    assert isinstance(answers[1], ZeroDivisionError)
    assert backend.batches == [[1]]


async def test_one_bad_image_fails_alone():
    backend = Recorder()
    batcher = Batcher(backend, max_batch=8)

    calls = (batcher.submit(SPEC, image(v)) for v in (1, POISON, 3))
    answers = await asyncio.gather(*calls, return_exceptions=True)

    assert [type(a) for a in answers] == [dict, InferenceRejectedError, dict]
    assert [float(a["logits"][0]) for a in answers if isinstance(a, dict)] == [1, 3]


async def test_an_image_of_another_shape_fails_alone():
    batcher = Batcher(Recorder(), max_batch=8)
    odd = np.zeros((1, 9, 9), dtype=np.uint16)

    calls = (batcher.submit(SPEC, odd), batcher.submit(SPEC, image(4)))
    answers = await asyncio.gather(*calls, return_exceptions=True)

    assert [type(a) for a in answers] == [InferenceRejectedError, dict]
    assert [float(a["logits"][0]) for a in answers if isinstance(a, dict)] == [4]


async def test_an_ill_server_is_not_asked_again_for_each_image():
    backend = Recorder(InferenceUnavailableError("away"))
    batcher = Batcher(backend, max_batch=4, max_wait_s=5)

    calls = (batcher.submit(SPEC, image(i)) for i in range(4))
    answers = await asyncio.gather(*calls, return_exceptions=True)

    assert all(isinstance(a, InferenceUnavailableError) for a in answers)
    assert len(backend.batches) == 1


async def test_an_error_nobody_foresaw_reaches_whoever_waits():
    batcher = Batcher(Recorder(ZeroDivisionError()), max_batch=4)

    with pytest.raises(ZeroDivisionError):
        await batcher.submit(SPEC, image(1))


async def test_urgent_images_overtake_and_say_so_to_the_server():
    backend = Recorder()
    batcher = Batcher(backend, max_batch=2, in_flight=1)

    routine = [asyncio.create_task(batcher.submit(SPEC, image(i))) for i in range(6)]
    await asyncio.sleep(0)
    await batcher.submit(SPEC, image(99), 1)
    await asyncio.gather(*routine)

    assert 99 in backend.batches[1]
    assert backend.priorities[1] == 1
    assert set(backend.priorities) == {1, 2}


async def test_a_caller_that_gives_up_takes_its_image_along():
    backend = Recorder()
    batcher = Batcher(backend, max_batch=8, max_wait_s=0.01)
    call = asyncio.create_task(batcher.submit(SPEC, image(1)))
    await asyncio.sleep(0)
    call.cancel()

    await batcher.submit(SPEC, image(2))

    assert backend.batches == [[2]]


async def test_closing_waits_for_what_is_under_way():
    backend = Recorder()
    batcher = Batcher(backend, max_batch=2, in_flight=1)
    calls = [asyncio.create_task(batcher.submit(SPEC, image(i))) for i in range(5)]
    await asyncio.sleep(0)

    await batcher.close()
    await asyncio.sleep(0)

    assert all(call.done() for call in calls)
