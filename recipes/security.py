# %% [markdown]
# # Security: who is this, and what is wrong here
#
# Two tasks in which the answer may be *none of those that I know*. **Faces** at a door: known people, people who are
# enrolled later from a few photos, and strangers. **Inspection**: circuit boards whose faults nobody has seen before.
#
# **Images.** ORL faces (AT&T Laboratories Cambridge 1992-1994,
# [cam-orl.co.uk](https://cam-orl.co.uk/facedatabase.html), free with credit): 40 people, 10 photos each, a folder per
# person. [DeepPCB](https://github.com/tangsanli5201/DeepPCB) (Tang et al. 2019, MIT): crops of circuit boards, good
# and with six kinds of defects; the figures are of a sample of 2,800.

# %%
import os
import tempfile
from pathlib import Path

import pandas as pd

import keensight as ks

images = Path(os.environ.get("KEENSIGHT_DATA", "data"))  # in a notebook, write your own folder here: it holds both sets
faces, boards = images / "orl_faces" / "orl_faces", images / "deeppcb_crops"

# %% tags=["script"]
import sys

if len(sys.argv) > 2:
    faces, boards = Path(sys.argv[1]), Path(sys.argv[2])

# %% [markdown]
# ## Faces: known people
#
# People 1 to 30 are known. 31 to 35 will be enrolled, 36 to 40 stay strangers: of both the network sees nothing.

# %%
photos = [(path.relative_to(faces).as_posix(), path.parent.name) for path in sorted(faces.glob("s*/*.pgm"))]
table = pd.DataFrame(photos, columns=["path", "label"])
number = table.label.str[1:].astype(int)
data = ks.from_frame(table[number <= 30], faces)
run = ks.train(data, effort="quick", image_size=96)
evaluation = ks.evaluate(run)

# %% [markdown]
# ## Enrol five more, without training
#
# Five photos each; the other five of each person are for the test. Each enrolment writes a new bundle.

# %%
model, folder = run, Path(tempfile.mkdtemp())
for person in (f"s{i}" for i in range(31, 36)):
    shots = [faces / path for path in table.path[table.label == person][:5]]
    model = ks.enrol(model, person, shots, folder / person).bundle.path

# %% [markdown]
# ## Who is it?
#
# A photo that is nearer to no known face than the bundle's threshold gets the decision `abstain`. The threshold keeps
# 95 % of known people's validation photos; how many strangers it stops is what we now measure.

# %%
door = ks.load(model)


def answers(rows: pd.Series) -> pd.DataFrame:
    found = pd.DataFrame(door.predict([faces / path for path in table.path[rows]]).rows())
    return found.assign(truth=table.label[rows].to_numpy(), known=found.decision == "accept")


enrolled = (number > 30) & (number <= 35) & (table.groupby("label").cumcount() >= 5)
new, strangers = answers(enrolled), answers(number > 35)
let_in = new.known & (new.label == new.truth)

# %%
album = ks.embed(door, [faces / path for path in table.path[number <= 35]])
asked = ks.embed(door, [faces / path for path in table.path[number > 35][::12]])
ks.show.similar(ks.similar(asked, album), caption=lambda path: Path(path).parent.name)  # whom strangers look like

# %% [markdown]
# ## Inspection: what is wrong, if nobody knows what can go wrong
#
# Only good crops are learned from, and crops of one board stay in one part. From a score of 1 on a crop is called
# anomalous: at most 5 % of good ones should be.

# %%
found = ks.train(boards, task="anomaly", normal="good", group="board_group")
inspection = ks.evaluate(found)
for kind in inspection.kinds:
    print(f"{kind.kind} found: {kind.recall}")

# %% [markdown]
# ## Result

# %%
results = {
    f"known people named rightly, n = {evaluation.n}": evaluation.accuracy,
    f"enrolled people named rightly and let in, n = {len(new)}": ks.wilson(int(let_in.sum()), len(new)),
    f"strangers stopped, n = {len(strangers)}": ks.wilson(int((~strangers.known).sum()), len(strangers)),
    f"area under the ROC curve of anomalies, n = {inspection.n}": inspection.auroc,
    f"anomalies found, n = {inspection.anomalous}": inspection.recall,
    f"false alarms, n = {inspection.normal}": inspection.false_alarms,
}
for name, figure in results.items():
    print(f"{name}: {figure}")

# %% [markdown]
# <!-- figures: written by benchmarks/tables.py -->
# **To expect** (95 % intervals, n = 43 test images where no other n is given, `python benchmarks/recipes.py
# security`): known people named rightly, n = 43 1.000 (0.918 to 1.000); enrolled people named rightly and let in, n =
# 25 0.880 (0.700 to 0.958); strangers stopped, n = 50 0.600 (0.462 to 0.724); area under the ROC curve of anomalies,
# n = 282 0.998 (0.975 to 1.000); anomalies found, n = 240 0.992 (0.941 to 0.999); false alarms, n = 42 0.071 (0.013
# to 0.310). Other versions or machines may differ by a few thousandths.
# <!-- end of figures -->
#
# **Limits.** Ten photos of a person taken in one sitting, face on, are far easier than a door in winter, and five
# strangers say little about all others: do not let this open a door. A printed photo of you has your face, too. The
# inspection features were chosen on the same boards, so its figure is a little flattering.
#
# **Ethics.** Faces are personal data; identifying people in public is forbidden or licensed in many places. Ask
# before you enrol anyone, keep no photo that you do not need, give another way in, and measure errors for each group
# of people apart: the ORL volunteers, mostly young men of one laboratory, cannot tell you how it treats others.
