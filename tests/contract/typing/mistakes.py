"""What users mistype: type checkers flag the marked lines and no others."""

import keensight as ks

data = ks.open("photos/")
run = ks.train(data, modle="resnet")  # wrong
ks.train(data, effort="fast")  # wrong
ks.train(data, epochs="five")  # wrong
ks.train_seeds(data, 3, task="anomaly")  # wrong
ks.evaluate(run, labl="kind")  # wrong
evaluation = ks.evaluate(run)
print(evaluation.acuracy)  # wrong
ks.show.confusoin(evaluation)  # wrong
ks.trian(data)  # wrong
model = ks.load(run)
model.predictt("new.jpg")  # wrong
print(model.predict("new.jpg").probabilities.shape)
