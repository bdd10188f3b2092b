# %% [markdown]
# # E-commerce: sort product photos, and find what looks alike
#
# Sellers upload photos; the shop wants them under the right heading, and its visitors want "more like this". One
# training serves both: the classifier names the category, and its *embedding*, what it knows before its last layer,
# finds the neighbours.
#
# **Images.** [clothing-dataset-small](https://github.com/alexeygrigorev/clothing-dataset-small) (Grigorev 2020, CC0):
# 3,781 photos of clothes in 10 classes, taken by their owners, with train, validation and test folders.

# %%
import os
from pathlib import Path

import keensight as ks

images = Path(os.environ.get("KEENSIGHT_DATA", "data")) / "clothing_small"  # in a notebook, write your own folder here

# %% tags=["script"]
import sys

if len(sys.argv) > 1:
    images = Path(sys.argv[1])

# %%
data = ks.open(images)
ks.show.samples(data, n=24)

# %% [markdown]
# ## Name the category
#
# `effort="quick"` fits a logistic head on the frozen features of a network from ImageNet. `standard` takes some
# minutes more and gains some points ([figures](../docs/benchmarks.md)).

# %%
run = ks.train(data, effort="quick")
evaluation = ks.evaluate(run)
ks.show.confusion(evaluation)

# %% [markdown]
# T-shirt and long sleeve, shirt and outwear: classes that people mix up as well. A photo may also show two garments
# and have one label.

# %%
ks.show.mistakes(evaluation, n=12)

# %% [markdown]
# ## More like this
#
# The catalogue is the validation part, the questions are the test photos. Nothing is trained for the search.

# %%
model = ks.load(run)
truth = {str(images / sample.path): sample.label for sample in data.samples}
catalogue, questions = (
    ks.embed(model, [images / data.samples[i].path for i in run.split.part(part)]) for part in ("val", "test")
)
found = ks.similar(questions, catalogue, n=5)
ks.show.similar(found, n=6, caption=truth.__getitem__)

# %% [markdown]
# ## Result
#
# Of the search: how often the nearest photo shows the same kind of garment.

# %%
hits = sum(truth[found.paths(i)[0]] == truth[path] for i, path in enumerate(found.queries))
results = {"accuracy": evaluation.accuracy, "nearest photo of the same class": ks.wilson(hits, len(found.queries))}
for name, figure in results.items():
    print(f"{name}: {figure}")

# %% [markdown]
# <!-- figures: written by benchmarks/tables.py -->
# **To expect** (95 % intervals, n = 372 test images where no other n is given, `python benchmarks/recipes.py
# ecommerce`): accuracy 0.903 (0.869 to 0.929); nearest photo of the same class 0.715 (0.667 to 0.758). Other versions
# or machines may differ by a few thousandths.
# <!-- end of figures -->
#
# **Limits.** Ten classes and photos by volunteers; a shop has thousands of classes and studio pictures, and new ones
# each season: enrol these from a few photos ([docs](../docs/embeddings.md)) and measure again. *Alike* here is what
# parts categories. For the same cut or pattern, judge the neighbours by people, not by the label.
#
# **Ethics.** Some of the photos show their owners. Blur faces before you store or embed a picture; an embedding of a
# person's photo is personal data too. A search that always shows what was shown before makes small sellers invisible.
