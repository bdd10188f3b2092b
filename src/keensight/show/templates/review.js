"use strict";
const $ = (id) => document.getElementById(id);
let state, at = 0;

// Control characters and changes of direction in a name are shown as they are written.
const plain = (text) => text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
  (sign) => "\\u" + sign.charCodeAt(0).toString(16).padStart(4, "0"));

const asked = async (address, body) => {
  const sent = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  const answer = await fetch(address, sent);
  const value = await answer.json();
  if (!answer.ok) throw new Error(value.error || answer.statusText);
  return value;
};

const alarm = (error) => {
  const gone = error instanceof TypeError;
  $("alarm").textContent = gone
    ? "Not saved: the command behind this page is no longer running. Start it again; earlier decisions are kept."
    : "Not saved: " + error.message;
  $("alarm").hidden = false;
};

const percent = (fraction) => (fraction < 0.01 ? "<1" : (100 * fraction).toFixed(0)) + "%";

const decided = (question) => question.decision !== null;

const words = (decision) => {
  if (!decision) return "";
  const labeled = state.task === "label" ? "labeled as " : "relabeled as ";
  return { keep: "kept", drop: "dropped" }[decision.action] || labeled + decision.label;
};

// The suggested class first, then the others in order; the given one is "keep".
const choices = () => {
  const { given, suggested } = state.questions[at];
  const wanted = $("filter").value.trim().toLowerCase();
  const rest = state.labels.filter((name) => name !== given && name !== suggested);
  const found = [suggested, ...rest].filter((name) => name !== given && name.toLowerCase().includes(wanted));
  const exact = found.findIndex((name) => name.toLowerCase() === wanted);
  if (exact > 0) found.unshift(...found.splice(exact, 1));
  return found;
};

const showClasses = () => {
  const { decision } = state.questions[at];
  $("classes").replaceChildren(...choices().map((name, i) => {
    const button = document.createElement("button");
    button.type = "button";
    if (i < 9) {
      const key = document.createElement("kbd");
      key.textContent = i + 1;
      button.append(key);
    }
    button.append(name);
    button.classList.toggle("chosen", decision !== null && decision.action === "relabel" && decision.label === name);
    button.addEventListener("click", () => decide("relabel", name));
    const item = document.createElement("li");
    item.append(button);
    return item;
  }));
};

const showCount = () => {
  const done = state.questions.filter(decided).length;
  $("count").textContent = `${at + 1} of ${state.questions.length}; ${done} decided`;
  $("progress").max = state.questions.length;
  $("progress").value = done;
};

const reasons = {
  suspect: "Suspicious label",
  doubtful: "Improbable label, for review only",
  mistake: "Misclassified test image",
  unlabeled: "No label yet",
};

// The page asks about labels that there are, or for labels that there are not yet.
const setTask = () => {
  if (state.task !== "label") return;
  document.title = "Label images";
  for (const id of ["given", "given-title", "drop"]) $(id).hidden = true;
  $("keep").lastChild.textContent = " Accept";
  $("filter-title").textContent = "Choose another class ";
};

const show = () => {
  const question = state.questions[at];
  $("lost").hidden = true;
  $("image").hidden = false;
  $("image").alt = (question.given ? "labeled " + question.given + ", " : "") + "looks like " + question.suggested;
  $("image").src = "image/" + at;
  $("path").textContent = question.part + ": " + plain(question.path);
  $("reason").textContent = reasons[question.reason];
  $("given").textContent = `${question.given} (${percent(question.given_probability)})`;
  $("suggested").textContent = `${question.suggested} (${percent(question.probability)})`;
  $("decision").textContent = words(question.decision);
  $("undo").disabled = !decided(question);
  $("filter").value = "";
  showClasses();
  showCount();
  if (at + 1 < state.questions.length) new Image().src = "image/" + (at + 1);
};

const go = (to) => {
  at = Math.min(Math.max(to, 0), state.questions.length - 1);
  show();
};

const goOpen = () => {
  const order = state.questions.map((_, i) => (at + 1 + i) % state.questions.length);
  const open = order.find((i) => !decided(state.questions[i]));
  if (open !== undefined) return go(open);
  show();
  $("decision").textContent = "all decided; click Finish to close the review";
};

let saving = false;
const decide = async (action, label = "") => {
  if (saving) return;
  saving = true;
  try {
    state.questions[at] = await asked("decide", { number: at, action, label });
    $("alarm").hidden = true;
    $("filter").blur();
    if (action === "undo") show(); else goOpen();
  } catch (error) {
    alarm(error);
  } finally {
    saving = false;
  }
};

const close = async () => {
  try {
    await asked("close", {});
    $("work").hidden = true;
    $("closed").hidden = false;
    $("close").hidden = true;
  } catch (error) {
    alarm(error);
  }
};

const keys = {
  a: () => decide("keep"), d: () => $("drop").hidden || decide("drop"), u: () => decide("undo"), n: goOpen,
  j: () => go(at + 1), ArrowRight: () => go(at + 1), ArrowDown: () => go(at + 1),
  k: () => go(at - 1), ArrowLeft: () => go(at - 1), ArrowUp: () => go(at - 1),
  "/": () => $("filter").focus(),
};

document.addEventListener("keydown", (event) => {
  if (!state || event.ctrlKey || event.metaKey || event.altKey || !$("closed").hidden) return;
  if (event.target === $("filter")) {
    if (event.key === "Enter" && choices().length) decide("relabel", choices()[0]);
    else if (event.key === "Escape") { $("filter").value = ""; showClasses(); $("filter").blur(); }
    else return;
  } else if (/^[1-9]$/.test(event.key) && choices()[event.key - 1] !== undefined) {
    decide("relabel", choices()[event.key - 1]);
  } else {
    const action = keys[event.key] || keys[event.key.toLowerCase()];
    if (!action) return;
    action();
  }
  event.preventDefault();
});

$("filter").addEventListener("input", showClasses);
$("image").addEventListener("load", () => $("image").classList.toggle("pixels", $("image").naturalWidth <= 64));
$("image").addEventListener("error", () => { $("image").hidden = true; $("lost").hidden = false; });
for (const [id, act] of [["keep", keys.a], ["drop", keys.d], ["undo", keys.u], ["previous", keys.k], ["next", keys.j],
  ["open", goOpen], ["close", close]]) $(id).addEventListener("click", act);

asked("state").then((found) => {
  state = found;
  setTask();
  $("name").textContent = plain(state.name);
  $("out").textContent = plain(state.out);
  const open = state.questions.findIndex((question) => !decided(question));
  go(open < 0 ? 0 : open);
}).catch(alarm);
