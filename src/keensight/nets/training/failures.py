"""What errors of TensorFlow in a training mean."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from keensight.errors import DataError, TrainingError
from keensight.nets.runtime import framework

_IMAGE = re.compile(r"\bImageError: (.+)")
"""TensorFlow passes errors of the batches' Python on as text only."""


class OutOfMemory(TrainingError):
    """A step of training needs more memory than there is."""

    def __init__(self, batch_size: int) -> None:
        smaller = max(1, batch_size // 2)
        super().__init__(
            f"out of memory in training with a batch size of {batch_size}",
            f"try a smaller batch (--set train.batch_size={smaller}; with --set train.halve_batch=true one is found), "
            "smaller images (--image-size) or a smaller model",
        )


@contextmanager
def explained(batch_size: int) -> Iterator[None]:
    """Turn an error of TensorFlow into one for users, where its cause is known.

    Args:
        batch_size: Images in a step.

    Raises:
        OutOfMemory: memory is exhausted, of the CPU or of a GPU.
        DataError: an image of the training or validation set could be read before, but no longer.
    """
    _, tf = framework()
    try:
        yield
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        raise OutOfMemory(batch_size) from error
    except tf.errors.OpError as error:
        found = _IMAGE.search(error.message)
        if found is None:
            raise
        raise DataError(
            f"an image can no longer be read: {found[1].strip()}",
            "restore it and continue with --resume, or train again without it",
        ) from error
