"""Peer: fine-tuning written by hand in PyTorch, as a practised user would.

The whole of EfficientNet-Lite0 is trained with AdamW, a warm-up and a cosine; pixels in channels_last; Pillow
decodes in DataLoader workers, which shrink, crop and mirror.

    python benchmarks/peers/torch_loop.py split.csv --out torch.jsonl [--bf16] [--device cuda --workers 8]
"""

from __future__ import annotations

import math
import os

import common  # first: starts the clock
import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Images(Dataset):
    def __init__(self, paths: list[str], targets: list[int], side: int, augment: bool) -> None:
        self.paths, self.targets, self.side, self.augment = paths, targets, side, augment

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        with Image.open(self.paths[index]) as image:
            if not self.augment:
                image.draft("RGB", (self.side, self.side))
                image = image.convert("RGB").resize((self.side, self.side), Image.Resampling.BILINEAR)
            else:
                box = random_box(*image.size)
                image = image.convert("RGB").resize((self.side, self.side), Image.Resampling.BILINEAR, box)
                if torch.rand(()) < 0.5:
                    image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            return torch.from_numpy(np.array(image)).permute(2, 0, 1), self.targets[index]


def random_box(width: int, height: int) -> tuple[float, float, float, float]:
    """Between 35 and 100% of the area, sides changed by up to 4/3 (Szegedy et al. 2015, milder for fine-tuning)."""
    area, shape = 0.35 + 0.65 * torch.rand(()).item(), math.exp(torch.empty(()).uniform_(-0.28, 0.28).item())
    w, h = width * min(1, math.sqrt(area * shape)), height * min(1, math.sqrt(area / shape))
    left, top = (width - w) * torch.rand(()).item(), (height - h) * torch.rand(()).item()
    return left, top, left + w, top + h


def normalised(images: torch.Tensor, device: str) -> torch.Tensor:
    return images.to(device, non_blocking=True).to(memory_format=torch.channels_last).float().sub_(127).div_(128)


@torch.inference_mode()
def accuracy(net: nn.Module, loader: DataLoader, bf16: bool, device: str) -> tuple[float, int]:
    net.eval()
    right = n = 0
    for images, targets in loader:
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            right += (net(normalised(images, device)).argmax(1) == targets.to(device)).sum().item()
        n += len(targets)
    return right / n, n


def groups(net: nn.Module, weight_decay: float) -> list[dict]:
    """Kernels decay, biases and batch normalization do not."""
    kernels = [p for p in net.parameters() if p.ndim > 1]
    others = [p for p in net.parameters() if p.ndim == 1]
    return [{"params": kernels, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def main() -> None:
    parser = common.options(__doc__, epochs=20)
    parser.add_argument("--bf16", action="store_true", help="autocast to bfloat16")
    parser.add_argument("--compile", action="store_true", help="train through torch.compile")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument(
        "--workers", type=int, default=1, help="processes that decode; two leave too few cores to train"
    )
    arguments = parser.parse_args()
    device = arguments.device
    log, table = common.Log(arguments.out), common.read(arguments.table, arguments.limit)
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(os.cpu_count() or 1)
    torch.set_flush_denormal(True)

    def loader(part: str) -> DataLoader:
        train = part == "train"
        return DataLoader(
            Images(table.paths[part], table.targets[part], arguments.image_size, augment=train),
            batch_size=arguments.batch_size if train else 64,
            shuffle=train,
            drop_last=train and len(table.paths[part]) > arguments.batch_size,
            num_workers=arguments.workers,
            persistent_workers=train and arguments.workers > 0,
            pin_memory=device == "cuda",
        )

    loaders = {part: loader(part) for part in common.PARTS}
    net = common.torch_lite0(len(table.labels)).to(device).to(memory_format=torch.channels_last)
    run = torch.compile(net) if arguments.compile else net
    optimizer = torch.optim.AdamW(groups(net, 0.02), lr=arguments.learning_rate, fused=True)
    total = arguments.epochs * len(loaders["train"])
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        arguments.learning_rate,
        total_steps=total,
        pct_start=0.1,
        anneal_strategy="cos",
        cycle_momentum=False,
    )
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.1)
    for epoch in range(1, arguments.epochs + 1):
        net.train()
        for images, targets in loaders["train"]:
            with torch.autocast(device, torch.bfloat16, enabled=arguments.bf16):
                logits = run(normalised(images, device))
            loss = loss_of(logits.float(), targets.to(device, non_blocking=True))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
        val, _ = accuracy(net, loaders["val"], arguments.bf16, device)
        with log.paused():
            test, n = accuracy(net, loaders["test"], arguments.bf16, device)
        log.epoch("all", epoch, val, test, n)


if __name__ == "__main__":
    main()
