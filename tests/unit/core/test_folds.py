import numpy as np

from keensight.core.folds import deal


def test_groups_stay_whole_and_classes_are_spread():
    classes = np.repeat([0, 1, 2], [100, 50, 10])
    groups = np.arange(160) // 2
    fold = deal(classes, groups, 5)
    assert all(len(np.unique(fold[groups == group])) == 1 for group in np.unique(groups))
    for label in range(3):
        counts = np.bincount(fold[classes == label], minlength=5)
        assert counts.max() - counts.min() <= 2
    np.testing.assert_array_equal(fold, deal(classes, groups, 5))
    assert not np.array_equal(fold, deal(classes, groups, 5, seed=1))
