# %% [markdown]
# # Agriculture: leaf disease, and a background that gives the label away
#
# On PlantVillage, networks reach 99%; on leaves in a field, the same networks fell to a third (Mohanty et al. 2016).
# The leaves were photographed in a laboratory, class by class, on a table. This recipe trains in a minute, and asks
# **what the network looks at**.

# %% [markdown]
# ## Get the images
#
# [PlantVillage](https://github.com/spMohanty/PlantVillage-Dataset) (Hughes and Salathé 2015, license CC BY-SA 3.0):
# 54,000 photos of leaves, one folder per class. This keeps 60 of each class of pepper, potato and tomato:
#
# ```bash
# git clone --depth 1 https://github.com/spMohanty/PlantVillage-Dataset
# ```
#
# Then, in Python:
#
# ```python
# import shutil
# for folder in Path("PlantVillage-Dataset/raw/color").iterdir():
#     if folder.name.startswith(("Pepper", "Potato", "Tomato")):
#         target = Path("data/plantvillage15") / folder.name
#         target.mkdir(parents=True)
#         for path in sorted(folder.iterdir())[:60]:
#             shutil.copy(path, target)
# ```
#
# The results at the end are of such a sample: 15 classes, 60 photos each.

# %%
import os
from pathlib import Path

import numpy as np

import keensight as ks

images = Path(os.environ.get("KEENSIGHT_DATA", "data")) / "plantvillage15"  # or the path of your folder

# %% tags=["script"]
import sys

if len(sys.argv) > 1:
    images = Path(sys.argv[1])

# %% tags=["stand-in"]
# Without the images, this cell draws stand-ins in the same layout, so that the notebook runs. Skip it.
from PIL import Image, ImageDraw, ImageFilter

stand_in = not images.exists()
if stand_in:
    images, rng = Path("stand-in/agriculture"), np.random.default_rng(0)
    spots = {  # class: color and size of its spots, and the table it lies on, which differs from class to class
        "Tomato_Early_blight": ((95, 60, 30), 6, (165, 160, 165)),
        "Tomato_Leaf_Mold": ((200, 190, 60), 9, (140, 130, 140)),
        "Tomato_Septoria_leaf_spot": ((60, 55, 40), 3, (175, 165, 155)),
        "Tomato_healthy": (None, 0, (150, 140, 135)),
    }
    for label, i in [(label, i) for label in spots for i in range(60)]:
        color, size, back = spots[label]
        photo, reach, angles = Image.new("RGB", (128, 128), back), rng.uniform(38, 52), np.linspace(0, 2 * np.pi, 60)
        draw = ImageDraw.Draw(photo)
        edge = reach * (1 + 0.12 * np.sin(angles * rng.integers(5, 9))) * (1 - 0.35 * np.abs(np.sin(angles)))
        leaf = np.stack([64 + edge * np.cos(angles), 64 + edge * np.sin(angles)], axis=1)
        draw.polygon(leaf.ravel().tolist(), (int(rng.uniform(40, 80)), int(rng.uniform(100, 150)), 50))
        for _ in range(rng.integers(4, 12) if color else 0):
            x, y, r = 64 + rng.normal(0, 14), 64 + rng.normal(0, 10), size * rng.uniform(0.5, 1.2)
            draw.ellipse((x - r, y - r, x + r, y + r), color)
        draw.line((64 - reach, 64, 64 + reach, 64), (130, 170, 90), 1)
        photo = photo.rotate(rng.uniform(0, 360), fillcolor=back).filter(ImageFilter.GaussianBlur(0.8))
        pixels = np.asarray(photo) * rng.uniform(0.85, 1.1) + rng.normal(0, 6, (128, 128, 3))
        (images / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(images / label / f"{i:02}.jpg")
    print("Stand-in images: drawings of four classes. The numbers below say nothing about leaves.")

# %%
data = ks.open(images)
ks.show.samples(data, n=24)

# %% [markdown]
# ## Look for shortcuts before you train
#
# The audit's *shortcut probes* give a simple classifier one aspect of each image at a time. It should not be able to
# predict the disease from the corners of the image, where there is no leaf.

# %%
audit = ks.audit(data)
for probe in audit.probes:
    print(f"{probe.name:>10} {probe.verdict:>10}: {probe.accuracy}, chance {probe.chance:.3f}")
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
# ## Hide parts of the image
#
# The same test images with the center painted gray (only the table remains) and with the margin painted gray (most of
# the leaf remains). A network that goes by the leaf can only guess at the first.

# %%
model = ks.load(run)
test = run.split.part("test")
truth, pictures = data.targets()[test], ks.prepare(data, model.spec).take(test)
height, width = pictures.shape[1:3]
center = np.zeros((height, width), bool)
center[height // 8 : -height // 8, width // 8 : -width // 8] = True
corners = next(probe for probe in audit.probes if probe.name == "corners")
results = {"accuracy": evaluation.accuracy, f"accuracy from the corners alone, n = {corners.n}": corners.accuracy}
for name, hidden in (("accuracy, margin only", center), ("accuracy, center only", ~center)):
    changed = pictures.copy()
    changed[:, hidden] = 127
    right = model.predict_array(changed).argmax(axis=1) == truth
    results[name] = ks.wilson(int(right.sum()), len(right))

# %% [markdown]
# A gray box is unlike any training image and costs some accuracy by itself. Still: from the margin alone the network
# should do no better than chance, and losing an eighth of the image on each side should not cost much. And this is
# where it looks:

# %%
ks.show.explanation(ks.explain(model, images / data.samples[test[0]].path)[0])

# %% [markdown]
# ## Results

# %%
if stand_in:
    print("Measured on drawings, not on leaves:")
for name, result in results.items():
    print(f"{name}: {result}")

# %% [markdown]
# <!-- figures: written by benchmarks/tables.py -->
# **Expected results** with the real images (95% confidence intervals, `python benchmarks/recipes.py agriculture`);
# other versions or machines may differ by a few thousandths:
#
# | metric | n | result |
# |---|---|---|
# | accuracy | 144 | 0.910 (0.852 to 0.947) |
# | accuracy from the corners alone | 900 | 0.377 (0.346 to 0.409) |
# | accuracy, margin only | 144 | 0.236 (0.174 to 0.312) |
# | accuracy, center only | 144 | 0.465 (0.386 to 0.547) |
# <!-- end of figures -->
#
# **Limits.** None of these numbers shows how well the network does in a field: for that, test on photos from fields,
# and keep each farm in one split (`group=`). Some classes look alike early on, and some leaves carry two diseases: see
# [multi-label sets](../docs/multilabel.md).
#
# **Ethics.** Advice to spray costs money and harms soil; advice not to can cost a harvest. Show the confidence and the
# heatmap, name the crops and countries that the set covers, and leave the decision to the farmer.
