import argparse
import csv
import dataclasses
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "wide"))

import baselines
import draws
import localize
import measure
import sets
import tables_wide
from draws import Picture
from image_sources import Division, LabelFile, Near, Rule, Source, _source, fill, load, pick
from repository import LIMIT, Repository, fetched, mirrored

KINDS = {"name": "tiny", "kind": "test", "task": "classify", "half": "chosen", "repository": "owner/name"}
TEXTS = {"original": "", "license": "", "note": "", "images": 0, "digest": ""}


def png(seed, size=(12, 10)):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return stream.getvalue()


def git(folder, *arguments):
    done = subprocess.run(
        ["git", "-C", folder, "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.strip()


def committed(folder, files):
    """A repository `owner/name` in the folder, and its commit."""
    root = folder / "owner" / "name"
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    git(root, "init", "--quiet")
    git(root, "config", "uploadpack.allowFilter", "true")
    git(root, "config", "uploadpack.allowAnySHA1InWant", "true")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "images")
    return git(root, "rev-parse", "HEAD")


def source(commit, *rules, by="random", fractions=(0.6, 0.2, 0.2), **options):
    known = [{"pattern": rule} if isinstance(rule, str) else rule for rule in rules]
    division = {"by": by, "fractions": fractions} | options.pop("division", {})
    return _source(KINDS | TEXTS | {"commit": commit, "rules": known, "division": division} | options)


def built(one, folder, out):
    with Repository(fetched(one.repository, one.commit, out / "repositories", f"file://{folder}"), one.commit) as repo:
        return sets.build(one, repo, out)


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """Two classes of ten images, one exact copy of a cat, one cat that is also called a dog, and a large file."""
    folder = tmp_path_factory.mktemp("origin")
    files = {f"{name}/{i}.png": png(10 * n + i) for n, name in enumerate(("cat", "dog")) for i in range(10)}
    files |= {"cat/copy.png": files["cat/3.png"], "dog/cat.png": files["cat/4.png"], "cat/text.png": b"no image"}
    files["cat/large.png"] = np.random.default_rng(0).bytes(5 << 20)
    files["labels.txt"] = b"\n".join(f"{i},{'low' if i < 5 else 'high'}".encode() for i in range(10))
    return folder, committed(folder, files)


def test_a_set_is_built_from_one_commit_without_copies_contradictions_and_large_files(origin, tmp_path):
    folder, commit = origin
    one = source(commit, r"^(?P<label>cat|dog)/\w+\.png$")
    rows = built(one, folder, tmp_path)
    names = [row["path"].rsplit("/", 1)[1] for row in rows if row["label"] == "cat"]
    assert sorted(names) == [f"{i}.png" for i in range(10) if i != 4]
    assert {split: sum(row["split"] == split for row in rows) for split in draws.PARTS} == {
        "train": 11, "val": 4, "test": 4,
    }  # fmt: skip
    with (tmp_path / "tiny" / "metadata.csv").open() as stream:
        table = list(csv.DictReader(stream))
    assert list(table[0]) == ["path", "label", "split"] and len(table) == len(rows)
    assert all((tmp_path / "tiny" / row["path"]).read_bytes()[:4] == b"\x89PNG" for row in table)


def test_a_second_build_gives_the_same_table_and_its_digest_is_checked(origin, tmp_path):
    folder, commit = origin
    one = source(commit, r"^(?P<label>cat|dog)/\w+\.png$")
    first = sets.digest(built(one, folder, tmp_path / "a"))
    assert sets.digest(built(one, folder, tmp_path / "b")) == first
    right = dataclasses.replace(one, digest=first)
    assert sets.is_built(right, tmp_path / "a") and not sets.is_built(one, tmp_path / "a")
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "owner+name").symlink_to(folder / "owner" / "name")
    assert sets.ensure(right, tmp_path / "c", mirror).is_file()
    with pytest.raises(SystemExit, match="digest"):
        sets.ensure(one, tmp_path / "d", mirror)


def test_a_fetched_repository_has_no_file_of_the_limit_and_asks_for_none(origin, tmp_path):
    folder, commit = origin
    target = fetched("owner/name", commit, tmp_path, f"file://{folder}")
    with Repository(target, commit) as repository:
        assert LIMIT == 4 << 20 and repository.present(["cat/0.png", "cat/large.png"]) == ["cat/0.png"]
        assert repository.read("cat/0.png") == png(0)
        with pytest.raises(FileNotFoundError):
            repository.read("cat/large.png")
        assert repository.read("cat/1.png") == png(1)
    assert fetched("owner/name", commit, tmp_path, "file:///nowhere") == target
    with pytest.raises(SystemExit, match="no git directory of a/b"):
        mirrored("a/b", tmp_path)


def test_labels_come_from_a_file_of_the_repository(origin, tmp_path):
    folder, commit = origin
    where = {"path": "labels.txt", "pattern": r"(?P<key>\d+),(?P<label>\w+)", "form": "is_{}"}
    rows = built(source(commit, r"^dog/(?P<name>\d)\.png$", label_file=where), folder, tmp_path)
    assert {row["label"] for row in rows if row["path"].endswith(("/2.png", "/4.png"))} == {"is_low"}
    assert {row["label"] for row in rows if row["path"].endswith(("/5.png", "/9.png"))} == {"is_high"}


def test_an_anomaly_set_trains_on_good_images_and_has_binary_masks_of_the_images_size(tmp_path):
    files = {f"good/{i}.png": png(i) for i in range(10)} | {f"bad/{i}.png": png(20 + i) for i in range(3)}
    mask = io.BytesIO()
    Image.fromarray(np.array([[0, 200], [10, 0]], np.uint8)).save(mask, "png")
    files["masks/1.png"] = mask.getvalue()
    commit = committed(tmp_path, files)
    rule = {"pattern": r"^(?P<label>good|bad)/(?P<i>\d+)\.png$", "mask": "masks/{i}.png"}
    one = source(commit, rule, by="normal", fractions=(0.6, 0.4), task="anomaly", labels={"bad": "scratch"})
    rows = built(one, tmp_path, tmp_path)
    assert {(row["label"], row["split"]) for row in rows} == {("good", "train"), ("good", "test"), ("scratch", "test")}
    assert [row["mask"] for row in rows if row["mask"]] == ["ground_truth/scratch/1_mask.png"]
    drawn = np.array(Image.open(tmp_path / "tiny" / "ground_truth" / "scratch" / "1_mask.png"))
    assert drawn.shape == (10, 12) and drawn[0, -1] == 255 and (drawn == 255).sum() == 30


def test_groups_stay_in_one_split_and_augmented_copies_out_of_test():
    pictures = [Picture(f"{i}.png", {}, label="ab"[i % 2], group=f"g{i // 4}") for i in range(40)]
    draws.divide(pictures, (0.6, 0.2, 0.2), draws.PARTS, "seed")
    splits = {group: {one.split for one in pictures if one.group == group} for group in {one.group for one in pictures}}
    assert all(len(found) == 1 for found in splits.values())
    assert {split for found in splits.values() for split in found} == set(draws.PARTS)
    originals = [Picture(f"o{i}", {}, label="a", group=f"g{i}") for i in range(10)]
    copies = [Picture(f"c{i}", {}, label="a", group=f"g{i // 3}", copy=True) for i in range(30)]
    found = draws.DIVISIONS["original"](originals + copies, Division("original", (0.5, 0.2, 0.3)), "seed")
    test = {one.group for one in found if one.split == "test"}
    assert test and {one.copy for one in found if one.split == "test"} == {False}
    assert not test & {one.group for one in found if one.copy}


def test_a_draw_keeps_small_classes_whole_and_the_proportions_of_the_others():
    pictures = [
        Picture(f"{name}{i}", {}, label=name) for name, n in (("a", 600), ("b", 300), ("c", 9)) for i in range(n)
    ]
    found = draws.some(pictures, 309, 10, "seed")
    assert {name: len(same) for name, same in draws.by_class(found).items()} == {"a": 200, "b": 100, "c": 9}


def test_near_duplicates_share_a_group_and_series_end_at_a_gap():
    class Files:
        def read(self, path):
            return png(int(path[0]), (40, 40))

    pictures = [Picture(path, {}, label="a") for path in ("0", "0again", "1", "2")]
    draws.group_near(Files(), pictures, Near(bits=4, action="group"))
    assert [one.group for one in pictures] == ["like0000", "like0000", "like0002", "like0003"]
    series = [Picture(f"n_{number}", {}) for number in (5, 7, 30, 31)]
    draws.group_series(series, r"n_(\d+)", 10)
    assert [one.group for one in series] == ["series000005"] * 2 + ["series000030"] * 2


def test_the_sources_are_complete_and_fill_both_halves():
    found = load()
    assert len({one.name for one in found}) == len(found) >= 12
    assert all(len(one.commit) == 40 and len(one.digest) == 64 and one.license and one.rules for one in found)
    assert {(one.task, one.half) for one in found} == {
        (task, half) for task in ("classify", "anomaly") for half in ("chosen", "shown")
    }
    assert all(one.division.by in draws.DIVISIONS for one in found)
    halves = {}
    for one in found:
        halves.setdefault((one.repository, one.rules[0].pattern.pattern), set()).add(one.half)
    assert all(len(sides) == 1 for sides in halves.values())
    assert {one.name for one in pick([], "shown", "masks")} >= {"an_cookie"}
    with pytest.raises(SystemExit, match="no such set: nothing"):
        pick(["nothing"], None, None)


def test_a_template_takes_fields_and_divides_numbers():
    assert fill("{label}_{num//10}", {"label": "a", "num": "127"}) == "a_12"
    assert LabelFile("a", "b").form == "{}" and Rule(pattern=None).label == "{label}"


def test_logistic_regression_finds_separable_classes_and_nearest_good_images_find_defects():
    draw = np.random.default_rng(0)
    labels = np.repeat(["a", "b"], 40)
    vectors = draw.normal(size=(80, 8)).astype(np.float32) + 4 * (labels == "b")[:, None]
    splits = np.tile(["train", "train", "val", "test"], 20)
    columns = {"label": labels, "split": splits, "group": np.arange(80).astype(str), "path": labels}
    found = baselines.logistic(vectors, columns)
    assert found["n"] == 20 and found["accuracy"] == found["macro_f1"] == 1 and found["C"] in baselines.STRENGTHS
    columns["label"] = np.where(labels == "a", "good", "bad")
    area = baselines.nearest_good(vectors, columns)
    assert area["n"] == 20 and area["auroc"] > 0.95 and area["auroc_ci"][1] <= 1


def test_a_class_without_a_right_prediction_lowers_macro_f1():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    found = baselines.scores(probabilities, np.array(["a", "a", "a", "b"]), np.array(["a", "b"]))
    assert found["accuracy"] == 0.75 and found["macro_f1"] == pytest.approx(3 / 7)


def test_recorded_results_are_read_and_a_set_that_loses_is_named(tmp_path):
    sources = [one for one in load() if one.name in ("busi", "an_cookie")]
    about = {"kind": "test", "half": "shown", "n": 5, "seconds": 3.0}
    figures = {
        "busi-quick": {"accuracy": 0.8, "macro_f1": 0.5, "ece": 0.1, "auroc": 0.9},
        "busi-logistic": {"accuracy": 0.7, "macro_f1": 0.6, "ece": 0.1},
        "busi-pytorch": {"accuracy": 0.9},
        "an_cookie-quick": {"auroc": 0.9},
        "an_cookie-nearest": {"auroc": 0.8},
    }
    (tmp_path / "wide").mkdir()
    for name, one in figures.items():
        document = {"name": f"wide/{name}", "command": "python a.py", "figures": about | one}
        (tmp_path / "wide" / f"{name}.json").write_text(json.dumps(document))
    found = measure.recorded(sources, tmp_path)
    assert len(found) == 5
    text = tables_wide.wide_section(found)
    assert any(line.endswith(" on: busi (macro F1: quick 0.500, logistic 0.600).") for line in text)
    counted = "1 by `logistic`, 1 by `nearest`, 1 by `pytorch`, 2 by `quick`"
    assert f"\nMeasured so far: of the 21 *chosen* sets, none yet; of the 22 *shown* sets, {counted}." in text
    assert "- Mean macro F1 on 1 shown sets: `quick` 0.500; `logistic` 0.600 (-10.0 points)." in text
    assert "- Mean AUROC on 1 shown sets: `quick` 0.900, at least 0.900; `nearest` 0.800 (+10.0 points)." in text
    assert "| busi: test (shown) | quick | 0.500 | 0.800 | 0.100 | 5 | 3 s |" in text
    assert "| busi: test (shown) | pytorch | – | 0.900 | – | 5 | 3 s |" in text
    assert "| an_cookie: test (shown) | nearest | 0.800 | – | – | – | – | 5 | 3 s |" in text
    assert len([line for line in text if line.startswith("| an_cookie")]) == 2
    assert len([line for line in text if line.startswith("| busi")]) == 3


def test_a_set_is_measured_once_and_each_result_is_saved(tmp_path, monkeypatch):
    calls, saved = [], {}
    monkeypatch.setattr(measure, "recorded", lambda sources: [saved[key] for key in saved if sources[0].name in key])
    monkeypatch.setattr(measure, "ensure", lambda source, out, mirror: tmp_path / source.name)

    def measured(contender, source, table, python):
        calls.append((source.name, contender))
        if contender == "standard":
            raise subprocess.CalledProcessError(1, "train", stderr="no memory")
        return {"n": 7}

    def save(name, n, figures, versions):
        assert "scikit-learn" in versions
        saved[name] = {"name": name, "n": n, "figures": figures}

    monkeypatch.setattr(measure, "measured", measured)
    monkeypatch.setattr(measure, "save", save)
    sources = [one for one in load() if one.name in ("busi", "an_cookie")]
    asked = argparse.Namespace(contenders=["quick", "standard", "logistic"], out=tmp_path, mirror=None, python="")
    measure.run(sources, asked)
    assert set(saved) == {"wide/busi-quick", "wide/busi-logistic", "wide/an_cookie-quick"}
    assert saved["wide/busi-quick"]["figures"]["half"] == "shown"
    calls.clear()
    measure.run(sources, asked)
    assert calls == [("busi", "standard"), ("an_cookie", "standard")]


def test_a_training_is_told_of_groups_and_of_the_normal_class(tmp_path):
    table = tmp_path / "metadata.csv"
    table.write_text("path,label,split,group\n")
    one = next(one for one in load() if one.name == "an_laser_film")
    words = measure.command("quick", one, table, tmp_path)
    assert words[-6:] == ["--group", "group", "--task", "anomaly", "--normal", "good"]
    table.write_text("path,label,split\n")
    assert "--group" not in measure.command("quick", dataclasses.replace(one, task="classify"), table, tmp_path)
    assert isinstance(one, Source) and measure.rounded([0.1234567, 3]) == [0.12346, 3]


def test_the_page_compares_the_choices_of_the_head_and_names_sets_that_get_worse():
    def document(name, half, validation, refit):
        ways = {"validation": validation, "cross": validation, "refit": refit, "averaged": 0.75}
        figures = {way: {"accuracy": f1, "macro_f1": f1, "loss": 1 - f1} for way, f1 in ways.items()}
        return {"name": f"head/{name}", "n": 9, "figures": {"half": half, **figures}}

    lines = tables_wide.head_section([document("a", "chosen", 0.5, 0.7), document("b", "shown", 0.9, 0.8)])
    assert any("| a (chosen) | 9 | 0.500 / 0.500 / 0.700 / 0.750 |" in line for line in lines)
    assert any("**mean of 1 shown**" in line and "0.900 / 0.900 / 0.800 / 0.750" in line for line in lines)
    assert any(line.endswith("one validation set, by macro F1, on: b.") for line in lines)
    assert any(line.endswith("logistic regression alone, by macro F1, on: b.") for line in lines)


def test_the_page_tells_expected_and_measured_refusals():
    one = {"expected": 0.03, "refused": [0.04, 0.02, 0.08], "n": 99, "auroc": 0.99, "lowest": ["b", 0.9], "found": 0.9}
    document = {"name": "wide-ood-shown", "n": 99, "figures": {"sets": {"a": one}}}
    assert "| a (shown) | 0.030 | 0.040 (0.020 to 0.080) | 99 | 0.990 | 0.900: b | 0.900 |" in tables_wide.ood_section(
        [document]
    )


def test_heatmaps_are_compared_with_the_masks_of_the_test_images(tmp_path, monkeypatch):
    """A detector that sees the defect of one image at the right place, and at a wrong one in the other."""
    lines = ["path,label,split,mask", "a.png,good,train,", "b.png,good,test,", "e.png,hole,test,"]
    for name, corner in (("c", 0), ("d", 48)):
        mask = np.zeros((64, 64), np.uint8)
        mask[corner : corner + 16, corner : corner + 16] = 255
        Image.fromarray(mask).save(tmp_path / f"{name}_mask.png")
        lines.append(f"{name}.png,hole,test,{name}_mask.png")
    (tmp_path / "metadata.csv").write_text("\n".join(lines))
    maps = np.zeros((3, 4, 4), np.float32)
    maps[1:, 0, 0] = 1

    class Detector:
        spec = localize.ks.ImageSpec(32, 32, "pad")

        def predict(self, paths):
            assert [path.name for path in paths] == ["b.png", "c.png", "d.png"]
            return argparse.Namespace(maps=maps)

    monkeypatch.setattr(localize.ks, "load_detector", lambda run: Detector())
    found = localize.localization(tmp_path / "run", tmp_path / "metadata.csv")
    held = localize.masks([None, tmp_path / "c_mask.png", tmp_path / "d_mask.png"], Detector.spec)
    assert held.sum(axis=(1, 2)).tolist() == [0, 64, 64]
    assert held[1, :8, :8].all() and held[2, 24:, 24:].all()
    assert 0.6 < found["pixel_auroc"] < 0.8
    assert 0.45 < found["pro"] < 0.6
