"""The queue: what it takes, what it refuses, and what becomes of each image."""

import asyncio

import pytest

from keensight.serve.pool import AT_ONCE, Pool, examine
from keensight.serve.rejection import Reason, Rejected
from serve_builders import SPEC, ByBrightness, picture


def run(work, workers=1, queue=100, model=None):
    """Run ``work(pool)`` in an event loop, with a pool that has ended afterwards."""
    model, batches = model or ByBrightness(), []
    pool = Pool(workers, queue, 10_000, batches.append)

    async def main():
        pool.start(model)
        try:
            return await work(pool)
        finally:
            model.go_on.set()
            await asyncio.to_thread(pool.stop)

    return asyncio.run(main()), batches


def test_images_get_their_own_predictions_whatever_is_taken_at_once():
    levels = [3 * i for i in range(80)]

    async def work(pool):
        return await asyncio.gather(*pool.submit([picture(level) for level in levels], top=1))

    outcomes, batches = run(work, workers=3)
    assert [outcome.row["label"] for outcome in outcomes] == ["bright" if level > 127 else "dark" for level in levels]
    assert [len(outcome.row["top"]) for outcome in outcomes] == [1] * 80
    assert sum(len(batch.outcomes) for batch in batches) == 80
    assert max(len(batch.outcomes) for batch in batches) <= AT_ONCE


def test_a_full_queue_refuses_with_a_time_and_takes_again_later():
    model = ByBrightness()
    model.go_on.clear()

    async def work(pool):
        first = pool.submit([picture(0)] * 5, top=1)
        with pytest.raises(Rejected) as refused:
            pool.submit([picture(0)], top=1)
        model.go_on.set()
        await asyncio.gather(*first)
        assert pool.unfinished == 0
        again = await asyncio.gather(*pool.submit([picture(255)], top=1))
        return refused.value.problem, again

    (problem, again), _ = run(work, queue=5, model=model)
    assert problem.reason == Reason.BUSY and problem.status == 429 and problem.retry_after >= 1
    assert again[0].row["label"] == "bright"


def test_what_a_client_no_longer_waits_for_is_not_predicted():
    model = ByBrightness()
    model.go_on.clear()

    async def work(pool):
        first = pool.submit([picture(0)], top=1)
        await asyncio.sleep(0.05)  # the worker holds the first one
        second = pool.submit([picture(0)] * 3, top=1)
        for result in second:
            result.cancel()
        model.go_on.set()
        await asyncio.gather(*first)
        while pool.unfinished:
            await asyncio.sleep(0.01)

    run(work, model=model)
    assert sum(model.sizes) == 1


def test_a_model_that_fails_fails_its_images_and_no_others():
    class Breaks(ByBrightness):
        def predict_read(self, images):
            self.sizes.append(len(images))
            if len(self.sizes) == 1:
                raise RuntimeError("an operation is missing")
            return super().predict_read(images)

    async def work(pool):
        first = await asyncio.gather(*pool.submit([picture(0)], top=1))
        return first + await asyncio.gather(*pool.submit([picture(0)], top=1))

    (first, second), batches = run(work, model=Breaks())
    assert first.problem.reason == Reason.FAILED and first.problem.status == 500
    assert second.problem is None and second.row["label"] == "dark"
    assert len(batches) == 1


@pytest.mark.parametrize(
    ("image", "reason", "status", "words"),
    [
        (b"", Reason.EMPTY, 422, "empty"),
        (b"hello, this is text", Reason.NOT_AN_IMAGE, 415, "text"),
        (b"%PDF-1.4 ...", Reason.NOT_AN_IMAGE, 415, "PDF"),
        (picture(0, side=101), Reason.TOO_MANY_PIXELS, 413, "101×101"),
        (picture(9, kind="JPEG")[:400], Reason.UNREADABLE, 422, "JPEG"),
        (picture(9)[:40], Reason.UNREADABLE, 422, "PNG"),
    ],
)
def test_each_kind_of_bad_image_has_its_reason(image, reason, status, words):
    found = examine(image, SPEC, 10_000)
    assert found.problem.reason == reason and found.problem.status == status
    assert words in found.problem.message and found.read.error == found.problem.message and found.read.image is None


def test_a_good_image_is_read_with_its_header():
    found = examine(picture(7), SPEC, 10_000)
    assert found.problem is None and found.read.image.shape == SPEC.shape and found.info.width == 16
