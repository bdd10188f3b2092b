"""Peer: frozen EfficientNet-Lite0 features a second in PyTorch, from uint8 batches in memory to float32 features there.

    python benchmarks/peers/torch_features.py --device cuda [--batch 512]

Full float32, as Keensight computes frozen layers: TensorFloat-32 is off. Prints one number.
"""

from __future__ import annotations

import argparse
import time

import common
import torch

SIDE = 224


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=3.0)
    arguments = parser.parse_args()
    torch.backends.cudnn.allow_tf32 = False
    net = common.torch_lite0(2).to(arguments.device).to(memory_format=torch.channels_last).eval()
    images = torch.randint(0, 256, (arguments.batch, SIDE, SIDE, 3), dtype=torch.uint8)

    def features() -> torch.Tensor:
        # (n, height, width, channels) seen as channels first is in the layout "channels last" without a copy
        batch = images.to(arguments.device).permute(0, 3, 1, 2).float().sub_(127).div_(128)
        return net.extract_features(batch).mean((2, 3)).cpu()

    features()
    done, started = 0, time.perf_counter()
    while time.perf_counter() < started + arguments.seconds:
        done += len(features())
    print(done / (time.perf_counter() - started))


if __name__ == "__main__":
    main()
