# %% [markdown]
# # Agriculture: leaf disease, and a background that gives the answer away
#
# On PlantVillage, networks reach 99 %; on leaves in a field, the same networks fell to a third (Mohanty et al. 2016).
# The leaves were photographed in a laboratory, class by class, on a table. This recipe trains in a minute, and asks
# **what the network looks at**.
#
# **Images.** [PlantVillage](https://github.com/spMohanty/PlantVillage-Dataset) (Hughes and Salathe 2015, CC BY-SA
# 3.0). The figures are of a sample: 15 classes of pepper, potato and tomato leaves, 60 photos each, a folder per
# class.

# %%
import os
from pathlib import Path

import numpy as np

import keensight as ks

images = Path(os.environ.get("KEENSIGHT_DATA", "data")) / "plantvillage15"  # in a notebook, write your own folder here

# %% tags=["script"]
import sys

if len(sys.argv) > 1:
    images = Path(sys.argv[1])

# %%
data = ks.open(images)
ks.show.samples(data, n=24)

# %% [markdown]
# ## Ask before you train
#
# The audit's *probes* show a simple classifier one aspect of each image at a time. It should not be able to name the
# disease from the corners of the picture, where there is no leaf.

# %%
audit = ks.audit(data)
for probe in audit.probes:
    print(f"{probe.name:>10} {probe.verdict:>10}: {probe.accuracy}, guessing {probe.chance:.3f}")
for finding in audit.findings:
    if finding.kind == "shortcut":
        print(f"{finding.severity}: {finding.message}")

# %% [markdown]
# ## Train as usual

# %%
run = ks.train(data, effort="quick")
evaluation = ks.evaluate(run)
ks.show.confusion(evaluation)

# %% [markdown]
# ## Ask the trained network
#
# The same test images with the middle painted grey (the leaf is gone, the table is left) and with the margin painted
# grey (the table is gone, most of the leaf is left). A network that knows leaves alone can only guess at the first.

# %%
model = ks.load(run)
test = run.split.part("test")
truth, pictures = data.targets()[test], ks.prepare(data, model.spec).take(test)
height, width = pictures.shape[1:3]
middle = np.zeros((height, width), bool)
middle[height // 8 : -height // 8, width // 8 : -width // 8] = True
corners = next(probe for probe in audit.probes if probe.name == "corners")
results = {"accuracy": evaluation.accuracy, f"told from the corners alone, n = {corners.n}": corners.accuracy}
for name, hidden in (("accuracy, margin only", middle), ("accuracy, middle only", ~middle)):
    changed = pictures.copy()
    changed[:, hidden] = 127
    right = model.predict_array(changed).argmax(axis=1) == truth
    results[name] = ks.wilson(int(right.sum()), len(right))

# %% [markdown]
# A grey box is unlike any training image and costs something by itself. Still: the margin alone should tell the
# network no more than guessing, one in 15, and an eighth of the picture on each side should not cost it much of what
# it knew. And where it looks:

# %%
ks.show.explanation(ks.explain(model, images / data.samples[test[0]].path)[0])

# %% [markdown]
# ## Result

# %%
for name, figure in results.items():
    print(f"{name}: {figure}")

# %% [markdown]
# <!-- figures: written by benchmarks/tables.py -->
# **To expect** (95 % intervals, n = 144 test images where no other n is given, `python benchmarks/recipes.py
# agriculture`): accuracy 0.882 (0.819 to 0.925); told from the corners alone, n = 900 0.378 (0.347 to 0.410);
# accuracy, margin only 0.132 (0.086 to 0.197); accuracy, middle only 0.417 (0.339 to 0.498). Other versions or
# machines may differ by a few thousandths.
# <!-- end of figures -->
#
# **Limits.** None of these figures tells how the network does in a field: for that, test on photos from fields, and
# let each farm be in one part only (`group=`). Some classes look alike early on, and some leaves carry two diseases:
# see [multi-label sets](../docs/multilabel.md).
#
# **Ethics.** Advice to spray costs money and harms soil; advice not to can cost a harvest. Show the probability and
# the heatmap, name the crops and countries that the set covers, and leave the decision with the farmer.
