// The review: select a finding, accept or reject it, claim, sign. Every command names the state that was on the screen.
"use strict";

const POLL_MS = 3000;
const confirmation = document.getElementById("confirm");
let busy = false;
let chosen = null;

const panel = () => document.getElementById("panel");
const findings = () => [...document.querySelectorAll(".finding")];

function choose(finding) {
  for (const each of findings()) each.classList.toggle("selected", each === finding);
  for (const group of document.querySelectorAll("#marks g")) {
    group.classList.toggle("selected", group.dataset.finding === finding?.dataset.finding);
  }
  chosen = finding?.dataset.finding ?? null;
  if (!finding) return;
  finding.scrollIntoView({ block: "nearest" });
  if (finding.dataset.instance) showInstance(finding.dataset.instance);
}

function step_(by) {
  const all = findings();
  const at = all.findIndex((each) => each.dataset.finding === chosen);
  choose(all[Math.min(Math.max(at + by, 0), all.length - 1)]);
}

async function reload() {
  const response = await poll(location.pathname, "", { Accept: "text/html" });
  if (!response.ok) { location.reload(); return; }
  const newer = await partOf(response, "#panel");
  panel().replaceWith(newer);
  wire();
}

const loadAgain = { label: "Show the newest", run: async () => { await reload(); say("", ""); } };

async function command(action) {
  const here = panel().dataset;
  if (busy || (here.signed && action !== "release")) return;
  const needsFinding = action === "accept" || action === "reject";
  if (needsFinding && !chosen) return;
  busy = true;
  const { status, answer } = await send(`/api/studies/${here.study}/reviews`, {
    action,
    finding: needsFinding ? chosen : "",
    revision_seen: Number(here.revision),
    version_seen: Number(here.version),
  });
  busy = false;
  if (status === 200) {
    await reload();
    const done = { claim: "Claimed.", release: "Released.", accept: "Accepted.", reject: "Rejected.", sign: "Signed." };
    say("good", done[action], action === "sign" ? { label: "Next study", run: () => location.assign("/") } : null);
  } else if (status === 202) say("", answer.detail, loadAgain);
  else if (status === 409) say("bad", conflict(answer), loadAgain);
  else say("bad", answer.detail || "That was refused.");
}

function conflict(answer) {
  const review = answer.review;
  const who = review?.signed_by ? `${review.signed_by} has signed this study.`
    : review?.claimed_by ? `${review.claimed_by} has it.` : "";
  return `Not done: somebody or something changed this study first. ${who} ${answer.detail}`.trim();
}

function sign() {
  if (panel().dataset.signed) return;
  if (confirmation.open) { confirmation.close(); command("sign"); } else confirmation.showModal();
}

function act(name) {
  if (name === "sign") sign(); else command(name);
}

function wire() {
  for (const finding of findings()) {
    finding.addEventListener("click", () => choose(finding));
    finding.addEventListener("focus", () => choose(finding));
  }
  for (const button of document.querySelectorAll("#panel [data-action]")) {
    button.addEventListener("click", (event) => {
      const finding = button.closest(".finding");
      if (finding) { event.stopPropagation(); choose(finding); }
      act(button.dataset.action);
    });
  }
  choose(findings().find((each) => each.dataset.finding === chosen) ?? findings()[0]);
}

// A change made elsewhere is announced; the panel changes when the reader asks.
async function look() {
  try {
    const response = await poll(`/api/studies/${panel().dataset.study}`, panel().dataset.etag, {});
    if (response.ok && !busy && (await response.json()).etag !== panel().dataset.etag) {
      if (!document.getElementById("answer").textContent) say("", "This study changed.", loadAgain);
    }
  } catch { /* the next look tells */ }
  setTimeout(look, POLL_MS);
}

document.getElementById("really").addEventListener("click", sign);
document.getElementById("cancel").addEventListener("click", () => confirmation.close());
document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "Enter") { event.preventDefault(); sign(); return; }
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event) || confirmation.open) return;
  const claim = () => document.querySelector('[data-action="claim"], [data-action="release"]')?.click();
  const key = {
    a: () => act("accept"), r: () => act("reject"), c: claim, j: () => step_(1), k: () => step_(-1),
    Escape: () => location.assign("/"),
  }[event.key];
  if (key) { event.preventDefault(); key(); }
});
wire();
setTimeout(look, POLL_MS);
