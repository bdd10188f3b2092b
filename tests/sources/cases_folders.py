"""Folders of images."""

from sources import Case, pictures

CASES = [
    Case(
        "Folders", "a folder per class", "cat/1.png, dog/1.png",
        lambda root: pictures(root, "cat/{1-4}.png", "dog/{5-8}.png"),
        "read", "folder per class, 2 classes, 8 images",
    ),
    Case(
        "Folders", "train, val and test folders", "train/cat/1.png, val/cat/3.png, test/cat/4.png",
        lambda root: pictures(root, *(
            f"{part}/{label}" for part, numbers in (("train", "{1-2}"), ("val", "{3-3}"), ("test", "{4-4}"))
            for label in (f"cat/c{numbers}.png", f"dog/d{numbers}.png")
        )),
        "read", "folder per class, 3 predefined splits, 2 classes, 8 images",
    ),
]  # fmt: skip
