"""What the documentation shows, as a user writes it: type checkers accept every line."""

import keensight as ks
from keensight import errors

data = ks.open("photos/", label="kind", group="patient")
print(len(data), data[0].label, [sample.path for sample in data])
run = ks.train(data, effort="quick", epochs=5, learning_rate=1e-3, flip="none", labels=["cat", "dog"])
evaluation = ks.evaluate(run)
accuracy: float = evaluation.accuracy.value
low: float = evaluation.accuracy.low
ks.show.confusion(evaluation).savefig("confusion.png")
ks.show.mistakes(evaluation, n=12)
ks.show.samples("photos/", n=9)

model = ks.load(run)
predictions = model.predict("new.jpg")
first: str = predictions.rows()[0]["label"]
ks.write_predictions(ks.predict(run.path, ["a.jpg", "b.jpg"]), "predictions.csv")

findings = ks.audit("photos/", label="kind")
split = ks.split(data, audit=findings, val_share=0.2)
pixels = ks.prepare("photos/", ks.image_spec(data, 64))
network = ks.build(data, pixels.spec, "cnn")
history = ks.fit(network, data, split, pixels, epochs=2, batch_size=16, callbacks=[])
losses: list[float] = history.history["val_loss"]

runs, spread = ks.train_seeds("photos/", 3, epochs=2)
curve = ks.learning_curve("photos/", seed=1)
config = ks.RunConfig().with_values({"train.epochs": 3})
ks.train("photos/", config=config, run="runs/first", target_precision=0.99)

detected = ks.evaluate(ks.train("parts/", task="anomaly", normal="good"))
if isinstance(detected, ks.AnomalyEvaluation):
    print(detected.auroc)

try:
    ks.open("nowhere/")
except errors.DataError as error:
    print(error.message, error.hint)
