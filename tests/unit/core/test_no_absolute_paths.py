from __future__ import annotations

import pytest

from keensight.core.sanitize import command_without_places, toml_without_places, without_place


@pytest.mark.parametrize(
    ("word", "want"),
    [
        ("/srv/alice/photos", "photos"),
        ("/srv/alice/photos/", "photos"),
        ("/srv/alice smith/a b", "a b"),
        ("~/photos", "photos"),
        ("~alice/photos", "photos"),
        (r"D:\data\alice\photos", "photos"),
        ("D:/data/alice/photos", "photos"),
        (r"\\server\alice\photos", "photos"),
        ("--run=/srv/alice/r", "--run=r"),
        ("data.corrections=/srv/alice/c.csv", "data.corrections=c.csv"),
        ("model.weights=run:/srv/alice/runs/old", "model.weights=run:old"),
        ("file:///srv/alice/x", "file://x"),
        ("photos/cats", "photos/cats"),
        ("--epochs", "--epochs"),
        ("cat|dog", "cat|dog"),
        ("", ""),
    ],
)
def test_absolute_paths_are_cut_to_their_last_component(word: str, want: str) -> None:
    assert without_place(word) == want


def test_commands_and_settings() -> None:
    typed = (
        "keensight train '/srv/alice smith/my photos' --run /srv/tmp/alice/r --set data.corrections=/srv/alice/c.csv"
    )
    assert command_without_places(typed) == "keensight train 'my photos' --run r --set data.corrections=c.csv"
    assert command_without_places("") == ""
    toml = '[data]\ncorrections = "/srv/alice smith/c.csv"  # a note\n[model]\nweights = "run:/srv/alice/r"\n'
    assert toml_without_places(toml) == '[data]\ncorrections = "c.csv"  # a note\n[model]\nweights = "run:r"\n'
