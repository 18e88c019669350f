// A layer that is chosen in table, graph, memory map or curve is marked in all of them, and its facts stand at the foot.
"use strict";
const find = selector => document.querySelector(selector);
const all = selector => [...document.querySelectorAll(selector)];
const rows = all("#layers tbody tr");
const heads = all("#layers thead th").map(head => head.textContent);
const spaces = all("#memory-map [data-step]");
const plans = all("[data-plan]");
const foot = find("#layer");
let chosen = null;

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

function rowOf(step) {
  return rows.find(row => row.dataset.step === step);
}

// Marks one layer, or none.
function choose(row) {
  chosen = row;
  const step = row?.dataset.step;
  const reads = row ? row.dataset.reads.split(" ") : [];
  for (const one of rows) {
    one.classList.toggle("near", reads.includes(one.dataset.step) || one.dataset.reads.split(" ").includes(step));
    one.setAttribute("aria-selected", one === row);
    one.tabIndex = one === (row ?? rows[0]) ? 0 : -1;
  }
  for (const one of spaces) one.classList.toggle("chosen", one.dataset.step === step);
  for (const one of plans) one.classList.toggle("near", step !== undefined && one.dataset.peak === step);
  markMoments(spaces.find(one => one.dataset.step === step && one.dataset.kind !== "scratch"));
  foot.hidden = !row;
  if (row) foot.replaceChildren(...facts(row));
}

// While the tensor lives: a band over the map and the bytes alive.
function markMoments(space) {
  const band = find("#moments");
  band.setAttribute("x", space ? space.getAttribute("x") : 0);
  band.setAttribute("width", space ? space.getAttribute("width") : 0);
}

function facts(row) {
  const close = element("button", "close");
  close.addEventListener("click", () => choose(null));
  const title = element("p", `step ${row.dataset.step}: `);
  title.append(row.querySelector("a").cloneNode(true));
  const list = element("dl", "");
  const cells = [...row.cells].map((cell, column) => [heads[column], cell.textContent.trim()]).slice(3);
  for (const [name, value] of [...cells, ...JSON.parse(row.dataset.facts)]) {
    if (!value) continue;
    const pair = element("div", "");
    pair.append(element("dt", name), element("dd", value));
    list.append(pair);
  }
  const histogram = row.querySelector(".values svg");
  return [close, title, ...(histogram ? [histogram.cloneNode(true)] : []), list];
}

// The row so many places on, at the ends the last one.
function step(places) {
  const index = chosen ? rows.indexOf(chosen) + places : 0;
  choose(rows[Math.max(0, Math.min(rows.length - 1, index))]);
}

const MOVES = {ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, Home: -rows.length, End: rows.length};

for (const row of rows) row.addEventListener("click", event => event.target.closest("a") || choose(row));
for (const space of spaces) space.addEventListener("click", () => choose(rowOf(space.dataset.step) ?? null));
for (const plan of plans) plan.addEventListener("click", () => choosePlan(plan));

// A plan leads to the layer it is fullest at.
function choosePlan(plan) {
  choose(rowOf(plan.dataset.peak) ?? null);
  for (const one of plans) one.classList.toggle("picked", one.dataset.plan === plan.dataset.plan);
}

document.addEventListener("keydown", event => {
  const row = event.target.closest("#layers tr"), plan = event.target.closest("[data-plan]");
  if (event.key === "Escape") choose(null);
  else if (plan && (event.key === "Enter" || event.key === " ")) choosePlan(plan);
  else if (row && event.target === row && (event.key === "Enter" || event.key === " ")) choose(row);
  else if (event.key in MOVES && (row || event.target.closest("#memory-map"))) {
    step(MOVES[event.key]);
    if (row) chosen.focus();
  } else return;
  event.preventDefault();
});

choose(rowOf(location.hash.replace("#step-", "")) ?? null);
