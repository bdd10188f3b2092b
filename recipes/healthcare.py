# %% [markdown]
# # Healthcare: chest X-rays, and figures that a doctor can use
#
# Does this child's X-ray show pneumonia? Training takes a minute. The work is in the figures: the right split, the
# right threshold, the right words. **This is a lesson, not a medical device.**
#
# **Images.** [Chest X-rays of children](https://doi.org/10.17632/rscbjbr9sj.2) (Kermany, Zhang and Goldbaum 2018,
# Guangzhou Women and Children's Medical Center, CC BY 4.0). Wanted: one folder with the images and `metadata.csv`
# (`image,label,pathogen,patient_id`). The figures are of a sample of 1,999 images of 1,090 patients.

# %%
import os
from pathlib import Path

import keensight as ks

images = Path(os.environ.get("KEENSIGHT_DATA", "data")) / "chest_xray"  # in a notebook, write your own folder here

# %% tags=["script"]
import sys

if len(sys.argv) > 1:
    images = Path(sys.argv[1])

# %% [markdown]
# ## Patients, not images
#
# Many children have several images. If one is in training and another in the test, the network may know the child.
# `group="patient_id"` keeps each child in one part.

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
# Three in four of these images show pneumonia, so to call everybody ill is right three times in four. And the two
# errors are not worth the same: an ill child sent home, a healthy one given antibiotics.

# %%
print("accuracy:", evaluation.accuracy, "| calling everybody ill:", round(evaluation.baseline_accuracy, 3))
ks.show.confusion(evaluation)

# %% [markdown]
# ## Choose what to promise, then measure it
#
# *Sensitivity*: how many of the ill are found. *Specificity*: how many of the healthy are left in peace. We want to
# find 95 % of the ill. The threshold is chosen on the validation part, so that it holds on new children with a
# confidence of 90 %; the test part, which took no part in the choice, says what it gives
# ([how](../docs/thresholds.md)).

# %%
validation = ks.evaluate(run, data, split=run.split, part="val")
chosen = ks.operating_point(validation, "PNEUMONIA", sensitivity=0.95)
measured = ks.operating_point(evaluation, "PNEUMONIA", threshold=chosen.threshold)
print(chosen.target, "- reached" if chosen.reached else "- not reached")
ks.show.roc(measured)

# %% [markdown]
# ## What a positive answer means
#
# It depends on how many of the children who come are ill, and in this set that share is made up. The same test, where
# one child in twenty is ill:

# %%
ill, hits, alarms = 0.05, measured.sensitivity.value, 1 - measured.specificity.value
print(f"of the children called ill, {ill * hits / (ill * hits + (1 - ill) * alarms):.0%} are")

# %% [markdown]
# ## *I don't know* is an answer
#
# The training was asked for answers of which 97 % are right (`target_precision`). Keensight found the probability
# below which the model says nothing: those images go to a doctor first ([how](../docs/uncertainty.md)).

# %%
ks.show.risk_coverage(evaluation)

# %% [markdown]
# ## Result

# %%
_, _, missed, found = measured.counts
abstention = evaluation.abstention
results = {
    "area under the ROC curve": measured.auroc,
    "accuracy": evaluation.accuracy,
    f"sensitivity, n = {missed + found}": measured.sensitivity,
    f"specificity, n = {measured.n - missed - found}": measured.specificity,
    "images that get an answer": abstention.answered,
    f"answers that are right, n = {round(abstention.answered.value * evaluation.n)}": abstention.accuracy,
}
for name, figure in results.items():
    print(f"{name}: {figure}")

# %% [markdown]
# <!-- figures: written by benchmarks/tables.py -->
# **To expect** (95 % intervals, n = 366 test images where no other n is given, `python benchmarks/recipes.py
# healthcare`): area under the ROC curve 0.999 (0.995 to 1.000); accuracy 0.984 (0.965 to 0.993); sensitivity, n = 283
# 0.975 (0.950 to 0.988); specificity, n = 83 0.988 (0.934 to 0.998); images that get an answer 0.839 (0.793 to
# 0.876); answers that are right, n = 307 1.000 (0.954 to 1.000). Other versions or machines may differ by a few
# thousandths.
# <!-- end of figures -->
#
# **Limits.** One hospital, children of one to five years, and two answers. A plain regression on thumbnails of 32
# pixels comes close to the network ([figures](../docs/recipes.md)), so much of what is learned here is coarse: how a
# child lay, how dark the picture is. Another hospital will differ in just that: measure there first. Kermany et al.
# report 0.928 accuracy on their own 624 test images, with another split.
#
# **Ethics.** Who is harmed by which error decides the threshold, and that is for doctors and patients to say. A
# network may order the queue; it must not send anybody home. In most countries, use on patients needs approval.
