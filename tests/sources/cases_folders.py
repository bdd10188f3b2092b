"""Folders of images."""

from pathlib import Path

from sources import Case, pictures


def split_folders(*names: str, inside: str = "", classes: tuple[str, ...] = ("cat", "dog")):
    """Folders of splits with two images of each class: four, as many as a case has for two of them."""

    def build(root: Path) -> Path:
        for i, name in enumerate(names):
            for label in classes:
                pictures(root, f"{name}/{inside}{label}/{label}{{{2 * i}-{2 * i + 1}}}.png")
        return root

    return build


def with_file(build, path: str, text: str | bytes):
    """The same source with one more file."""

    def more(root: Path) -> Path:
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text.encode() if isinstance(text, str) else text)
        return build(root)

    return more


def tree(*paths: str):
    """A folder with images at these paths."""
    return lambda root: pictures(root, *paths)


def with_table(table: str, text: str, *paths: str):
    """A folder with images at these paths, and a table."""
    return with_file(tree(*paths), table, text)


def rows(header: str, form: str, numbers: dict[str, range]) -> str:
    """A CSV table with one row for each number of each class."""
    lines = [form.format(label=label, i=i) for label, found in numbers.items() for i in found]
    return "\n".join([header, *lines]) + "\n"


CAT_DOG = {"cat": range(1, 5), "dog": range(1, 5)}
LOOSE = ("cat{1-4}.png", "dog{1-4}.png")
TWO = "2 predefined splits (train, test), 2 classes, 8 images"
READ_AS_SPLITS = [
    ("training and testing", "training", "testing", TWO),
    ("Train and Test in capitals", "Train", "Test", TWO),
    ("training_set and test_set", "training_set", "test_set", TWO),
    ("seg_train and seg_test", "seg_train", "seg_test", TWO),
    ("trainval and test", "trainval", "test", TWO),
    ("train_images and test_images", "train_images", "test_images", TWO),
    ("train and val", "train", "val", "2 predefined splits (train, val)"),
    ("train and valid", "train", "valid", "2 predefined splits (train, val)"),
    ("train and validation", "train", "validation", "2 predefined splits (train, val)"),
    ("train and dev", "train", "dev", "2 predefined splits (train, val)"),
    ("train and eval", "train", "eval", "train/ is the training set, eval/ the validation set"),
    ("train and holdout", "train", "holdout", "train/ is the training set, holdout/ the validation set"),
]

YOLO_NAMES = "train: ../train/images\nnc: 2\nnames: ['cat', 'dog']\n"


def yolo(*, names: str = YOLO_NAMES, both: bool = False):
    """``images/train``, ``labels/train`` and so on, with one or two boxes in each image."""

    def build(root: Path) -> Path:
        if names:
            (root / "data.yaml").write_text(names)
        for part, numbers in (("train", "1-2"), ("val", "3-4")):
            for number, label in enumerate(("cat", "dog")):
                pictures(root, f"images/{part}/{label}{{{numbers}}}.png")
                for i in numbers.split("-"):
                    text = root / f"labels/{part}/{label}{i}.txt"
                    text.parent.mkdir(parents=True, exist_ok=True)
                    text.write_text(f"{number} .5 .5 .4 .4\n" * 2 + ("1 .1 .1 .1 .1\n" if both else ""))
        return root

    return build


def coco(*, both: bool = False):
    """Each split with ``_annotations.coco.json``."""

    def build(root: Path) -> Path:
        import json

        for part, numbers in (("train", (1, 2)), ("valid", (3, 4))):
            names = [f"{label}{i}.png" for label in ("cat", "dog") for i in numbers]
            pictures(root, *(f"{part}/{name}" for name in names))
            marks = [{"image_id": i, "category_id": int(name[0] == "d"), "bbox": [1, 1, 2, 2]}
                     for i, name in enumerate(names)]  # fmt: skip
            document = {
                "images": [{"id": i, "file_name": name} for i, name in enumerate(names)],
                "categories": [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}],
                "annotations": marks + ([{"image_id": 0, "category_id": 1}] if both else []),
            }
            (root / part / "_annotations.coco.json").write_text(json.dumps(document))
        return root

    return build


def voc(*, both: bool = False):
    """``JPEGImages`` and ``Annotations``."""

    def build(root: Path) -> Path:
        for label in ("cat", "dog"):
            pictures(root, f"JPEGImages/{label}{{1-4}}.jpg")
            for i in range(1, 5):
                objects = f"<object><name>{label}</name></object>" + "<object><name>dog</name></object>" * both
                text = root / f"Annotations/{label}{i}.xml"
                text.parent.mkdir(exist_ok=True)
                text.write_text(f"<annotation><filename>{label}{i}.jpg</filename>{objects}</annotation>")
        return root

    return build


def split_tables():
    """``train`` and ``test`` of loose images, each with its table."""

    def build(root: Path) -> Path:
        for part, numbers in (("train", range(1, 3)), ("test", range(3, 5))):
            pictures(root, *(f"{part}/{label}{i}.png" for label in ("cat", "dog") for i in numbers))
            text = rows("path,label", "{label}{i}.png,{label}", dict.fromkeys(("cat", "dog"), numbers))
            (root / part / "labels.csv").write_text(text)
        return root

    return build


def competition(*, others: bool = False):
    """``train`` and ``test`` of loose images, with a table of IDs for the first, as competitions give them."""

    def build(root: Path) -> Path:
        pictures(root, "train/a{1-4}.png", "train/b{1-4}.png", "test/x{1-3}.png")
        (root / "train.csv").write_text(rows("id,breed", "{label}{i},{label}", {"a": range(1, 5), "b": range(1, 5)}))
        if others:
            (root / "test.csv").write_text("id\nx1\nx2\nx3\n")
            (root / "sample_submission.csv").write_text("id,breed\nx1,a\nx2,a\nx3,a\n")
        return root

    return build


def each_split(table: str, header: str, form: str):
    """``train`` and ``valid`` of loose images, each with its own table."""

    def build(root: Path) -> Path:
        for part, numbers in (("train", range(1, 3)), ("valid", range(3, 5))):
            pictures(root, *(f"{part}/{label}{i}.png" for label in ("cat", "dog") for i in numbers))
            lines = [
                form.replace("LABEL", label)
                .replace("NUMBER", str(i))
                .replace("CAT", str(int(label == "cat")))
                .replace("DOG", str(int(label == "dog")))
                for label in ("cat", "dog")
                for i in numbers
            ]
            (root / part / table).write_text("\n".join([*filter(None, [header]), *lines]) + "\n")
        return root

    return build


def pointers(root: Path) -> Path:
    """What a clone has without Git LFS."""
    for label in ("cat", "dog"):
        (root / label).mkdir()
        (root / label / "1.png").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    return root


CASES = [
    Case(
        "Folders", "a folder per class", "cat/1.png, dog/1.png",
        tree("cat/{1-4}.png", "dog/{5-8}.png"),
        "read", "folder per class, 2 classes, 8 images",
    ),
    Case(
        "Folders", "train, val and test folders", "train/cat/1.png, val/cat/3.png, test/cat/4.png",
        tree(*(
            f"{part}/{label}" for part, numbers in (("train", "{1-2}"), ("val", "{3-3}"), ("test", "{4-4}"))
            for label in (f"cat/c{numbers}.png", f"dog/d{numbers}.png")
        )),
        "read", "folder per class, 3 predefined splits, 2 classes, 8 images",
    ),
    *(
        Case("Folders", name, f"{first}/cat/1.png, {second}/cat/2.png", split_folders(first, second), "read", sentence)
        for name, first, second, sentence in READ_AS_SPLITS
    ),
    Case(
        "Folders", "splits in a folder of their own name", "seg_train/seg_train/cat/1.png, seg_test/seg_test/cat/2.png",
        tree(*(f"seg_{part}/seg_{part}/{label}/{label}{n}.png" for part, n in (("train", "{1-2}"), ("test", "{3-4}"))
               for label in ("cat", "dog"))),
        "read", TWO,
    ),
    Case(
        "Folders", "splits with an images folder each", "train/images/cat/1.png, test/images/cat/2.png",
        split_folders("train", "test", inside="images/"), "read", TWO,
    ),
    Case(
        "Folders", "splits wrapped twice, as archives unpack", "archive/pets/train/cat/1.png, archive/pets/test/...",
        split_folders("archive/pets/train", "archive/pets/test"), "read", "in archive/pets/",
    ),
    Case(
        "Folders", "splits with other words in their names, the same classes in each",
        "pets_train_2020/cat/1.png, pets_test_2021/cat/2.png",
        split_folders("pets_train_2020", "pets_test_2021"),
        "read", "pets_train_2020/ is the training set, pets_test_2021/ the test set",
    ),
    Case(
        "Folders", "splits inside each class", "cat/train/1.png, cat/test/2.png, dog/train/3.png",
        tree("cat/train/{1-2}.png", "cat/test/{3-4}.png", "dog/train/{5-6}.png", "dog/test/{7-8}.png"),
        "read", "each class has the splits train/, test/",
    ),
    Case(
        "Folders", "an archive unpacked into itself", "pets/cat/1.png, pets/pets/cat/1.png",
        tree("cat/{1-4}.png", "dog/{5-8}.png", "pets/cat/{1-4}.png", "pets/dog/{5-8}.png"),
        "told", "8 images not used: in a second copy of the whole set",
    ),
    Case(
        "Folders", "a train folder only", "train/cat/1.png, train/dog/2.png",
        tree("train/cat/{1-4}.png", "train/dog/{5-8}.png"), "read", "folder per class, 2 classes, 8 images",
    ),
    Case(
        "Folders", "vehicles, one of them a train", "train/1.png, car/2.png",
        tree("train/{1-4}.png", "car/{5-8}.png"), "read", "2 classes, 8 images", classes=("car", "train"),
    ),
    Case(
        "Folders", "test images without classes", "train/cat/1.png, test/9.png",
        tree("train/cat/{1-4}.png", "train/dog/{5-8}.png", "test/{9-12}.png"),
        "told", "4 images in test/ not used: in no class folder; `keensight predict` classifies them after training",
    ),
    Case(
        "Folders", "images to predict next to train", "train/cat/1.png, pred/9.png",
        tree("train/cat/{1-4}.png", "train/dog/{5-8}.png", "pred/{9-12}.png"),
        "told", "4 images not used: in the folder pred, which is none of train, val and test",
    ),
    Case(
        "Folders", "images outside the class folders", "cat/1.png, dog/2.png, 9.png",
        tree("cat/{1-4}.png", "dog/{5-8}.png", "9.png"), "told", "1 image next to the class folders not used",
    ),
    Case(
        "Folders", "a train folder with classes, next to another folder", "train/cat/1.png, extra/2.png",
        tree("train/cat/{1-4}.png", "train/dog/{5-8}.png", "extra/{9-12}.png"),
        "refused", "2 classes (cat, dog): open train/ itself; or 2 classes (extra, train): --label-regex '^([^/]+)/'",
    ),
    Case(
        "Folders", "the same folders in each of several folders", "north/cat/1.png, south/cat/2.png",
        split_folders("north", "south"),
        "refused", "2 classes (cat, dog): --label-level leaf; or 2 classes (north, south): --label-level top",
    ),
    Case(
        "Folders", "the same folders in each of several folders", "north/cat/1.png, south/cat/2.png",
        split_folders("north", "south"), "read", "classes are the innermost folders", options={"label_level": "leaf"},
    ),
    Case(
        "Folders", "the same folders in each of several folders", "north/cat/1.png, south/cat/2.png",
        split_folders("north", "south"), "read", "classes are the upper folders", options={"label_level": "top"},
        classes=("north", "south"),
    ),
    Case(
        "Folders", "the same classes in numbered folders", "part1/cat/1.png, part2/cat/2.png",
        split_folders("part1", "part2"), "read", "part1/ and part2/ contain the same 2 folders",
    ),
    Case(
        "Folders", "nested classes", "fruit/apple/1.png, fruit/pear/2.png, root/beet/3.png",
        tree("fruit/apple/{1-2}.png", "fruit/pear/{3-4}.png", "root/beet/{5-6}.png", "root/yam/{7-8}.png"),
        "read", "to read it otherwise: --label-level leaf or path (4 deeper folders)",
        classes=("fruit", "root"),
    ),
    Case(
        "Folders", "nested classes", "fruit/apple/1.png, fruit/pear/2.png, root/beet/3.png",
        tree("fruit/apple/{1-2}.png", "fruit/pear/{3-4}.png", "root/beet/{5-6}.png", "root/yam/{7-8}.png"),
        "read", "4 classes", options={"label_level": "path"},
        classes=("fruit/apple", "fruit/pear", "root/beet", "root/yam"),
    ),
    Case(
        "Folders", "the class in the name of each file", "cat.0.png, dog.1.png",
        tree("cat.{0-3}.png", "dog.{0-3}.png"), "refused", "use --label-regex",
    ),
    Case(
        "Folders", "the class in the name of each file", "cat.0.png, dog.1.png",
        tree("cat.{0-3}.png", "dog.{0-3}.png"), "read", "classes by the pattern",
        options={"label_regex": r"([a-z]+)\.\d+\.png"},
    ),
    Case(
        "Folders", "the class in the name of each file, in split folders", "train/cat_0.png, test/dog_1.png",
        tree("train/cat_{0-1}.png", "train/dog_{0-1}.png", "test/cat_{2-3}.png", "test/dog_{2-3}.png"), "read", TWO,
        options={"label_regex": r"([a-z]+)_\d+"},
    ),
    Case(
        "Folders", "images in train and test, and nothing that says their classes", "train/a1.png, test/b2.png",
        tree("train/x{1-4}.png", "test/x{5-8}.png"), "refused",
        "8 images but no class folders (train/ is the training set, test/ the test set)",
    ),
    Case(
        "Folders", "images and a table in one folder", "images/cat1.png, labels.csv",
        with_table("labels.csv", rows("path,label", "images/{label}{i}.png,{label}", CAT_DOG),
                   *(f"images/{name}" for name in LOOSE)),
        "read", "labels.csv gives the classes of images in no class folders",
    ),
    Case(
        "Folders", "images in train and test with a table of each", "train/cat1.png, train/labels.csv, test/labels.csv",
        split_tables(),
        "read", TWO,
    ),
    Case(
        "Folders", "masks next to the images", "cat/1.png, cat/1_mask.png",
        tree("cat/{1-4}.png", "dog/{5-8}.png", "cat/1_mask.png", "dog/5_mask.png"),
        "told", "2 images not used: a mask of another image",
    ),
    Case(
        "Folders", "images and masks in each class", "cat/images/1.png, cat/masks/1.png",
        tree("cat/images/{1-4}.png", "dog/images/{5-8}.png", "cat/masks/{1-4}.png", "dog/masks/{5-8}.png"),
        "told", "8 images not used: a mask of another image",
    ),
    Case(
        "Folders", "small copies in a thumbs folder", "cat/1.png, cat/thumbs/1.png",
        tree("cat/{1-4}.png", "dog/{5-8}.png", "cat/thumbs/{1-4}.png"),
        "told", "4 images not used: a small copy of another image",
    ),
    Case(
        "Folders", "leftovers of operating systems", "cat/1.png, __MACOSX/cat/1.png, $RECYCLE.BIN/2.png",
        tree("cat/{1-4}.png", "dog/{5-8}.png", "__MACOSX/cat/1.png", "$RECYCLE.BIN/2.png", "lost+found/3.png"),
        "read", "3 files not used: 3 of the operating system",
    ),
    Case(
        "Folders", "photos of a format that is not read, in a class", "cat/1.png, cat/2.cr2",
        with_file(tree("cat/{1-4}.png", "dog/{5-8}.png"), "cat/2.cr2", b"raw"),
        "told", "1 image of a format that is not read (1 .cr2)",
    ),
    Case("Folders", "a YOLO set, each image with boxes of one class", "images/train/1.png, labels/train/1.txt, ...",
         yolo(), "read", "YOLO boxes, 2 predefined splits (train, val), 2 classes, 8 images"),
    Case("Folders", "a YOLO set without the names of its classes", "images/train/1.png, labels/train/1.txt",
         yolo(names=""), "refused", "object detection set (YOLO) without the names of its classes"),
    Case("Folders", "a YOLO set, images with boxes of several classes", "images/train/1.png, labels/train/1.txt, ...",
         yolo(both=True), "refused", "4 of 8 images have boxes of several classes"),
    Case("Folders", "a COCO set, each image with boxes of one class", "train/1.png, train/_annotations.coco.json",
         coco(), "read", "COCO boxes, 2 predefined splits (train, val), 2 classes, 8 images"),
    Case("Folders", "a COCO set, images with boxes of several classes", "train/1.png, train/_annotations.coco.json",
         coco(both=True), "refused", "object detection set (COCO)"),
    Case("Folders", "a Pascal VOC set, each image with boxes of one class", "JPEGImages/1.jpg, Annotations/1.xml",
         voc(), "read", "Pascal VOC boxes, 2 classes, 8 images"),
    Case("Folders", "a Pascal VOC set, images with boxes of several classes", "JPEGImages/1.jpg, Annotations/1.xml",
         voc(both=True), "refused", "object detection set (Pascal VOC)"),
    Case(
        "Folders", "a set in a repository, next to other pictures", "data/cat/1.png, data/dog/2.png, docs/logo.png",
        tree("data/cat/{1-4}.png", "data/dog/{5-8}.png", "docs/logo.png"),
        "refused", "choose the classes inside: open data/ itself; or 2 classes (data, docs): --label-level top",
    ),
    Case(
        "Folders", "splits in a repository, next to other pictures", "pets/train/cat/1.png, pets/test/..., docs/a.png",
        with_file(split_folders("pets/train", "pets/test"), "docs/logo.png", b"picture"),
        "told", "1 image not used: outside pets/, which has the splits",
    ),
    Case(
        "Folders", "a picture next to the only folder", "pets/cat/1.png, pets/dog/2.png, logo.png",
        tree("pets/cat/{1-4}.png", "pets/dog/{5-8}.png", "logo.png"),
        "told", "1 image next to the class folders not used",
    ),
    Case(
        "Folders", "augmented images of the same classes next to the classes", "cat/1.png, augmented/cat/2.png",
        tree("cat/{1-2}.png", "dog/{3-4}.png", "augmented/cat/{5-6}.png", "augmented/dog/{7-8}.png"),
        "refused", "2 classes (cat, dog): --label-level leaf; or 3 classes (augmented, cat, dog): --label-level top",
    ),
    Case(
        "Folders", "a PNG mask of the same name next to each JPEG", "cat/1.jpg, cat/1.png",
        tree("cat/{1-4}.jpg", "dog/{5-8}.jpg", "cat/{1-4}.png", "dog/{5-8}.png"),
        "told", "8 images not used: a PNG next to a JPEG, BMP or TIFF of the same name",
    ),
    Case("Folders", "a YOLO set with lists of its images", "images/train/1.png, labels/train/1.txt, train.txt, ...",
         with_file(yolo(), "train.txt", "images/train/cat1.png\nimages/train/cat2.png\n"),
         "read", "YOLO boxes, 2 predefined splits (train, val), 2 classes, 8 images"),
    Case("Folders", "a YOLO set with an image without boxes", "images/train/9.png, labels/train/9.txt (empty)",
         with_file(lambda root: yolo()(pictures(root, "images/train/9.png")), "labels/train/9.txt", ""),
         "told", "1 image not used: no box around anything in it"),
    Case("Folders", "numbered folders, and nothing that says the classes", "part1/1.png, part2/5.png",
         tree("part1/{1-4}.png", "part2/{5-8}.png"), "refused",
         "part1/ and part2/ are numbered; if they are classes, use --label-level top"),
    Case("Folders", "numbered folders, and nothing that says the classes", "part1/1.png, part2/5.png",
         tree("part1/{1-4}.png", "part2/{5-8}.png"), "read", "2 classes", classes=("part1", "part2"),
         options={"label_level": "top"}),
    Case("Folders", "numbered folders with a table", "part1/a1.png, part2/a5.png, labels.csv",
         with_table("labels.csv", "path,label\n" + "".join(f"part{1 + i // 4}/a{i}.png,{'cat' if i % 2 else 'dog'}\n"
                                                          for i in range(8)),
                    "part1/a{0-3}.png", "part2/a{4-7}.png"),
         "read", "labels.csv gives the classes of images in no class folders"),
    Case("Folders", "a clone without its large files", "cat/1.png, a Git LFS pointer", pointers, "refused",
         "a Git LFS pointer instead of the image: run `git lfs pull` in the repository"),
    Case("Folders", "a competition: loose images, ids in train.csv", "train/a1.png, train.csv, test/x1.png",
         competition(), "told", "3 images in test/ not used: in no table", classes=("a", "b")),
    Case("Folders", "the same with test.csv and sample_submission.csv", "train/a1.png, train.csv, test.csv, ...",
         competition(others=True), "told", "test.csv is not used: test.csv has no label column", classes=("a", "b")),
    Case("Folders", "splits with _classes.csv each, as labeling services export", "train/1.png, train/_classes.csv",
         each_split("_classes.csv", "filename, cat, dog", "LABELNUMBER.png, CAT, DOG"),
         "read", "each row has exactly one 1 in the columns cat, dog"),
    Case("Folders", "splits with _annotations.csv each", "train/1.png, train/_annotations.csv",
         each_split("_annotations.csv", "filename,class,xmin,ymin,xmax,ymax", "LABELNUMBER.png,LABEL,1,1,2,2"),
         "read", "images and CSV table, 2 predefined splits (train, val)"),
    Case("Folders", "splits with metadata.jsonl each (imagefolder)", "train/1.png, train/metadata.jsonl",
         each_split("metadata.jsonl", "", '{"file_name": "LABELNUMBER.png", "label": "LABEL"}'),
         "read", "images and JSON lines, 2 predefined splits (train, val)"),
    Case("Folders", "splits with labels.txt each", "train/1.png, train/labels.txt",
         each_split("labels.txt", "", "LABELNUMBER.png LABEL"),
         "read", "images and text list, 2 predefined splits (train, val)"),
]  # fmt: skip
