"""How much memory a model may take for one image, whatever its file says."""

MAX_VALUES = 1 << 28
"""Maximum number of values of a layer's output for one image: a gigabyte in float32, five 4096 x 4096 RGB images."""
