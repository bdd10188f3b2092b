// From the network's outputs to a prediction, or to none: the rules of `core.ood`, `core.prototypes` and
// `core.predictions`, in the same order.
const EASE = 1e-6; // probabilities are float32: a value that differs from a threshold only by rounding reaches it
const OOD_EASE = 1e-5; // as in core.ood: another runtime computes the score with another rounding
const TOP = 5;
const LARGEST = 2, TINY = 1e-12;

const length = (values) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));

function unit(values) {
  const size = length(values);
  return values.map((value) => (Number.isFinite(size) ? value / (size || 1) : NaN));
}

/** Out-of-distribution score, 0 to 2: what the principal axes do not explain. */
function oodScore(vector, { scale, mean, axes }) {
  const direction = unit(unit(Float64Array.from(vector)).map((value, i) => value / scale[i]));
  const moved = direction.map((value, i) => value - mean[i]), rest = Float64Array.from(moved);
  for (let from = 0; from < axes.length; from += moved.length) {
    let along = 0;
    for (let i = 0; i < moved.length; i++) along += moved[i] * axes[from + i];
    for (let i = 0; i < moved.length; i++) rest[i] -= along * axes[from + i];
  }
  return Math.fround(Math.min(length(rest), LARGEST));
}

/** Cosine of an embedding with each class mean. */
function cosines(vector, { centre, means }) {
  const moved = Float64Array.from(vector, (value, i) => value - centre[i]), size = Math.max(length(moved), TINY);
  const found = [];
  for (let from = 0; from < means.length; from += moved.length) {
    const mean = means.subarray(from, from + moved.length), long = Math.max(length(mean), TINY);
    found.push(mean.reduce((sum, value, i) => sum + value * moved[i], 0) / size / long);
  }
  return found;
}

/** Probabilities of trained and enrolled classes together. */
function joined(probabilities, similar, temperature) {
  const odds = Array.from(probabilities, (p) => Math.log(Math.max(p, 1e-300)));
  const shift = Math.max(...similar.slice(0, odds.length)) / temperature - Math.max(...odds);
  const logits = similar.map((s, i) => (i < odds.length ? odds[i] + shift : s / temperature));
  const exponents = logits.map((logit) => Math.exp(logit - Math.max(...logits)));
  const sum = exponents.reduce((a, b) => a + b);
  return exponents.map((value) => Math.fround(value / sum));
}

/** The row that `keensight predict --json` prints for an image. */
function decided(path, probabilities, vector, model) {
  let found = Array.from(probabilities), unknown = false, score = model.subspace ? oodScore(vector, model.subspace) : 0;
  if (model.prototypes) {
    const similar = cosines(vector, model.prototypes);
    found = joined(probabilities, similar, model.prototypes.temperature);
    unknown = !(Math.max(...similar) >= model.prototypes.threshold);
  }
  const names = model.labels, order = found.map((_, i) => i).sort((a, b) => found[b] - found[a] || a - b);
  const best = found[order[0]], several = model.thresholds;
  let reason = null;
  // An image near the mean of an enrolled class is known, whatever the network was trained on.
  if (model.subspace && !(score <= model.subspace.threshold + OOD_EASE) && !(model.prototypes && !unknown)) reason = "out-of-distribution";
  else if (unknown) reason = "like none of the classes";
  else if (!several && !(best >= model.decision.threshold - EASE)) reason = "below the threshold";
  const row = {
    path, label: names[order[0]], probability: best, top: order.slice(0, TOP).map((i) => [names[i], found[i]]),
    decision: reason ? "abstain" : "accept", reason, set: null, ood_score: model.subspace ? score : null, error: null,
  };
  if (several) {
    row.labels = names.filter((_, i) => found[i] >= several[i]);
    row.label = row.labels.join("|");
  } else if (model.decision.set_threshold !== null) {
    row.set = order.filter((i) => i === order[0] || found[i] >= model.decision.set_threshold - EASE).map((i) => names[i]);
  }
  return row;
}

const unread = (path, error) => ({
  path, label: null, probability: null, top: [], decision: "abstain", reason: "unreadable", set: null, ood_score: null, error,
});

/** The row of an anomaly detector for an image, from the scores of its patches (rows, columns, levels). */
function scored(path, levels, { threshold, fractions }) {
  const depth = fractions.length, count = levels.length / depth;
  const means = fractions.map((fraction, level) => {
    const scores = Float32Array.from({ length: count }, (_, i) => levels[i * depth + level]).sort();
    const top = Math.max(1, even(fraction * count));
    return scores.subarray(count - top).reduce((sum, value) => sum + value, 0) / top;
  });
  const score = Math.fround(geometricMean(means) / threshold);
  const label = score >= 1 ? "anomalous" : "normal";
  return { path, label, probability: null, top: [], score, decision: "accept", error: null };
}

const geometricMean = (values) =>
  Math.exp(values.reduce((sum, value) => sum + Math.log(Math.max(value, 1e-6)), 0) / values.length);

/** Scores of patches over all levels; 1 is the highest that normal patches usually have. */
function patchScores(levels, { patch, fractions }) {
  const depth = fractions.length;
  return Float32Array.from({ length: levels.length / depth },
    (_, i) => geometricMean(levels.subarray(i * depth, (i + 1) * depth)) / patch);
}
