"use strict";
// Filters and orders the gallery of mistakes. Without scripts all of it is shown.
(() => {
  const $ = (id) => document.getElementById(id);
  const list = $("mistakes");
  if (!list) return;
  const tiles = [...list.children], step = Number(list.dataset.shown);
  const orders = {
    sure: (a, b) => b.sure - a.sure,
    unsure: (a, b) => a.sure - b.sure,
    truth: (a, b) => a.truth - b.truth || b.sure - a.sure,
    answer: (a, b) => a.answer - b.answer || b.sure - a.sure,
  };
  let limit = step;

  const show = () => {
    const wanted = (tile) => ["truth", "answer"].every((id) => !$(id).value || tile.dataset[id] === $(id).value);
    const order = orders[$("order").value];
    const found = tiles.filter(wanted).sort((a, b) => order(a.dataset, b.dataset));
    for (const tile of tiles) tile.hidden = true;
    for (const tile of found.slice(0, limit)) tile.hidden = false;
    list.append(...found);
    $("count").textContent = `${Math.min(limit, found.length)} of ${found.length} shown`;
    if ($("more")) $("more").disabled = limit >= found.length;
  };

  for (const id of ["truth", "answer", "order"]) $(id).addEventListener("change", () => { limit = step; show(); });
  if ($("more")) $("more").addEventListener("click", () => { limit += step; show(); });
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  for (const part of document.querySelectorAll(".scripted")) part.hidden = false;
  show();
})();
