// Alerts: acknowledge, and tell when something changed.
"use strict";

const POLL_MS = 2000;
const list = document.getElementById("alerts");

async function acknowledge(alert) {
  const button = alert.querySelector("[data-acknowledge]");
  button.disabled = true;
  const { status, answer } = await send(`/api/alerts/${alert.dataset.alert}/acknowledge`, {
    study: alert.dataset.study,
    version_seen: Number(alert.dataset.version),
  });
  const again = { label: "Show the newest", run: () => location.reload() };
  if (status === 200) { alert.classList.add("done"); button.textContent = "Acknowledged"; say("good", "Acknowledged."); }
  else if (status === 202) say("", answer.detail, again);
  else if (status === 409) say("bad", `Not done: it changed first. ${answer.detail}`, again);
  else { button.disabled = false; say("bad", answer.detail || "That was refused."); }
}

async function look() {
  try {
    const response = await poll("/api/alerts", list.dataset.etag, {});
    if (response.ok) document.getElementById("news").hidden = false;
  } catch { /* the next look tells */ }
  setTimeout(look, POLL_MS);
}

for (const alert of document.querySelectorAll("[data-alert]")) {
  alert.querySelector("[data-acknowledge]").addEventListener("click", () => acknowledge(alert));
}
document.getElementById("news").addEventListener("click", () => location.reload());
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event)) return;
  if (event.key === "n" && !document.getElementById("news").hidden) location.reload();
  const open = [...document.querySelectorAll(".alert:not(.done)")];
  const target = document.activeElement?.closest?.(".alert:not(.done)") ?? (open.length === 1 ? open[0] : null);
  if (event.key === "a" && target) acknowledge(target);
});
setTimeout(look, POLL_MS);
