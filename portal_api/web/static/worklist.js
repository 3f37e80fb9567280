// The worklist: search in the page, keys, and polling. A row never moves unless the reader asks for it.
"use strict";

const POLL_MS = 2000;
const table = document.querySelector(".worklist");
const search = document.getElementById("search");
const news = document.getElementById("news");
let etag = table.dataset.etag;
let waiting = null;
let selected = null;

const rowsOf = (root) => [...root.querySelectorAll("#rows tr[data-study]")];
const visible = () => rowsOf(document).filter((row) => !row.hidden);

function select(row) {
  document.querySelector("tr.selected")?.classList.remove("selected");
  selected = row?.dataset.study ?? null;
  if (!row) return;
  row.classList.add("selected");
  row.scrollIntoView({ block: "nearest" });
}

function move(step) {
  const rows = visible();
  const at = rows.findIndex((row) => row.dataset.study === selected);
  select(rows[Math.min(Math.max(at + step, 0), rows.length - 1)]);
}

function open(row) {
  if (row && !row.classList.contains("gone")) location.assign(`/studies/${row.dataset.study}`);
}

function filter() {
  const words = search.value.trim().toLowerCase().split(/\s+/);
  const rows = rowsOf(document);
  for (const row of rows) row.hidden = !words.every((word) => row.dataset.search.includes(word));
  document.getElementById("nomatch").hidden = rows.length === 0 || rows.some((row) => !row.hidden);
}

function announce(fresh, moved) {
  if (fresh) news.firstElementChild.textContent = `${fresh} new ${fresh === 1 ? "study" : "studies"} — press`;
  else if (moved) news.firstElementChild.textContent = "The order changed — press";
  news.hidden = !(fresh || moved);
  document.title = `${fresh ? `(${fresh}) ` : ""}Worklist · Radstream`;
}

// Take over what changed inside the rows on the screen; whatever would move them waits for the reader.
function merge(page) {
  const next = new Map(rowsOf(page).map((row) => [row.dataset.study, row]));
  const here = rowsOf(document);
  for (const row of here) {
    const newer = next.get(row.dataset.study);
    row.classList.toggle("gone", !newer);
    if (!newer) continue;
    row.dataset.search = newer.dataset.search;
    row.replaceChildren(...[...newer.children].map((cell) => cell.cloneNode(true)));
  }
  document.getElementById("chips").replaceWith(page.getElementById("chips"));
  document.getElementById("badge").replaceWith(page.getElementById("badge"));
  const known = new Set(here.map((row) => row.dataset.study));
  const fresh = [...next.keys()].filter((study) => !known.has(study)).length;
  const kept = [...next.keys()].filter((study) => known.has(study));
  const stayed = here.map((row) => row.dataset.study).filter((study) => next.has(study));
  waiting = page;
  announce(fresh, kept.join() !== stayed.join() || stayed.length < here.length);
  filter();
}

function refresh() {
  if (!waiting) return;
  document.getElementById("rows").replaceWith(waiting.getElementById("rows"));
  waiting = null;
  announce(0, false);
  select(rowsOf(document).find((row) => row.dataset.study === selected));
  filter();
}

async function look() {
  const live = document.getElementById("live");
  try {
    const view = encodeURIComponent(table.dataset.view);
    const response = await poll(`/api/worklist?view=${view}`, etag, { Accept: "text/html" });
    live.classList.toggle("lost", !(response.ok || response.status === 304));
    if (response.ok) {
      etag = response.headers.get("ETag");
      merge(await partOf(response));
    }
  } catch {
    live.classList.add("lost");
  }
  live.lastElementChild.textContent = live.classList.contains("lost") ? "not live" : "live";
  setTimeout(look, POLL_MS);
}

search.addEventListener("input", filter);
news.addEventListener("click", refresh);
document.getElementById("clear").addEventListener("click", () => { search.value = ""; filter(); search.focus(); });
table.addEventListener("click", (event) => {
  if (!event.target.closest("a")) open(event.target.closest("tr[data-study]"));
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (typing(event)) {
    if (event.key === "Escape" || event.key === "Enter") { event.preventDefault(); search.blur(); select(visible()[0]); }
    return;
  }
  const act = { "/": () => search.focus(), j: () => move(1), k: () => move(-1), n: refresh }[event.key];
  if (act) { event.preventDefault(); act(); }
  if (event.key === "Enter" && !event.target.closest("a, button")) open(document.querySelector("tr.selected"));
});
setTimeout(look, POLL_MS);
