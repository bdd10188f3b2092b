# %% [markdown]
# # E-commerce: sort product photos, and find similar ones
#
# Sellers upload photos; the shop wants them in the right category, and its visitors want "more like this". One training
# serves both: the classifier predicts the category, and its *embedding*, the features before its last layer, finds
# similar photos.

# %% [markdown]
# ## Get the images
#
# [clothing-dataset-small](https://github.com/alexeygrigorev/clothing-dataset-small) (Grigorev 2020, license CC0): 3,781
# photos of clothes in 10 classes, taken by their owners, in `train`, `validation` and `test` folders. These predefined
# splits are kept.
#
# ```bash
# mkdir -p data && git clone --depth 1 https://github.com/alexeygrigorev/clothing-dataset-small data/clothing_small
# ```

# %%
import os
from pathlib import Path

import keensight as ks

images = Path(os.environ.get("KEENSIGHT_DATA", "data")) / "clothing_small"  # or the path of your folder

# %% tags=["script"]
import sys

if len(sys.argv) > 1:
    images = Path(sys.argv[1])

# %% tags=["stand-in"]
# Without the images, this cell draws stand-ins in the same layout, so that the notebook runs. Skip it.
import numpy as np
from PIL import Image, ImageDraw, ImageFilter

stand_in = not images.exists()
if stand_in:
    images, rng = Path("stand-in/ecommerce"), np.random.default_rng(0)
    half = {  # the right half of each outline, on a scale of 0 to 100; the left half mirrors it
        "dress": [(50, 24), (58, 12), (66, 14), (62, 42), (82, 92), (50, 92)],
        "longsleeve": [(50, 20), (62, 18), (84, 34), (94, 84), (84, 86), (72, 48), (70, 88), (50, 88)],
        "pants": [(50, 10), (68, 10), (76, 94), (60, 94), (50, 36)],
        "shorts": [(50, 30), (70, 30), (80, 68), (58, 70), (50, 52)],
        "skirt": [(50, 28), (66, 28), (84, 80), (50, 84)],
        "t-shirt": [(50, 20), (62, 18), (92, 38), (84, 50), (70, 42), (70, 88), (50, 88)],
    }
    sizes = {"train": 30, "validation": 12, "test": 12}
    for label, part, i in [(name, part, i) for name in half for part, n in sizes.items() for i in range(n)]:
        back, cloth = tuple(rng.integers(60, 256, 3).tolist()), tuple(rng.integers(0, 256, 3).tolist())
        outline = np.array(half[label] + [(100 - x, y) for x, y in half[label][::-1]]) * rng.uniform(0.8, 1.1, 2)
        outline = outline + rng.normal(0, 2.5, outline.shape) + rng.uniform(-4, 8, 2)
        photo = Image.new("RGB", (128, 128), back)
        ImageDraw.Draw(photo).polygon([(1.28 * x, 1.28 * y) for x, y in outline], cloth)
        photo = photo.rotate(rng.normal(0, 8), fillcolor=back).filter(ImageFilter.GaussianBlur(1))
        pixels = np.asarray(photo) + rng.normal(0, 8, (128, 128, 3))
        (images / part / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(images / part / label / f"{i:02}.jpg")
    print("Stand-in images: drawings of six garments. The numbers below say nothing about product photos.")

# %%
data = ks.open(images)
ks.show.samples(data, n=24)

# %% [markdown]
# ## Predict the category
#
# `effort="quick"` is transfer learning in its simplest form: a linear classifier on the features of a network that was
# pretrained on ImageNet. `standard` adds fine-tuning: some minutes more, some points better
# ([results](../docs/benchmarks.md)).

# %%
run = ks.train(data, effort="quick")
evaluation = ks.evaluate(run)
ks.show.confusion(evaluation)

# %% [markdown]
# T-shirt and long sleeve, shirt and outwear: people confuse these classes as well. A photo may also show two garments
# and have only one label.

# %%
ks.show.mistakes(evaluation, n=12)

# %% [markdown]
# ## More like this
#
# The catalog is the validation set, the queries are the test photos. Nothing is trained for the search.

# %%
model = ks.load(run)
truth = {str(images / sample.path): sample.label for sample in data.samples}
catalog, queries = (
    ks.embed(model, [images / data.samples[i].path for i in run.split.part(part)]) for part in ("val", "test")
)
found = ks.similar(queries, catalog, n=5)
ks.show.similar(found, n=6, caption=truth.__getitem__)

# %% [markdown]
# ## Results
#
# For the search: how often the nearest photo shows the same kind of garment.

# %%
hits = sum(truth[found.paths(i)[0]] == truth[path] for i, path in enumerate(found.queries))
results = {"accuracy": evaluation.accuracy, "nearest photo of the same class": ks.wilson(hits, len(found.queries))}
if stand_in:
    print("Measured on drawings, not on photos:")
for name, result in results.items():
    print(f"{name}: {result}")

# %% [markdown]
# <!-- figures: written by benchmarks/tables.py -->
# **Expected results** with the real images (95% confidence intervals, `python benchmarks/recipes.py ecommerce`);
# other versions or machines may differ by a few thousandths:
#
# | metric | n | result |
# |---|---|---|
# | accuracy | 372 | 0.903 (0.869 to 0.929) |
# | nearest photo of the same class | 372 | 0.715 (0.667 to 0.758) |
# <!-- end of figures -->
#
# **Limits.** Ten classes and photos by volunteers; a shop has thousands of classes, studio pictures, and new ones each
# season: add classes from a few photos ([docs](../docs/embeddings.md)) and measure again. *Similar* here means similar
# in what separates the categories. For the same cut or pattern, let people judge the results, not the label.
#
# **Ethics.** Some of the photos show their owners. Blur faces before you store or embed a picture; an embedding of a
# person's photo is personal data too. A search that always shows what was shown before makes small sellers invisible.
