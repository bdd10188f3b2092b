// Who predicts: the network inside this page, or the server that sent it.
const PREDICTED_WRONG = 0.05; // of a probability or a score; 16-bit weights and another JPEG decoder stay below it

function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

async function inflated(id) {
  const packed = new Blob([bytesOf(document.getElementById(id).textContent)]);
  document.getElementById(id).remove(); // megabytes that are not needed again
  const stream = packed.stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function withArrays(model) {
  for (const part of [model.subspace, model.prototypes]) {
    for (const name of part?.arrays ?? []) part[name] = new Float32Array(bytesOf(part[name]).buffer);
  }
  return model;
}

const samplesOf = (model) => (model.samples ?? []).map((sample) => ({
  ...sample, file: new File([bytesOf(sample.data)], sample.name),
}));

/** The network inside this page: a function from a file to {row, view}. */
async function inside(model) {
  const [wasm, network] = await Promise.all([inflated("engine"), inflated("network")]);
  const run = await globalThis.openNetwork(wasm, network);
  if (model.anomaly) {
    const [, rows, columns, levels] = run.shape;
    Object.assign(model.anomaly, { rows, columns, fractions: model.anomaly.fractions.slice(0, levels) });
  }
  return async (file) => {
    const image = await opened(file, model.image);
    const pixels = modelInput(image.picture, image.extent, model.image, image.orientation);
    const [first, vector] = await run(pixels);
    if (!model.anomaly) return { row: decided(file.name, first, vector, model), pixels, image };
    return { row: scored(file.name, first, model.anomaly), heat: patchScores(first, model.anomaly), pixels, image };
  };
}

/** Whether this browser reproduces a prediction of the trained model: some change the pixels that a page may see. */
async function selfTested(predict, sample, labels) {
  const { row } = await predict(sample.file);
  const [score] = sample.probabilities; // of a detector
  const worst = row.score === undefined
    ? Math.max(...row.top.map(([name, p]) => Math.abs(p - sample.probabilities[labels.indexOf(name)])))
    : Math.abs(row.score - score) / Math.max(score, 1);
  if (!(worst <= PREDICTED_WRONG)) {
    throw new Error(
      "This browser does not reproduce the model's own predictions, so it must not be used here. A privacy setting that " +
      "changes what pages see of images does this: switch it off for this page, or use another browser.");
  }
}

/** The server that sent this page. */
function remote() {
  let token = "";
  return async (file) => {
    const ask = () => fetch("predict", {
      method: "POST", body: file,
      headers: { "Content-Type": "application/octet-stream", ...(token && { Authorization: `Bearer ${token}` }) },
    });
    let answer = await ask();
    if (answer.status === 401) {
      token = window.prompt("This server asks for its access token:") ?? "";
      answer = await ask();
    }
    const told = await answer.json().catch(() => ({}));
    const row = told.predictions?.[0];
    if (!row) throw new Unreadable(told.error?.message ?? `The server answered with status ${answer.status}.`);
    if (row.error) throw new Unreadable(row.error);
    return { row: { ...row, path: file.name } };
  };
}
