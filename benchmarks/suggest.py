"""What labeling suggested images brings, against as many random ones.

    python benchmarks/suggest.py TABLE [REPEATS]

TABLE (path, label, split, perhaps group; such as `benchmarks/wide` builds) has predefined splits. A random 15% of its
training and validation images are labeled first, the others stay unlabeled. Each repeat trains `quick` on the first,
and again with as many of the others: suggested by that model, or drawn at random. All are tested on the same test set.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from record import save

import keensight as ks
from keensight.core.progress import Silent

FIRST = 0.15
Scores = tuple[float, float]


def trained(table: pd.DataFrame, root: Path, seed: int) -> tuple[ks.Run, Scores]:
    """A run of ``quick``, and its accuracy and macro F1 on the test set."""
    data = ks.from_frame(table, root, group="group" if "group" in table else None)
    run = ks.train(data, effort="quick", seed=seed, run=Path(tempfile.mkdtemp()) / "run", progress=Silent())
    found = run.evaluation
    return run, (found.accuracy.value, found.macro_f1)


def repeat(table: pd.DataFrame, root: Path, seed: int) -> dict[str, Scores]:
    """The scores with the first labels, and with twice as many."""
    draw = np.random.default_rng(seed)
    test, known = table[table.split == "test"], table[table.split != "test"].assign(split="train")
    known = known.iloc[draw.permutation(len(known))]
    n = round(len(known) * FIRST)
    first, others = known[:n], known[n:]
    run, before = trained(pd.concat([first, test]), root, seed)
    found = ks.suggest(run, [root / path for path in others.path], count=n, progress=Silent())
    wanted = {item.path for item in found.items}
    asked = others[[str(root / path) in wanted for path in others.path]]
    scores = {"before": before}
    for name, more in (("suggested", asked), ("random", others[:n])):
        scores[name] = trained(pd.concat([first, more, test]), root, seed)[1]
    return scores


def main(path: Path, repeats: int) -> None:
    table = pd.read_csv(path, dtype=str)
    found = [repeat(table, path.parent, seed) for seed in range(repeats)]
    figures = {
        name: {
            "accuracy": [round(one[name][0], 4) for one in found],
            "macro_f1": [round(one[name][1], 4) for one in found],
        }
        for name in found[0]
    }
    first = round(int((table.split != "test").sum()) * FIRST)
    save(f"suggest-{path.parent.name}", int((table.split == "test").sum()), figures | {"first": first})


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 3)
