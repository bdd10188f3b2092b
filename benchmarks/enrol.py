"""Adding classes without training, on faces: are new people recognized, known ones kept, strangers refused?

python benchmarks/enrol.py FOLDER [--shots 1 3 5]

FOLDER holds one folder a person (ORL faces: 40 people, 10 photos each). In each draw 30 people are known, 5 are
enrolled from some photos each and 5 are strangers. Of a known person 6 photos train a logistic head on ImageNet
features, 2 are for validation and 2 for the test. Each figure is the mean over the draws, the smallest, the largest.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from record import save

import keensight as ks
from keensight.core import prototypes as class_means
from keensight.core.prototypes import Prototypes
from keensight.nets.training.linear_head import Head, choose_strength, fit_head

KNOWN, NEW, PHOTOS = 30, 5, 10


@dataclass(frozen=True)
class Faces:
    """Embeddings, shape (people, photos, d)."""

    vectors: NDArray[np.float32]

    def of(self, people: NDArray[np.int64], photos: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Rows (n, d), and whose they are by position in ``people``."""
        rows = self.vectors[np.ix_(people, photos)].reshape(-1, self.vectors.shape[-1])
        return rows, np.repeat(np.arange(len(people)), len(photos))


def embed(source: str, model: str, side: int) -> Faces:
    data = ks.open(source)
    spec = ks.image_spec(data, image_size=side)
    classifier = ks.Classifier(ks.build(data, spec, model), data.labels, spec)
    pixels, targets = ks.prepare(data, spec), data.targets()
    rows = [np.flatnonzero(targets == number) for number in range(len(data.labels))]
    return Faces(np.stack([classifier.embed_array(pixels.take(some[:PHOTOS])) for some in rows]))


def draw(faces: Faces, shots: list[int], seed: int) -> list[dict[str, float]]:
    """Figures for each number of photos."""
    rng = np.random.default_rng(seed)
    people, photos = rng.permutation(len(faces.vectors)), rng.permutation(PHOTOS)
    known = people[:KNOWN]
    train, val, test = faces.of(known, photos[:6]), faces.of(known, photos[6:8]), faces.of(known, photos[8:])
    prototypes = class_means.measure(*train, *val, KNOWN)
    strength = choose_strength(*train, KNOWN, units=np.arange(len(train[1]))).strength
    head = fit_head(*train, KNOWN, strength)
    return [figures(faces, prototypes, head, test, people[KNOWN:], photos, some) for some in shots]


def figures(
    faces: Faces,
    prototypes: Prototypes,
    head: Head,
    test: tuple[NDArray[np.float32], NDArray[np.int64]],
    others: NDArray[np.int64],
    photos: NDArray[np.int64],
    shots: int,
) -> dict[str, float]:
    new, strangers = others[:NEW], others[NEW:]
    for number, person in enumerate(new):
        prototypes = class_means.enrolled(prototypes, faces.vectors[person, photos[:shots]], KNOWN + number)

    def answer(vectors: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        similar = class_means.cosines(vectors, prototypes)
        network = class_means.softmax(head.logits(vectors).astype(np.float64)).astype(np.float32)
        found = class_means.joined(network, similar, prototypes.temperature)
        return found.argmax(axis=1), class_means.unknown(similar, prototypes.threshold)

    new_vectors, whose = faces.of(new, photos[shots:])
    new_found, new_unknown = answer(new_vectors)
    found, unknown = answer(test[0])
    alone = head.logits(test[0]).argmax(axis=1)
    right = new_found == KNOWN + whose
    return {
        "new_named_rightly": right.mean(),
        "new_named_rightly_and_not_refused": (right & ~new_unknown).mean(),
        "known_accuracy_before": (alone == test[1]).mean(),
        "known_accuracy_after": (found == test[1]).mean(),
        "known_taken_for_new": (found >= KNOWN).mean(),
        "known_not_refused": (~unknown).mean(),
        "strangers_refused": answer(faces.of(strangers, photos)[0])[1].mean(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 3, 5])
    parser.add_argument("-n", type=int, default=5, help="draws")
    arguments = parser.parse_args()
    faces = embed(arguments.source, arguments.model, arguments.side)
    draws = [draw(faces, arguments.shots, seed) for seed in range(arguments.n)]
    options = {"model": arguments.model, "side": arguments.side, "people": len(faces.vectors)}
    for shots, found in zip(arguments.shots, zip(*draws, strict=True), strict=True):
        spread = {
            key: [round(float(f([one[key] for one in found])), 3) for f in (np.mean, np.min, np.max)]
            for key in found[0]
        }
        save(f"enrol-{shots}-shots", arguments.n, spread | options, "none")


if __name__ == "__main__":
    main()
