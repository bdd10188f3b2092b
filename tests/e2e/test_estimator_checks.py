"""scikit-learn's own checks of a classifier, on images that are made of the tables that they feed."""

import numpy as np
import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator

import keensight as ks

pytestmark = [
    pytest.mark.slow,
    # The checks warn of conversions that they provoke themselves.
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning"),
]

_TABLE = "is about a table of numbers: its types, its values or its number of columns"
_LEARNS = "asks for an accuracy on blobs of two or three numbers, of which no images worth the name can be made"
LEFT_OUT = {
    "check_array_api_input": _TABLE,
    "check_complex_data": _TABLE,
    "check_dtype_object": _TABLE,
    "check_estimator_sparse_array": _TABLE,
    "check_estimator_sparse_matrix": _TABLE,
    "check_estimator_sparse_tag": _TABLE,
    "check_estimators_dtypes": _TABLE,
    "check_estimators_empty_data_messages": _TABLE,
    "check_estimators_nan_inf": _TABLE,
    "check_f_contiguous_array_estimator": _TABLE,
    "check_fit1d": _TABLE,
    "check_fit2d_1feature": _TABLE,
    "check_fit2d_1sample": _TABLE,
    "check_fit2d_predict1d": _TABLE,
    "check_n_features_in": _TABLE,
    "check_n_features_in_after_fitting": _TABLE,
    "check_classifiers_classes": _LEARNS,
    "check_classifiers_train": _LEARNS,
}
"""Checks that do not apply to images, and why."""


BARE = (
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_estimators_unfitted",
    "check_get_params_invariance",
    "check_mixin_order",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_set_params",
    "check_valid_tag_types",
)
"""Checks that train nothing, and so need no images."""


class Rows(ks.ImageClassifier):
    """The estimator, but each row of a table becomes an image of 8 x 8 px in stripes of its numbers."""

    def __init__(self, random_state=0):
        settings = {"model.width": 4, "train.batch_size": 8, "augment.enabled": False}
        super().__init__("cnn", epochs=1, image_size=8, settings=settings, random_state=random_state)

    def fit(self, X, y, groups=None):  # noqa: N803 - scikit-learn's name
        return super().fit(images(X), y, groups)

    def predict_proba(self, X):  # noqa: N803
        return super().predict_proba(images(X))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags


def images(table):
    """uint8 (n, 8, 8); a gray level tells numbers of any size from others near them."""
    rows = np.asarray(table, np.float64)
    levels = (127.5 + 127.5 * np.sin(rows)).astype(np.uint8)
    repeated = np.tile(levels, 8 // levels.shape[1] + 1)[:, :8]
    return np.repeat(repeated[:, None, :], 8, axis=1)


def name_of(check):
    return getattr(check, "func", check).__name__


CHECKS = [check for _, check in estimator_checks_generator(Rows())]


def test_what_is_left_out_is_known_to_scikit_learn():
    names = {name_of(check) for check in CHECKS}
    assert set(LEFT_OUT) <= names
    assert set(BARE) <= names


@pytest.mark.parametrize("check", [check for check in CHECKS if name_of(check) not in LEFT_OUT], ids=name_of)
def test_a_check_of_scikit_learn(check):
    check(Rows())


@pytest.mark.parametrize("check", [check for check in CHECKS if name_of(check) in BARE], ids=name_of)
def test_a_check_of_the_estimator_as_it_is(check):
    check(ks.ImageClassifier())
