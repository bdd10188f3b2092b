"""The whole walk from Python, on real image files: what it keeps, and how it ends when something goes wrong."""

import errno
import json
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

import keensight as ks
from keensight.errors import GateError, InterruptedRun, StoreError
from keensight.workflow import run_self_test

pytestmark = pytest.mark.slow

QUICK = {"model.name": "cnn", "model.width": 4, "train.epochs": 3, "train.batch_size": 8, "data.image_size": 16}
BAD = {
    "empty.jpg": b"",
    "text.jpg": b"this is no picture",
    "torn.png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
}


def draw(kind, rng):
    """Kind 0 is reddish, kind 1 greenish, kind 2 bluish; noisy, no two alike."""
    pixels = rng.integers(0, 120, (30, 24, 3), dtype=np.uint8)
    pixels[..., kind] += 110
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three classes of 24 images in several formats, with three broken files and some litter."""
    root = tmp_path_factory.mktemp("set") / "photos"
    rng = np.random.default_rng(0)
    for kind, name in enumerate(("red", "green", "blue")):
        (root / name).mkdir(parents=True)
        for i in range(24):
            image = draw(kind, rng)
            image = image.convert("CMYK") if i % 5 == 4 else image
            image.save(root / name / f"{i}.{'jpg' if i % 2 or i % 5 == 4 else 'png'}", quality=95)
    for name, data in BAD.items():
        (root / "red" / name).write_bytes(data)
    (root / "green" / "Thumbs.db").write_bytes(b"x")
    (root / ".ipynb_checkpoints").mkdir()
    return root


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory):
    return ks.train(photos, run=tmp_path_factory.mktemp("runs") / "run", settings=QUICK, command="a test")


class Recorder:
    """Progress that notes phases, and can break off in one of them."""

    def __init__(self, stop_in=None, after=1):
        self.stop_in, self.after, self.done = stop_in, after, {}

    @contextmanager
    def task(self, label, total, unit="images"):
        recorder = self

        class Task:
            def advance(self, amount=1, note=None):
                recorder.done[label] = recorder.done.get(label, 0) + amount
                if label == recorder.stop_in and recorder.done[label] >= recorder.after:
                    raise KeyboardInterrupt

        yield Task()

    def say(self, message):
        pass

    def detail(self, message):
        pass


def test_broken_files_are_put_aside_with_their_reasons_and_training_goes_on(run):
    assert run.record.state == "finished"
    assert {skipped.path for skipped in run.audit.quarantined} == {f"red/{name}" for name in BAD}
    assert all(skipped.reason for skipped in run.audit.quarantined)
    assert run.record.results["data"]["quarantined"] == 3
    used = {run.dataset.samples[i].path for part in (run.split.train, run.split.val, run.split.test) for i in part}
    assert len(used) == 72 and not any(name in path for path in used for name in BAD)
    assert {skipped.path for skipped in run.audit.skipped} >= {"green/Thumbs.db"}
    assert run.dataset.labels.names == ("blue", "green", "red")


def test_the_run_keeps_every_record_and_holds_no_absolute_path(run, photos):
    written = {str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file()}
    assert written >= {
        "run.json", "config.toml", "dataset.parquet", "audit.json", "split.csv", "history.jsonl", "log.txt",
        "report.html",
        "bundle/manifest.json", "bundle/model.keras", "bundle/exam.npz", "bundle/MODEL_CARD.md",
        "bundle/prototypes.npz",
        "evaluation/evaluation.json", "evaluation/predictions.csv", "evaluation/confusion.csv",
        "evaluation/report.txt",
    }  # fmt: skip
    for path in run.path.rglob("*"):
        if path.is_file() and path.suffix in (".json", ".toml", ".csv", ".txt", ".html", ".jsonl", ".md"):
            assert str(photos.parent) not in path.read_text(encoding="utf-8"), path
    assert len(run.history.epochs) == 3
    assert "epoch 3 (train)" in (run.path / "log.txt").read_text(encoding="utf-8")


def test_the_measured_figures_are_those_of_the_bundle(run, photos):
    again = ks.evaluate(run, photos)  # images that the run learned from are left out
    assert again.n == len(run.split.test) == run.evaluation.n
    assert again.accuracy.value == run.evaluation.accuracy.value
    assert again.loss == pytest.approx(run.evaluation.loss, abs=1e-5)
    assert sum(map(sum, run.evaluation.confusion)) == run.evaluation.n


def test_the_report_can_be_written_again_without_the_images(run):
    first = run.report_path.read_text(encoding="utf-8")
    assert ks.report(run) == run.report_path
    assert run.report_path.read_text(encoding="utf-8").count("<img") == first.count("<img") > 0


def test_a_second_training_decodes_nothing_and_ends_in_the_same_figures(photos, tmp_path, cache_folder):
    first, second = Recorder(), Recorder()
    a = ks.train(photos, run=tmp_path / "a", settings=QUICK, progress=first)
    b = ks.train(photos, run=tmp_path / "b", settings=QUICK, progress=second)
    assert first.done["decoding"] == 72  # each readable image once
    assert "decoding" not in second.done
    assert a.record.results["test"] == b.record.results["test"]
    resolved = b.config_path.read_text(encoding="utf-8")
    assert a.config_path.read_text(encoding="utf-8") == resolved and '"auto"' not in resolved.replace(
        'cache = "auto"', ""
    )
    assert 'weights = "none"' in resolved  # cnn has no ImageNet weights


@pytest.mark.parametrize("phase", ["decoding", "training"])
def test_ctrl_c_leaves_a_run_that_says_so_and_nothing_half_written(photos, tmp_path, cache_folder, phase):
    with pytest.raises(InterruptedRun):
        ks.train(photos, run=tmp_path / "run", settings=QUICK, progress=Recorder(stop_in=phase, after=5))
    run = ks.open_run(tmp_path / "run")
    assert run.record.state == "interrupted"
    assert not run.bundle_path.exists()
    assert not [path for path in cache_folder.rglob("*") if path.name.startswith(".") and path.is_file()]
    again = ks.train(photos, run=tmp_path / "again", settings=QUICK)
    assert again.record.state == "finished"


def test_ctrl_c_after_an_epoch_keeps_the_best_model_so_far(photos, tmp_path):
    with pytest.raises(InterruptedRun) as caught:
        ks.train(photos, run=tmp_path / "run", settings=QUICK, progress=Recorder(stop_in="training", after=10))
    assert str(tmp_path / "run" / "bundle") in caught.value.hint
    run = ks.open_run(tmp_path / "run")
    assert run.record.state == "interrupted"
    assert (len(run.history.epochs), run.history.best_epoch, run.history.stopped) == (1, 1, "interrupted")
    assert len(ks.load(run).predict(photos / "red" / "0.png")) == 1


def test_ctrl_c_in_fit_leaves_the_model_with_its_best_weights(photos):
    data = ks.open(photos)
    audit = ks.audit(data)
    split, pixels = ks.split(data, audit=audit), ks.prepare(data, ks.image_spec(data, 16))
    model, kept = ks.build(data, pixels.spec, "cnn", width=4), []
    with pytest.raises(InterruptedRun, match="after epoch 1; the model has the weights of epoch 1"):
        ks.fit(
            model, data, split, pixels, epochs=3, settings={"train.batch_size": 8, "train.ema": 0.0},
            on_epoch=lambda epoch: kept.append(model.get_weights()), progress=Recorder("training", 10),
        )  # fmt: skip
    assert all(map(np.array_equal, model.get_weights(), kept[0]))


def test_a_full_disk_fails_the_run_and_leaves_no_half_bundle(photos, tmp_path, monkeypatch):
    def full(path, exam):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("keensight.store.bundle.write_self_test", full)
    with pytest.raises(StoreError, match="disk is full"):
        ks.train(photos, run=tmp_path / "run", settings=QUICK)
    run = ks.open_run(tmp_path / "run")
    assert run.record.state == "failed" and "disk is full" in run.record.message
    assert not run.bundle_path.exists()
    assert not [path for path in run.path.iterdir() if path.name.startswith(".")]


def test_a_source_that_cannot_be_split_writes_nothing(tmp_path):
    for name in ("many", "one"):
        (tmp_path / "set" / name).mkdir(parents=True)
    rng = np.random.default_rng(1)
    for i in range(10):
        draw(0, rng).save(tmp_path / "set" / "many" / f"{i}.png")
    draw(1, rng).save(tmp_path / "set" / "one" / "0.png")
    with pytest.raises(ks.DataError, match="one"):
        ks.train(tmp_path / "set", run=tmp_path / "run", settings=QUICK)
    assert not (tmp_path / "run").exists()


def test_step_by_step_gives_a_bundle_that_answers_like_the_model(photos, tmp_path):
    data = ks.open(photos)
    spec = ks.image_spec(data, image_size=16)
    pixels = ks.prepare(data, spec)
    split = ks.split(data, audit=ks.audit(data, pixels=pixels))
    model = ks.build(data, spec, "cnn", width=4)
    history = ks.fit(model, data, split, pixels, epochs=6, settings={"train.batch_size": 8})
    assert len(history.epochs) == 6
    classifier = ks.calibrate(ks.Classifier(model, data.labels, spec), data, split, pixels, target_coverage=0.5)
    assert classifier.subspace is not None
    assert classifier.decision is not None and classifier.decision.target == "coverage"
    evaluation = ks.evaluate(classifier, data, split=split)
    assert evaluation.n == len(split.test)
    bundle = ks.bundle(classifier, data, split, tmp_path / "bundle")
    loaded = ks.load(tmp_path / "bundle")
    assert run_self_test(loaded, bundle.exam()) < 1e-5
    paths = [photos / data.samples[i].path for i in split.test]
    np.testing.assert_allclose(loaded.predict(paths).probabilities, evaluation.predictions.probabilities, atol=1e-5)


def test_an_exam_with_other_answers_is_failed(run):
    exam = ks.open_bundle(run.path).exam()
    wrong = type(exam)(exam.names, exam.images, np.roll(exam.probabilities, 1, axis=1))
    with pytest.raises(GateError, match="self-test failed"):
        run_self_test(ks.load(run), wrong)


def test_predict_takes_folders_patterns_and_broken_files(run, photos):
    found = ks.predict(run, [photos / "blue", str(photos / "red" / "*.jpg"), photos / "red" / "torn.png"])
    assert len(found) == 24 + len(list((photos / "red").glob("*.jpg"))) + 1
    assert {path.rsplit("/", 1)[1] for path in found.errors} == {"empty.jpg", "text.jpg", "torn.png"}
    assert json.dumps(found.rows())


def test_bfloat16_training_ships_a_float32_graph(photos, tmp_path):
    run = ks.train(photos, run=tmp_path / "run", settings={**QUICK, "train.precision": "bfloat16"})
    model = ks.load(run).keras_model
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
    assert 'precision = "bfloat16"' in run.config_path.read_text(encoding="utf-8")


def test_tensorboard_events_are_written_on_request(photos, tmp_path):
    run = ks.train(photos, run=tmp_path / "run", settings={**QUICK, "train.tensorboard": True})
    assert list((run.path / "tensorboard").rglob("events.out.tfevents.*"))


def test_a_cache_that_is_never_used_trains_all_the_same(photos, tmp_path, cache_folder):
    run = ks.train(photos, run=tmp_path / "run", settings={**QUICK, "data.cache": "never"})
    assert run.record.state == "finished"
    assert not list(cache_folder.rglob("*.rows"))
