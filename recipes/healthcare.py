# %% [markdown]
# # Healthcare: chest X-rays, and metrics that a doctor can use
#
# Does this child's X-ray show pneumonia? Training takes a minute. The hard part is the evaluation: the right split,
# the right threshold, the right words. **This is a lesson, not a medical device.**

# %% [markdown]
# ## Get the images
#
# [Chest X-rays of children](https://doi.org/10.17632/rscbjbr9sj.2) (Kermany, Zhang and Goldbaum 2018, Guangzhou Women
# and Children's Medical Center, license CC BY 4.0): 5,856 images, 1.2 GB. Download `ChestXRay2017.zip` from that page.
# File names contain the patient, so a table with one row per image is a few lines of Python:
#
# ```bash
# mkdir -p data && unzip -q ChestXRay2017.zip && mv chest_xray data/chest_xray
# ```
#
# Then, in Python:
#
# ```python
# images = Path("data/chest_xray")
# files = sorted(images.rglob("*.jpeg"))  # .../person23_bacteria_78.jpeg, .../IM-0115-0001.jpeg
# table = pd.DataFrame({"image": [path.relative_to(images).as_posix() for path in files]})
# table["label"] = [path.parent.name for path in files]
# table["patient_id"] = table.image.str.extract(r"(person\d+|(?:NORMAL2-)?IM-\d+)")
# table.to_csv(images / "metadata.csv", index=False)
# ```
#
# The results at the end are of a sample of 1,999 images of 1,090 patients, shrunk to 224 pixels.

# %%
import os
from pathlib import Path

import keensight as ks

images = Path(os.environ.get("KEENSIGHT_DATA", "data")) / "chest_xray"  # or the path of your folder

# %% tags=["script"]
import sys

if len(sys.argv) > 1:
    images = Path(sys.argv[1])

# %% tags=["stand-in"]
# Without the images, this cell draws stand-ins in the same layout, so that the notebook runs. Skip it.
import numpy as np
import pandas as pd
from PIL import Image

stand_in = not (images / "metadata.csv").exists()
if stand_in:
    images, rng, rows = Path("stand-in/healthcare"), np.random.default_rng(0), []
    y, x = np.mgrid[:96, :96]
    for patient in range(330):
        label = "PNEUMONIA" if rng.random() < 0.7 else "NORMAL"
        middle, width, tilt = 48 + rng.normal(0, 3), rng.normal(21, 2), rng.normal(0, 0.05)
        for shot in range(rng.integers(1, 4)):
            across, down = x - middle + tilt * y - rng.normal(0, 1.5), y - 50 - rng.normal(0, 1.5)
            lungs = np.exp(-(((np.abs(across) - width) / 13) ** 4) - (down / 34) ** 4)
            picture = 190 - 120 * lungs + 12 * np.sin(down * 0.9 - np.abs(across) * 0.15) * lungs
            if label == "PNEUMONIA":  # a shadow in one lung
                side, low = rng.choice([-1, 1]), rng.uniform(-15, 20)
                shadow = np.exp(-(((across - side * width) / 11) ** 2) - ((down - low) / 13) ** 2)
                picture += rng.uniform(25, 100) * shadow * lungs
            picture = rng.uniform(0.8, 1.1) * picture + rng.normal(0, 7, picture.shape)
            rows.append((f"{label}/patient{patient:03}_{shot}.png", label, f"patient{patient:03}"))
            (images / label).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(images / rows[-1][0])
    table = pd.DataFrame(rows, columns=["image", "label", "patient_id"])
    table.to_csv(images / "metadata.csv", index=False)
    print("Stand-in images: drawings, not X-rays. The numbers below say nothing about medicine.")

# %% [markdown]
# ## Patients, not images
#
# Many children have several images. If one is in the training set and another in the test set, the network may
# recognize the child: data leakage. `group="patient_id"` keeps each child in one split.

# %%
data = ks.open(images / "metadata.csv", label="label", group="patient_id")
print(len(data), "images of", len({sample.group for sample in data.samples}), "patients")
ks.show.samples(data, n=12)

# %%
run = ks.train(data, effort="quick", target_precision=0.97)
evaluation = ks.evaluate(run)

# %% [markdown]
# ## Why accuracy misleads
#
# About three in four of these images show pneumonia, so a model that always predicts pneumonia is right three times in
# four. And the two errors do not cost the same: a sick child sent home, a healthy one given antibiotics.

# %%
print("accuracy:", evaluation.accuracy, "| always predicting pneumonia:", round(evaluation.baseline_accuracy, 3))
ks.show.confusion(evaluation)

# %% [markdown]
# ## Choose a sensitivity, then measure it
#
# *Sensitivity*: the fraction of sick children who are found. *Specificity*: the fraction of healthy children who are
# cleared. We want to find 95% of the sick. The threshold is chosen on the validation set, so that it holds for new
# children with 90% confidence. The test set, which was not used for that choice, shows what it achieves
# ([how](../docs/thresholds.md)).

# %%
validation = ks.evaluate(run, data, split=run.split, part="val")
chosen = ks.operating_point(validation, "PNEUMONIA", sensitivity=0.95)
measured = ks.operating_point(evaluation, "PNEUMONIA", threshold=chosen.threshold)
print(chosen.target, "- reached" if chosen.reached else "- not reached")
ks.show.roc(measured)

# %% [markdown]
# ## What a positive prediction means
#
# The positive predictive value depends on how many of the children who come are sick (the prevalence), and in this set
# that fraction is arbitrary. The same test where one child in twenty is sick:

# %%
sick, found, alarms = 0.05, measured.sensitivity.value, 1 - measured.specificity.value
print(f"of the children with a positive prediction, {sick * found / (sick * found + (1 - sick) * alarms):.0%} are sick")

# %% [markdown]
# ## "I don't know" is an option
#
# `target_precision=0.97` asked for predictions of which 97% are right. Keensight chose the confidence below which the
# model abstains: a doctor looks at those images first ([how](../docs/uncertainty.md)).

# %%
ks.show.risk_coverage(evaluation)

# %% [markdown]
# ## Results

# %%
_, _, missed, found = measured.counts
abstention = evaluation.abstention
results = {
    "area under the ROC curve": measured.auroc,
    "accuracy": evaluation.accuracy,
    f"sensitivity, n = {missed + found}": measured.sensitivity,
    f"specificity, n = {measured.n - missed - found}": measured.specificity,
    "coverage (images with a prediction)": abstention.answered,
    f"accuracy of these predictions, n = {round(abstention.answered.value * evaluation.n)}": abstention.accuracy,
}
if stand_in:
    print("Measured on drawings, not on X-rays:")
for name, result in results.items():
    print(f"{name}: {result}")

# %% [markdown]
# <!-- figures: written by benchmarks/tables.py -->
# **Expected results** with the real images (95% confidence intervals, `python benchmarks/recipes.py healthcare`);
# other versions or machines may differ by a few thousandths:
#
# | metric | n | result |
# |---|---|---|
# | area under the ROC curve | 366 | 0.999 (0.996 to 1.000) |
# | accuracy | 366 | 0.989 (0.970 to 0.996) |
# | sensitivity | 283 | 0.972 (0.943 to 0.986) |
# | specificity | 83 | 0.988 (0.931 to 0.998) |
# | coverage (images with a prediction) | 366 | 0.965 (0.939 to 0.980) |
# | accuracy of these predictions | 353 | 0.989 (0.969 to 0.996) |
# <!-- end of figures -->
#
# **Limits.** One hospital, children of one to five years, and two classes. Logistic regression on 32-pixel thumbnails
# comes close to the network ([results](../docs/recipes.md)), so much of what is learned here is coarse: how a child
# lay, how dark the image is. Another hospital will differ in exactly that: test there first. Kermany et al. report an
# accuracy of 0.928 on their own 624 test images, with another split.
#
# **Ethics.** The threshold decides who is harmed by which error; that is a decision for doctors and patients. A network
# may order the queue; it must not send anybody home. In most countries, use on patients needs approval.
