"""The server's running comparison with the test images."""

import asyncio

import numpy as np

from keensight.assess.drift import WINDOW
from keensight.core.drift import NUMBERS, Measured
from keensight.serve.access import Access
from keensight.serve.app import application
from keensight.serve.service import Service
from keensight.serve.settings import Settings
from keensight.serve.watch import Watch
from serve_builders import FORM, LABELS, ByBrightness, form, manifest, picture, request

DRAW = np.random.default_rng(0)
LEVELS = DRAW.integers(60, 160, 400)


def reference():
    """What pictures of these levels measure."""
    values = np.full((len(LEVELS), len(NUMBERS)), np.nan, np.float32)
    values[:, NUMBERS.index("brightness")] = LEVELS / 255
    values[:, NUMBERS.index("confidence")] = np.maximum(LEVELS, 255 - LEVELS) / 255
    return Measured(values, (LEVELS > 127).astype(np.int64))


def sent(levels, watch):
    """The state after pictures of these levels, and the metrics."""
    service = Service(Settings("squares", workers=2), manifest(), watch)
    app = Access(application(service), service)

    async def main():
        service.open(ByBrightness())
        pictures = [("a.png", picture(int(level))) for level in levels]
        for begin in range(0, len(pictures), 25):
            reply = await request(app, "POST", "/predict", [form(*pictures[begin : begin + 25])], FORM)
            assert reply.status == 200
        drift, metrics = await request(app, "GET", "/drift"), await request(app, "GET", "/metrics")
        await asyncio.to_thread(service.pool.stop)
        return drift.json(), metrics.body.decode()

    return asyncio.run(main())


def test_pictures_like_the_test_images_are_no_alarm():
    found, metrics = sent(DRAW.integers(60, 160, 2 * WINDOW + 30), Watch(reference(), LABELS, None))
    assert found["watched"] and found["windows"] == 2 and not found["differs"] and found["images_in_next_window"] == 30
    assert found["last"]["n"] == WINDOW and {one["property"] for one in found["last"]["properties"]} == {
        "brightness", "confidence", "predicted class"
    }  # fmt: skip
    assert "keensight_drift 0.0" in metrics and 'keensight_drift_windows_total{differs="false"} 2.0' in metrics


def test_darker_pictures_are_an_alarm_after_one_window():
    found, metrics = sent(DRAW.integers(20, 120, WINDOW), Watch(reference(), LABELS, None))
    assert found["differs"] and found["windows_that_differ"] == 1 and "brightness" in found["sentence"]
    assert "keensight_drift 1.0" in metrics


def test_before_a_window_is_full_there_is_no_result_and_without_measurements_none_at_all():
    found, _ = sent(DRAW.integers(20, 120, 50), Watch(reference(), LABELS, None))
    assert found["windows"] == 0 and found["last"] is None and not found["differs"]
    found, _ = sent([100], None)
    assert found["watched"] is False
