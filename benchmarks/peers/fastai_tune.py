"""Peer: fastai's `Learner.fine_tune`, on the same weights.

`fine_tune` trains a new head on the frozen body for some epochs, then all of it with smaller rates for the body.
fastai's own item and batch transforms, its head (concatenated pooling), its discriminative rates.

    python benchmarks/peers/fastai_tune.py split.csv --out fastai.jsonl
"""

from __future__ import annotations

import os
from typing import Any

import common  # first: starts the clock
import torch


def torchvision_operators() -> torch.library.Library:
    """Let torchvision be imported beside a torch of another build.

    Where torch is a CPU build and torchvision is not, torchvision's compiled operators cannot be loaded, and
    the import stops at the first that is missing. Nothing here calls them: fastai only looks up model names.
    """
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


try:
    import torchvision  # noqa: F401
except RuntimeError:
    import sys

    for name in [name for name in sys.modules if name.startswith("torchvision")]:
        del sys.modules[name]
    _LIBRARY = torchvision_operators()

import pandas as pd
from fastai.vision.all import (
    Callback,
    ImageDataLoaders,
    Learner,
    Normalize,
    Resize,
    accuracy,
    apply_init,
    aug_transforms,
    create_head,
    params,
)
from torch import nn


class Body(nn.Module):
    """EfficientNet-Lite0 up to its last feature map."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Any) -> Any:
        return self.net.extract_features(x)


def model(classes: int) -> nn.Sequential:
    net = common.torch_lite0(classes)
    del net._fc
    head = create_head(1280, classes)
    apply_init(head, nn.init.kaiming_normal_)
    return nn.Sequential(Body(net), head)


def splitter(whole: nn.Sequential) -> list[list[Any]]:
    """Three groups of parameters, as fastai's own splitters make: early body, late body, head."""
    net = whole[0].net
    early = nn.ModuleList([net._conv_stem, net._bn0, *net._blocks[:10]])
    late = nn.ModuleList([*net._blocks[10:], net._conv_head, net._bn1])
    return [params(early), params(late), params(whole[1])]


def frame(table: common.Table, part: str) -> pd.DataFrame:
    names = [table.labels[target] for target in table.targets[part]]
    return pd.DataFrame({"path": table.paths[part], "label": names, "is_valid": part == "val"})


class Write(Callback):
    """After each epoch: a line with validation and test accuracy."""

    def __init__(self, log: common.Log, test: Any) -> None:
        super().__init__()
        self.log, self.test, self.number = log, test, 0

    def after_epoch(self) -> None:
        self.number += 1
        val = float(self.learn.recorder.log[-1])
        with self.log.paused():
            right = n = 0
            self.learn.model.eval()
            with torch.inference_mode():
                for images, targets in self.test:
                    right += int((self.learn.model(images).argmax(1) == targets).sum())
                    n += len(targets)
            self.learn.model.train()
        frozen = self.learn.opt.frozen_idx > 0
        self.log.epoch("head" if frozen else "all", self.number, val, right / n, n)


def main() -> None:
    parser = common.options(__doc__, epochs=12)
    parser.add_argument("--freeze-epochs", type=int, default=2)
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="fine_tune's own default")
    arguments = parser.parse_args()
    log, table = common.Log(arguments.out), common.read(arguments.table, arguments.limit)
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(os.cpu_count() or 1)
    side = arguments.image_size
    loaders = ImageDataLoaders.from_df(
        pd.concat([frame(table, "train"), frame(table, "val")]),
        path="/",
        fn_col="path",
        label_col="label",
        valid_col="is_valid",
        bs=arguments.batch_size,
        num_workers=1,
        seed=arguments.seed,
        item_tfms=Resize(side * 5 // 4, method="squish"),
        # The weights' convention, (pixels - 127) / 128, in fastai's terms of pixels / 255.
        batch_tfms=[
            *aug_transforms(size=side, min_scale=0.6),
            Normalize.from_stats([127 / 255] * 3, [128 / 255] * 3, cuda=False),
        ],
    )
    test = loaders.test_dl(frame(table, "test"), with_labels=True, num_workers=1)
    learner = Learner(
        loaders,
        model(len(table.labels)).to(memory_format=torch.channels_last),
        splitter=splitter,
        metrics=accuracy,
        cbs=[Write(log, test)],
    )
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(arguments.epochs, arguments.learning_rate, freeze_epochs=arguments.freeze_epochs)


if __name__ == "__main__":
    main()
