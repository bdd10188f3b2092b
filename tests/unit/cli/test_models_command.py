"""``keensight models``, run in this process."""


def test_models_are_listed(answer, document):
    assert {"cnn", "resnet"} <= {row["name"] for row in document("models")}
    assert answer("models").out.splitlines()[0].split() == [
        "name",
        "weights",
        "side",
        "parameters_millions",
        "description",
    ]
