"""Run by test_data_parallel: one process of a group; trains once, then again with a break and a resumption."""

import sys
from pathlib import Path

import numpy as np

from keensight.core.codec import to_plain
from keensight.core.files import write_json
from keensight.nets.training.data_parallel import Rank, Report, joined, train
from keensight.store.checkpoint import CheckpointFolder


class BrokenError(Exception):
    """The training is broken off."""


def main(folder, address, number, count, breaks):
    rank = Rank(number, count)

    def once(checkpoints, followed=lambda step: None):
        from keensight.data.shared_pixels import read_shared
        from keensight.nets import runtime
        from keensight.nets.models.weights import open_model
        from keensight.nets.training.job import NETWORK, read_job

        given = read_job(folder)
        runtime.configure(seed=given.plan.config.train.seed)
        network = open_model(folder / NETWORK)
        return train(network, given, read_shared(folder), rank, checkpoints=checkpoints, report=Report(),
                     followed=followed)  # fmt: skip

    def broken(step):
        if step == 5:
            raise BrokenError

    def keep(name, done):
        np.savez(folder / f"{name}-{count}-{number}.npz", *done.weights)
        write_json(folder / f"{name}-{count}-{number}.json", to_plain(done.history))

    with joined(address, rank):
        keep("whole", once(CheckpointFolder(folder / "none", minutes=1e9)))
        if breaks:
            often = CheckpointFolder(folder / f"checkpoints-{count}", minutes=0)
            try:
                once(often, broken)
            except BrokenError:
                keep("resumed", once(often))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), bool(int(sys.argv[5])))
