"use strict";
// Opens everything that is folded before printing; filters and sorts the gallery. Without scripts all of it is shown.
addEventListener("beforeprint", () => { for (const one of document.querySelectorAll("details")) one.open = true; });
(() => {
  const $ = (id) => document.getElementById(id);
  const list = $("mistakes");
  if (!list) return;
  const tiles = [...list.children], step = Number(list.dataset.shown);
  const orders = {
    confident: (a, b) => b.confidence - a.confidence,
    unsure: (a, b) => a.confidence - b.confidence,
    truth: (a, b) => a.truth - b.truth || b.confidence - a.confidence,
    predicted: (a, b) => a.predicted - b.predicted || b.confidence - a.confidence,
  };
  let limit = step;

  const show = () => {
    const wanted = (tile) => ["truth", "predicted"].every((id) => !$(id).value || tile.dataset[id] === $(id).value);
    const order = orders[$("order").value];
    const found = tiles.filter(wanted).sort((a, b) => order(a.dataset, b.dataset));
    for (const tile of tiles) tile.hidden = true;
    for (const tile of found.slice(0, limit)) tile.hidden = false;
    list.append(...found);
    $("count").textContent = `${Math.min(limit, found.length)} of ${found.length} shown`;
    if ($("more")) $("more").disabled = limit >= found.length;
  };

  for (const id of ["truth", "predicted", "order"]) $(id).addEventListener("change", () => { limit = step; show(); });
  if ($("more")) $("more").addEventListener("click", () => { limit += step; show(); });
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  for (const part of document.querySelectorAll(".scripted")) part.hidden = false;
  show();
})();
