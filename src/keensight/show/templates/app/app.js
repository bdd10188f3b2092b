// The page: from dropped, pasted, chosen or photographed images to cards with predictions.
const $ = (id) => document.getElementById(id);
const model = withArrays(JSON.parse($("model").textContent));
// Control characters and changes of direction in a file's name are shown as they are written.
const plain = (text) => text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
  (sign) => "\\u" + sign.charCodeAt(0).toString(16).padStart(4, "0"));
const PREVIEW = 440, MOST_CARDS = 100; // pixels; a phone cannot hold the pictures of thousands
const MILD = [255, 200, 0], STRONG = [213, 30, 0], FULL = 4; // a heatmap's colors, and the score of the strongest
const waiting = [], rows = [];
let predict = null, busy = false;

function element(name, className, content) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (content !== undefined) made.textContent = content; // names come from folders and files: never as HTML
  return made;
}

function percent(p) {
  if (p > 0.9995) return p === 1 ? "100%" : ">99.9%";
  return p < 0.0005 ? "<0.1%" : `${(100 * p).toFixed(1)}%`;
}

/** Names as a list in a sentence. */
const listed = (names) => names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;

/** A prediction in words: {verdict, detail, doubt}. */
function inWords(row) {
  if (row.score !== undefined) return judged(row.score);
  const [best, p] = row.top[0];
  const why = {
    "out-of-distribution": "This image looks nothing like the images that the model learned from.",
    "like none of the classes": "This image resembles none of the classes.",
    "below the threshold": `The most likely class, ${best}, reaches only ${percent(p)}; this model predicts from ` +
      `${percent(model.decision?.threshold ?? 0)} on.`,
  }[row.reason];
  if (why) return { verdict: "I don't know", detail: why, doubt: true };
  if (row.labels && !row.labels.length) return { verdict: "No label", detail: "No label reaches its threshold." };
  if (row.labels) {
    const rank = (name) => row.top.findIndex(([other]) => other === name) >>> 0; // those without a bar come last
    return { verdict: [...row.labels].sort((a, b) => rank(a) - rank(b)).join(", "), detail: "" };
  }
  const set = row.set?.length > 1 ? `Could also be ${listed(row.set.slice(1))}.` : "";
  return { verdict: best, confidence: percent(p), detail: set };
}

function judged(score) {
  const where = model.remote ? "This image differs" : "The colored places differ";
  const detail = score >= 1 ? `${where} from the normal images that the model learned from.` : "";
  return { verdict: score >= 1 ? "Anomalous" : "Normal", doubt: score >= 1, confidence: `score ${score.toFixed(2)}`, detail };
}

/** An anomaly score on a scale on which the threshold is in the middle. */
function scale(row) {
  const list = element("ul", "bars"), item = element("li", row.score < 1 ? "meant" : "alarm"), track = element("span", "track");
  const fill = element("span", "fill"), mark = element("span", "mark");
  fill.style.width = `${Math.min(100, 50 * row.score)}%`;
  mark.style.left = "50%";
  mark.title = "anomalous from 1 on";
  track.append(fill, mark);
  track.setAttribute("aria-hidden", "true");
  item.append(element("span", "label", "anomaly score"), track, element("span", "value", row.score.toFixed(2)));
  list.append(item);
  return list;
}

function bars(row, doubt) {
  if (row.score !== undefined) return scale(row);
  const list = element("ul", "bars");
  list.setAttribute("aria-label", doubt ? "Most likely classes, none of them predicted" : "Most likely classes");
  for (const [name, p] of row.top) {
    const item = element("li"), track = element("span", "track"), fill = element("span", "fill");
    const threshold = model.thresholds?.[model.labels.indexOf(name)];
    const meant = !doubt && (row.labels ? row.labels.includes(name) : name === row.label);
    if (meant) item.className = "meant";
    fill.style.width = `${Math.max(0.5, 100 * p)}%`;
    track.append(fill);
    if (threshold !== undefined) {
      const mark = element("span", "mark");
      mark.style.left = `${100 * threshold}%`;
      mark.title = `predicted from ${percent(threshold)} on`;
      track.append(mark);
    }
    track.setAttribute("aria-hidden", "true");
    item.append(element("span", "label", name), track, element("span", "value", percent(p)));
    list.append(item);
  }
  return list;
}

/** The picture as it was read, upright and small. */
function preview({ bitmap, orientation }, name) {
  const turned = orientation >= 5, scale = Math.min(1, PREVIEW / Math.max(bitmap.width, bitmap.height));
  const width = Math.max(1, Math.round(bitmap.width * scale)), height = Math.max(1, Math.round(bitmap.height * scale));
  const canvas = element("canvas", scale === 1 && Math.max(width, height) <= 64 ? "pixels" : "");
  [canvas.width, canvas.height] = turned ? [height, width] : [width, height];
  const context = canvas.getContext("2d");
  const turns = [[1, 0, 0, 1, 0, 0], [-1, 0, 0, 1, width, 0], [-1, 0, 0, -1, width, height], [1, 0, 0, -1, 0, height],
    [0, 1, 1, 0, 0, 0], [0, 1, -1, 0, height, 0], [0, -1, -1, 0, height, width], [0, -1, 1, 0, 0, width]];
  context.setTransform(...turns[orientation - 1]);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", name);
  bitmap.close();
  return canvas;
}

/** The model's input with what differs from normal images in yellow to red, as `keensight predict --heatmaps` draws it. */
function overlay({ heat, pixels }, name) {
  const { height, width } = model.image, { rows, columns } = model.anomaly;
  const canvas = element("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d"), drawn = context.createImageData(width, height);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      const score = between(heat, (x + 0.5) / width, (y + 0.5) / height, columns, rows);
      const strength = Math.max(0, Math.min(1, (score - 1) / (FULL - 1)));
      const opacity = strength && 0.35 + 0.5 * strength;
      for (let c = 0; c < 3; c++) {
        const color = MILD[c] + (STRONG[c] - MILD[c]) * strength;
        drawn.data[4 * at + c] = Math.round(pixels[3 * at + c] * (1 - opacity) + color * opacity);
      }
      drawn.data[4 * at + 3] = 255;
    }
  }
  context.putImageData(drawn, 0, 0);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${name} with its anomaly heatmap`);
  return canvas;
}

/** A map's value at a place between 0 and 1, between its four nearest ones. */
function between(map, x, y, columns, rows) {
  const u = Math.max(0, Math.min(columns - 1, x * columns - 0.5)), v = Math.max(0, Math.min(rows - 1, y * rows - 0.5));
  const left = Math.floor(u), top = Math.floor(v), right = Math.min(columns - 1, left + 1), below = Math.min(rows - 1, top + 1);
  const upper = map[top * columns + left] * (1 - u + left) + map[top * columns + right] * (u - left);
  const lower = map[below * columns + left] * (1 - u + left) + map[below * columns + right] * (u - left);
  return upper * (1 - v + top) + lower * (v - top);
}

async function pictureFor(found, file) {
  if (found?.heat) return overlay(found, plain(file.name));
  if (found?.image) return preview(found.image, plain(file.name));
  try {
    return preview({ bitmap: await createImageBitmap(file), orientation: 1 }, plain(file.name));
  } catch {
    return element("span", "blank", "No preview");
  }
}

function card(file, picture) {
  const made = element("article", "result"), body = element("div", "body"), frame = element("div", "frame");
  frame.append(picture);
  made.append(frame, body);
  return [made, body];
}

function answered(file, found, milliseconds, picture) {
  const { verdict, detail, confidence, doubt } = inWords(found.row);
  const [made, body] = card(file, picture);
  if (doubt) made.classList.add("doubt");
  const head = element("h3", "", verdict);
  if (confidence) head.append(" ", element("span", "confidence", confidence));
  body.append(head);
  if (detail) body.append(element("p", "detail", detail));
  if (found.row.note) body.append(element("p", "detail", `Note: ${found.row.note}`));
  body.append(bars(found.row, doubt), element("p", "file", `${plain(file.name)} · ${Math.round(milliseconds)} ms`));
  return [made, `${plain(file.name)}: ${verdict}${confidence ? `, ${confidence}` : ""}. ${detail}`];
}

function refused(file, sentence, picture) {
  const [made, body] = card(file, picture);
  made.classList.add("refused");
  body.append(element("h3", "", "Not read"), element("p", "detail", sentence), element("p", "file", plain(file.name)));
  return [made, `${plain(file.name)} was not read: ${sentence}`];
}

async function classify(file) {
  const begin = performance.now();
  try {
    const found = await predict(file);
    const milliseconds = performance.now() - begin;
    rows.push(found.row);
    return answered(file, found, milliseconds, await pictureFor(found, file));
  } catch (error) {
    const sentence = error instanceof Unreadable ? error.message : `Something went wrong: ${error.message}`;
    rows.push(unread(plain(file.name), sentence));
    return refused(file, sentence, element("span", "blank", "No picture"));
  }
}

async function work() {
  if (busy || !predict) return;
  busy = true;
  let done = 0, before = null;
  while (waiting.length) {
    const { file, first } = waiting.shift();
    if (first) before = $("cards").firstChild;
    $("results").hidden = false;
    if (first) $("results").scrollIntoView({ block: "nearest" });
    say(waiting.length ? `Classifying image ${++done} of ${done + waiting.length} …` : "Classifying …");
    const [made, words] = await classify(file);
    $("cards").insertBefore(made, before?.isConnected ? before : null);
    if ($("cards").childElementCount > MOST_CARDS) $("cards").lastChild.remove();
    $("said").textContent = words;
    $("count").textContent = summary();
    await new Promise((resolve) => setTimeout(resolve)); // let the page be drawn
  }
  busy = false;
  say("Ready.");
}

function summary() {
  if (rows.length === 1) return "1 image";
  const failed = rows.filter((row) => row.error).length;
  const unsure = rows.filter((row) => row.decision === "abstain").length - failed;
  const shown = rows.length > MOST_CARDS && `${MOST_CARDS} shown, all in the CSV`;
  return [`${rows.length} images`, unsure && `${unsure} without a prediction`, failed && `${failed} not read`, shown]
    .filter(Boolean).join(" · ");
}

function say(words, failed = false) {
  $("status").textContent = words;
  $("status").classList.toggle("failed", failed);
  $("drop").classList.toggle("busy", !failed && words !== "Ready.");
}

function take(files) {
  [...files].forEach((file, place) => waiting.push({ file, first: place === 0 }));
  work();
}

function asTable() {
  const columns = model.anomaly ? ["path", "label", "score", "decision", "error"]
    : ["path", "label", "probability", "decision", "reason", "set", "ood_score", "error"];
  const cell = (value) => {
    let plain = Array.isArray(value) ? value.join("|") : String(value ?? "");
    if (typeof value === "string" && /^[=+\-@\t\r]/.test(plain)) plain = `'${plain}`; // a spreadsheet would calculate it
    return /[",\n\r]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
  };
  return [columns.join(","), ...rows.map((row) => columns.map((name) => cell(row[name])).join(","))].join("\r\n") + "\r\n";
}

function save() {
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([asTable()], { type: "text/csv" }));
  link.download = "predictions.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function clear() {
  rows.length = 0;
  $("cards").replaceChildren();
  $("results").hidden = true;
  $("choose").focus();
}

function listen() {
  for (const [button, input] of [["choose", "files"], ["photo", "camera"]]) {
    $(button).addEventListener("click", () => $(input).click());
    $(input).addEventListener("change", () => {
      take($(input).files);
      $(input).value = "";
    });
  }
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) event.preventDefault();
    take(event.clipboardData.files);
  });
  const over = (on) => (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", on);
  };
  document.addEventListener("dragover", over(true));
  document.addEventListener("dragleave", over(false));
  document.addEventListener("drop", (event) => {
    over(false)(event);
    take(event.dataTransfer.files);
  });
  $("save").addEventListener("click", save);
  $("clear").addEventListener("click", clear);
}

function offer(samples) {
  if (!samples.length) return;
  for (const [place, sample] of samples.entries()) {
    const button = element("button"), image = element("img");
    image.src = URL.createObjectURL(sample.file);
    image.alt = `Example ${place + 1}`;
    button.append(image);
    button.addEventListener("click", () => take([sample.file]));
    $("samples").append(button);
  }
  $("examples").hidden = false;
}

async function start() {
  listen();
  const samples = samplesOf(model);
  offer(samples);
  try {
    const found = model.remote ? remote() : await inside(model);
    if (samples.length && !model.remote) await selfTested(found, samples[0], model.labels);
    predict = found;
    say("Ready.");
    work();
  } catch (error) {
    const old = typeof DecompressionStream === "undefined" || typeof WebAssembly === "undefined";
    say(old ? "This browser is too old for this page. Use a current version of Chrome, Edge, Firefox or Safari." : error.message, true);
    throw error;
  }
}

// For scripts: `await keensight.ready; await keensight.predict(file)` gives the row of `keensight predict --json`.
globalThis.keensight = { ready: start(), predict: (file) => predict(file), opened, modelInput, decided };
