// What every page shares: times that go on, commands, and keys.
"use strict";

const csrf = document.querySelector('meta[name="csrf"]')?.content ?? "";

function duration(seconds) {
  const whole = Math.max(Math.floor(seconds), 0);
  const minutes = Math.floor(whole / 60), hours = Math.floor(whole / 3600), days = Math.floor(whole / 86400);
  if (whole < 60) return `${whole} s`;
  if (minutes < 60) return `${minutes} min`;
  if (hours < 24) return `${hours} h ${String(minutes % 60).padStart(2, "0")} min`;
  return `${days} d ${hours % 24} h`;
}

function tick() {
  for (const each of document.querySelectorAll("time[data-since]")) {
    if (each.dataset.since) each.textContent = duration(Date.now() / 1000 - Number(each.dataset.since) / 1e6);
  }
}
setInterval(tick, 1000);

// Ask for something and return {status, answer}; a lost session leads to the login page.
async function send(path, body) {
  try {
    const response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
      body: JSON.stringify(body),
    });
    if (response.status === 401) location.assign("/login");
    return { status: response.status, answer: await response.json() };
  } catch {
    return { status: 0, answer: { detail: "The portal does not answer. Nothing was changed that you were not told of." } };
  }
}

function say(kind, text, action) {
  const place = document.getElementById("answer");
  if (!place) return;
  place.replaceChildren();
  if (!text) return;
  const notice = document.createElement("p");
  notice.className = `notice ${kind}`;
  notice.textContent = text;
  if (action) {
    const button = document.createElement("button");
    button.textContent = action.label;
    button.addEventListener("click", action.run);
    notice.append(button);
  }
  place.append(notice);
}

function typing(event) {
  return event.target.matches?.("input, textarea, select");
}

async function poll(path, etag, headers) {
  const response = await fetch(path, { headers: { ...headers, "If-None-Match": etag }, cache: "no-store" });
  if (response.status === 401) location.assign("/login");
  return response;
}

async function partOf(response, selector) {
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  return selector ? page.querySelector(selector) : page;
}
